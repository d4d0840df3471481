"""What a training may start from."""

from __future__ import annotations

import argparse
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from reference_model.config import get_config
from reference_model.mobileinst import MobileInst
from reference_model.weights import save_checkpoint
from suite.errors import DataError, InputError
from suite.training.initial import How, load_backbone, load_initial
from suite.training.recipe import load_recipe


def official(backbone: str) -> tuple[MobileInst, dict[str, torch.Tensor]]:
    """A model, and its backbone's weights under the names of the official checkpoint, with a classifier's head."""
    torch.manual_seed(3)
    model = MobileInst(msgspec.structs.replace(load_recipe("shapes"), model=backbone).config())
    names = model.backbone.official_layout().modules
    tensors = {
        f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": tensor
        for key, tensor in model.backbone.state_dict().items()
    }
    return model, tensors | {"head.l.weight": torch.zeros(10, 4)}


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_an_official_backbone_is_loaded(tmp_path: Path, kind: str) -> None:
    given, tensors = official("mobileinst_topformer_tiny_640")
    path = tmp_path / f"backbone.{kind}"
    if kind == "pth":
        torch.save({"state_dict": tensors, "args": argparse.Namespace(lr=0.1), "epoch": 3}, path)
    else:
        save_file(tensors, path)
    torch.manual_seed(4)
    model = MobileInst(given.config)
    said = load_backbone(model, path)
    assert " 1 tensor" in said
    pairs = zip(given.backbone.state_dict().values(), model.backbone.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert How(backbone=path).initial_digest() == sha256(path.read_bytes()).hexdigest()


def test_a_backbone_file_runs_no_code_and_is_refused_in_one_line(tmp_path: Path) -> None:
    model, tensors = official("mobileinst_topformer_tiny_640")

    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "touched",)

    harmful, short, foreign = (tmp_path / f"{name}.pth" for name in ("harmful", "short", "foreign"))
    torch.save({"state_dict": tensors, "extra": Harmful()}, harmful)
    short.write_bytes(harmful.read_bytes()[:1000])
    torch.save({"conv.weight": torch.zeros(1)}, foreign)
    for path, reason in ((harmful, "without executing code"), (short, "not a checkpoint"), (foreign, "missing keys")):
        with pytest.raises(InputError, match=reason) as caught:
            load_backbone(model, path)
        assert "\n" not in str(caught.value)
        assert path.name in str(caught.value)
        assert "weights_only" not in str(caught.value), "torch's advice would run what is in the file"
    assert not (tmp_path / "touched").exists()
    with pytest.raises(DataError, match="no such"):
        load_backbone(model, tmp_path / "absent.pth")


def test_fine_tuning_takes_all_but_a_class_head_of_other_classes(tmp_path: Path) -> None:
    options = {"hidden_dim": 32, "kernel_dim": 16, "num_queries": 5}
    coco = load_recipe("coco_topformer_base_640", model="mobileinst_topformer_tiny_640", model_options=options).config()
    given = MobileInst(coco)
    path = tmp_path / "coco.safetensors"
    save_checkpoint(path, given, coco)
    fields = {**{name: getattr(coco, name) for name in options}, "num_classes": 40}
    model = MobileInst(type(coco)(name="video", backbone="topformer_tiny", **fields))
    head = model.instance_decoder.class_head.weight.clone()
    assert "80 classes" in load_initial(model, path)
    assert torch.equal(model.instance_decoder.class_head.weight, head)
    assert torch.equal(model.instance_decoder.kernel_head.weight, given.instance_decoder.kernel_head.weight)
    other = MobileInst(get_config("mobileinst_topformer_tiny_shapes"))
    with pytest.raises(InputError, match=r"coco\.safetensors"):
        load_initial(other, path)
