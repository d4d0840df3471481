"""The weights that come with the package: what their card says, and that they find what they were trained to find."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from reference_model.config import find_checkpoint
from suite.cli import main
from suite.datasets.embedded import generate
from suite.datasets.shapes_scene import ShapesConfig


def test_the_card_names_the_digest() -> None:
    weights = find_checkpoint("shapes")
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in weights.with_suffix(".md").read_text()


def test_a_file_of_that_name_comes_first_and_a_folder_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shapes").mkdir()
    assert find_checkpoint("shapes").is_file()
    (tmp_path / "shapes").rmdir()
    (tmp_path / "shapes").write_text("")
    assert find_checkpoint("shapes") == Path("shapes")


def test_they_find_held_out_shapes_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate(tmp_path, ShapesConfig(train_videos=1, val_videos=6))
    annotations, results = str(tmp_path / "annotations" / "instances_val.json"), str(tmp_path / "results.json")
    words = ["--annotations", annotations, "--images", str(tmp_path / "val"), "--out", results]
    assert main(["predict", "coco", "--checkpoint", "shapes", *words]) == 0
    capsys.readouterr()
    assert main(["score", "coco", "--annotations", annotations, "--results", results, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stats"]["AP"] > 0.5

    assert main(["predict", str(tmp_path / "val" / "0000"), "--frames", "--json"]) == 0
    found = json.dumps(json.loads(capsys.readouterr().out))
    truth = json.loads(Path(annotations).read_text())
    first = {one["category_id"] for one in truth["annotations"] if one["image_id"] <= 8}
    names = {entry["name"] for entry in truth["categories"] if entry["id"] in first}
    assert any(f'"{name}"' in found for name in names)
