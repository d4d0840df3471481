"""The command ``benchmark``: every format of a checkpoint, compared with torch."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from suite.cli import main
from suite.datasets.embedded import generate
from suite.datasets.shapes_scene import ShapesConfig


@pytest.mark.slow
def test_all_formats_find_what_torch_finds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    generate(tmp_path, ShapesConfig(train_videos=1, val_videos=1))
    truth = ["--annotations", "annotations/instances_val.json", "--images", "val", "--limit", "4"]
    assert main(["benchmark", *truth, "--pairs", "20", "--json"]) in (0, 3)  # 3: this machine is too restless to time
    rows = {row["format"]: row for row in json.loads(capsys.readouterr().out)["formats"]}
    further = {"LiteRT": "litert_torch", "ExecuTorch": "executorch"}
    installed = [name for name, package in further.items() if importlib.util.find_spec(package)]
    assert list(rows) == ["torch", "ONNX straightforward", "ONNX rewritten", "ncnn", *installed]
    torch = rows.pop("torch")
    for row in rows.values():
        assert 0 < row["parity"] < 1e-4
        assert row["agreement_ap"] == pytest.approx(1, abs=1e-3)
        assert row["mask_ap"] == pytest.approx(torch["mask_ap"], abs=1e-3)
        assert row["file_mb"] > torch["file_mb"]  # 32 bits a weight, not 16
        assert (row["latency_ms"] is None) == bool(row["invalid"])
