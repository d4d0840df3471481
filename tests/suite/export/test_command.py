"""The command ``export``: files that run without torch, compared with the model that they came from."""

from __future__ import annotations

import errno
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch

from reference_model.config import VARIANTS
from reference_model.mobileinst import MobileInst
from reference_model.weights import save_checkpoint
from suite.cli import main
from suite.files import file_digest

TINY = "mobileinst_topformer_tiny_shapes"
CATEGORIES = {"ids": [2, 3, 4, 5, 6, 9], "names": ["disc", "square", "triangle", "star", "cross", "ring"]}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_checkpoint(path, MobileInst(VARIANTS[TINY]), VARIANTS[TINY], {"categories": json.dumps(CATEGORIES)})
    return path


def pictures(shared_data: Path) -> list[str]:
    coco = shared_data / "coco_mini"
    return ["--annotations", str(coco / "annotations" / "instances_val2017.json"), "--images", str(coco / "val2017")]


def exported(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main(["export", *map(str, words), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_graph_says_all_that_a_program_needs_and_gives_every_mask_back(
    checkpoint: Path, shared_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "model.onnx"
    words = ("--checkpoint", checkpoint, "--form", "onnxruntime", "--out", out)
    found = exported(capsys, *words, *pictures(shared_data), "--limit", 3)
    assert found["files"] == [str(out)]
    assert found["export"]["parity_max_rel"] < 1e-3
    assert found["pictures"]["pictures"] == 3
    assert found["pictures"]["agreement_ap"] == pytest.approx(1, abs=1e-3)
    # Discs and squares are no categories of COCO.
    assert found["pictures"]["graph_ap"] == found["pictures"]["reference_ap"] == -1
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    carried = session.get_modelmeta().custom_metadata_map
    assert carried.items() >= found["metadata"].items()
    assert json.loads(carried["categories"]) == CATEGORIES
    assert carried["input_size"] == "x".join(map(str, session.get_inputs()[0].shape[2:])) == "128x192"
    assert json.loads(carried["image_mean"]) == [123.675, 116.28, 103.53]
    assert carried["weights_sha256"] == file_digest(checkpoint)


def test_a_graph_goes_over_no_file_of_another_suffix(checkpoint: Path, refused: Any, tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"weights")
    refused(["export", "--checkpoint", checkpoint, "--out", tmp_path / "other.safetensors"], 2)
    assert (tmp_path / "other.safetensors").read_bytes() == b"weights"


def test_no_file_of_an_export_is_written_over_another(checkpoint: Path, refused: Any, tmp_path: Path) -> None:
    weights, out = Path(shutil.copy(checkpoint, tmp_path / "model.bin")), tmp_path / "model.param"
    before = weights.read_bytes()
    words = ["export", "--format", "ncnn", "--out", out, "--size", "64x128", "--checkpoint"]
    for given in (weights, checkpoint):
        assert "model.bin" in refused([*words, given], 2)
    assert weights.read_bytes() == before
    weights.rename(tmp_path / "model.json")
    assert "model.json" in refused([*words, checkpoint], 2)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize(
    ("kind", "package", "endings"),
    [
        ("ncnn", "ncnn", [".bin", ".json", ".param"]),
        ("litert", "litert_torch", [".json", ".tflite"]),
        ("executorch", "executorch", [".json", ".pte"]),
    ],
)
def test_files_of_other_runtimes_compute_the_model(
    kind: str,
    package: str,
    endings: list[str],
    checkpoint: Path,
    shared_data: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = (tmp_path / "frame").with_suffix(endings[-1])
    words = ("--checkpoint", checkpoint, "--format", kind, "--out", out)
    if importlib.util.find_spec(package) is None:
        assert main(["export", *map(str, words)]) == 2
        assert f"[{kind}]" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []
        pytest.skip(f"the extra '{kind}' is not installed")
    found = exported(capsys, *words, "--part", "frame", "--size", "64x128")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == endings
    assert 0 < found["export"]["parity_max_rel"] < 1e-4
    (note,) = tmp_path.glob("*.json")
    values = json.loads(note.read_text())["blobs"].values()
    assert list(values) == ["image", "kernels", "mask_logits"]
    found = exported(capsys, *words, *pictures(shared_data), "--limit", 2)
    assert found["pictures"]["agreement_ap"] == pytest.approx(1, abs=1e-3)
    written = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def copy_what_fits(source: Path, target: Path) -> None:
        content = source.read_bytes()
        fits = 100_000 if target.parent == tmp_path else len(content)
        target.write_bytes(content[:fits])
        if len(content) > fits:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", copy_what_fits)
    assert main(["export", *map(str, words), "--part", "frame", "--size", "64x128"]) == 2
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == written


@pytest.mark.slow  # exports two graphs of a model
def test_ncnn_takes_any_size_but_low_uneven_ones(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("--checkpoint", checkpoint, "--format", "ncnn", "--out", tmp_path / "graph.param")
    assert main(["export", *map(str, words), "--size", "64x68"]) == 2
    assert list(tmp_path.iterdir()) == []
    assert exported(capsys, *words, "--size", "68x68")["export"]["parity_max_rel"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in VARIANTS if name != TINY])
def test_every_variant_agrees_with_its_graph_on_real_pictures(
    name: str, shared_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "model.onnx"
    found = exported(capsys, "--model", name, "--out", out, *pictures(shared_data), "--limit", 2)
    assert found["pictures"]["agreement_ap"] == pytest.approx(1, abs=1e-3)


def test_bad_words_are_one_line_and_leave_nothing(
    checkpoint: Path, shared_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = ["--out", str(tmp_path / "out.onnx")]
    known = ["--checkpoint", str(checkpoint), *out]
    for words, part in (
        (["--model", "nonsense", *out], "nonsense"),
        (["--model", "solov2_mobilenetv2_640", *out], "solov2"),
        (["--checkpoint", str(tmp_path / "no.safetensors"), *out], "no.safetensors"),
        (out, "--checkpoint"),
        ([*known, "--images", str(tmp_path)], "--annotations"),
        ([*known, "--format", "ncnn"], "out.onnx"),
        *(([*known, "--format", kind], kind) for kind in ("litert", "executorch")),
        ([*known, "--format", "ncnn", "--dynamic"], "--dynamic"),
        ([*known, "--part", "frame", *pictures(shared_data)], "--part"),
        ([*known, "--dynamic", "--size", "100x128"], "100x128"),
    ):
        assert main(["export", *words]) == 2, words
        assert part in capsys.readouterr().err.strip().splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
