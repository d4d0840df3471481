from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from reference_model.config import config_to_dict
from reference_model.weights import CheckpointError, checkpoint_config, load_checkpoint, save_checkpoint
from tests.reference_model.small import image, small_config, small_model

METADATA = {"git_sha": "0123abcd", "dataset_digest": "ff.dir", "seed": "3"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "model.safetensors"
    model = small_model()
    save_checkpoint(path, model, model.config, METADATA)
    return path


def rewrite(path: Path, header: Any = None, tensors: dict[str, torch.Tensor] | None = None) -> None:
    """Write the checkpoint again with another header or with some tensors replaced."""
    with safe_open(path, framework="pt") as file:
        old = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = file.metadata()["mobileinst"] if header is None else json.dumps(header)
    save_file({**old, **(tensors or {})}, path, metadata={"mobileinst": text})


def header_with(**values: Any) -> dict[str, Any]:
    return {"format_version": 1, "config": config_to_dict(small_config()), "metadata": {}, **values}


def refused(path: Path, **arguments: Any) -> str:
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, **arguments)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_checkpoint_comes_back_as_it_went(checkpoint: Path) -> None:
    model, metadata = load_checkpoint(checkpoint)
    original = small_model()
    assert metadata == METADATA
    assert model.config == original.config == checkpoint_config(checkpoint)
    assert not model.training
    with torch.no_grad():
        assert torch.equal(model(image(64, 64)).mask_logits, original(image(64, 64)).mask_logits)
    assert [path.name for path in checkpoint.parent.iterdir()] == ["model.safetensors"]


def test_equal_checkpoints_are_equal_bytes(checkpoint: Path, tmp_path: Path) -> None:
    model, metadata = load_checkpoint(checkpoint)
    model.to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path / "again.safetensors", model, model.config, dict(reversed(metadata.items())))
    assert (tmp_path / "again.safetensors").read_bytes() == checkpoint.read_bytes()


def test_garbage_and_pickles_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(range(256)) * 40)
    refused(path)

    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)

    path.write_bytes(pickle.dumps(Trap()))
    refused(path)
    torch.save({"model": Trap()}, path)
    refused(path)
    assert not (tmp_path / "sprung").exists()


def test_another_variant_is_refused_with_its_keys(checkpoint: Path) -> None:
    message = refused(checkpoint, expected=small_config(num_queries=9, backbone="mobilenetv2"))
    assert "num_queries" in message
    assert "backbone" in message
    load_checkpoint(checkpoint, expected=small_config(loss_weight_dice=7.0))


def test_absent_files_folders_and_safetensors_of_somebody_else(tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors")
    refused(tmp_path)
    for metadata in (None, {"mobileinst": "{"}):
        save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors", metadata=metadata)
        refused(tmp_path / "model.safetensors")


CONFIG = config_to_dict(small_config())


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ([], "format_version"),
        ({"config": {}}, "format_version"),
        (header_with(format_version=2), "format_version"),
        (header_with(config=[]), "config"),
        (header_with(metadata={"seed": 3}), "metadata"),
        (header_with(config={**CONFIG, "depth": 3}), "depth"),
        (header_with(config={**CONFIG, "decoder": "both"}), "decoder"),
        (header_with(config={**CONFIG, "self_attention": False}), "self_attention.key.bias"),
        # These would fill the memory if anything were allocated.
        (header_with(config={**CONFIG, "hidden_dim": 2**22, "num_queries": 2**30}), "num_queries"),
        (header_with(config={**CONFIG, "decoder_stride": 64.0}), "decoder_stride"),
        (header_with(config={**CONFIG, "hidden_dim": 2**40}), "configuration"),
        (header_with(config={**CONFIG, "num_classes": 10**4000}), "configuration"),
    ],
)
def test_bad_headers(checkpoint: Path, header: Any, named: str) -> None:
    rewrite(checkpoint, header)
    assert named in refused(checkpoint)


@pytest.mark.parametrize(
    "tensors",
    [
        {"extra": torch.zeros(1)},
        {"instance_decoder.query_content": torch.zeros(6, 32)},
        {"instance_decoder.query_content": torch.full((5, 32), float("nan"))},
        {"instance_decoder.query_content": torch.zeros(5, 32, dtype=torch.int64)},
    ],
    ids=["unexpected", "shape", "not finite", "type"],
)
def test_tensors_that_do_not_fit_are_named(checkpoint: Path, tensors: dict[str, torch.Tensor]) -> None:
    rewrite(checkpoint, tensors=tensors)
    assert next(iter(tensors)) in refused(checkpoint)
