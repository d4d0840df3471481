from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from suite.accuracy.error_analysis.kinds import IMAGE_KINDS, VIDEO_KINDS
from suite.cli import main
from suite.datasets.embedded import generate
from suite.datasets.shapes_scene import ShapesConfig
from tests.suite.accuracy.cases import compressed, written

KINDS = {"coco": IMAGE_KINDS, "youtube-vis": VIDEO_KINDS}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short videos of the embedded set with results that are wrong in places."""
    folder = tmp_path_factory.mktemp("shapes")
    generate(folder, ShapesConfig(train_videos=1, val_videos=2, val_frames=(4, 4), long_frames=(4, 4)))
    rng = np.random.default_rng(0)

    def moved(code: Any) -> Any:
        if code is None:
            return None
        return compressed(np.roll(coco_mask.decode(code).astype(np.bool_), int(rng.integers(0, 30)), axis=1))

    for task, unit, key in (("instances", "image_id", "segmentation"), ("youtube_vis", "video_id", "segmentations")):
        document = json.loads((folder / "annotations" / f"{task}_val.json").read_text())
        results = []
        for item in document["annotations"]:
            category = item["category_id"] if rng.random() < 0.8 else 1
            whole = item[key]
            found = [moved(code) for code in whole] if unit == "video_id" else moved(whole)
            if found is not None:
                results.append({unit: item[unit], "category_id": category, "score": float(rng.random()), key: found})
        (folder / f"{task}_results.json").write_text(json.dumps(results))
    return folder


def words(shapes: Path, task: str) -> list[str]:
    name = "instances" if task == "coco" else "youtube_vis"
    annotations, results = shapes / "annotations" / f"{name}_val.json", shapes / f"{name}_results.json"
    return ["errors", task, "--annotations", str(annotations), "--results", str(results)]


@pytest.mark.parametrize("task", KINDS)
def test_json_holds_ladder_breakdowns_and_worst(shapes: Path, capsys: pytest.CaptureFixture[str], task: str) -> None:
    assert main([*words(shapes, task), "--json", "--worst", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["score", *words(shapes, task)[1:], "--json"]) == 0
    score = json.loads(capsys.readouterr().out)
    assert [rung["error"] for rung in found["ladder"]] == [kind.name for kind in KINDS[task]]
    assert found["stats"] == score["stats"]
    assert found["AP50"] == pytest.approx(score["stats"]["AP50"])
    assert found["ladder"][-1]["reached_AP50"] == pytest.approx(1)
    assert {name: part["AP"] for name, part in found["per_category"].items()} == {
        name: stats["AP"] for name, stats in score["per_category"].items()
    }
    assert {name: part["AP"] for name, part in found["per_size"].items()} == {
        "small": score["stats"]["APs"],
        "medium": score["stats"]["APm"],
        "large": score["stats"]["APl"],
    }
    assert len(found["worst"]) == 2
    assert found["worst"][0]["dAP50"] >= found["worst"][1]["dAP50"] > 0


@pytest.mark.parametrize("task", KINDS)
def test_pictures_of_the_worst(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str) -> None:
    frames = shapes / "val"
    assert main([*words(shapes, task), "--worst", "2", "--pictures", str(tmp_path), "--images", str(frames)]) == 0
    shown = capsys.readouterr()
    assert "meaning" in shown.out
    assert all(kind.label in shown.out for kind in KINDS[task])
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 2
    for path in paths:
        pixels = np.asarray(Image.open(path))
        assert pixels.shape[1] > 900
        colours = {tuple(colour) for colour in pixels.reshape(-1, 3)[::3].tolist()}
        assert (213, 94, 0) in colours, "no error is drawn"
        assert {(204, 121, 167), (86, 180, 233)} & colours, "no object is drawn"


@pytest.mark.parametrize(
    ("extra", "code", "text"),
    [
        (["--pictures", "out"], 2, "--images"),
        (["--pictures", "out", "--images", ".", "--worst", "0"], 2, "--worst"),
        (["--pictures", "out", "--images", "nowhere"], 4, "nowhere"),
        (["--results", "none.json"], 4, "none.json"),
    ],
)
def test_bad_words_are_one_line(shapes: Path, refused: Any, extra: list[str], code: int, text: str) -> None:
    assert text in refused([*words(shapes, "coco"), *extra], code)


def test_more_masks_than_a_byte_can_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """pycocotools' own area fails beyond 255 masks under NumPy 2; nothing here may hand it that many."""
    code = compressed(np.eye(12, dtype=np.bool_))
    with pytest.raises(OverflowError):
        coco_mask.area([code] * 300)
    truth = {
        "images": [{"id": 1, "height": 12, "width": 12}],
        "categories": [{"id": number, "name": f"name {number}"} for number in range(1, 5)],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1 + n % 4, "segmentation": code, "area": 12, "iscrowd": 0}
            for n in range(1, 301)
        ],
    }
    results = [{"image_id": 1, "category_id": 1 + n % 4, "segmentation": code, "score": 0.5} for n in range(600)]
    paths = written(tmp_path, truth, results)
    for name in ("errors", "score"):
        for engine in ("pycocotools", "hotcoco"):
            files = ["--annotations", str(paths[0]), "--results", str(paths[1]), "--engine", engine]
            assert main([name, "coco", *files, "--json"]) == 0
            found = json.loads(capsys.readouterr().out)
            assert found["stats"]["AR100"] == pytest.approx(1)
