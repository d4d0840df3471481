"""The command from the first plan to the model card, on data that a test makes: interrupted, continued, finished."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reference_model.weights import load_checkpoint
from suite.cli import main
from suite.files import file_digest
from suite.records.store import read_run
from suite.training import plan
from suite.training.recipe import RECIPES, Recipe
from tests.suite.training.tiny import weights_of

SMALL = {
    'model = "mobileinst_topformer_base_640"': 'model = "mobileinst_topformer_tiny_shapes"',
    "iterations = 270000": "iterations = 6",
    "batch_size = 64": "batch_size = 2",
    "threads = 4": "threads = 1",
    "evaluations = 27": "evaluations = 1",
    "[416, 448, 480, 512, 544, 576, 608, 640]": "[64, 96]",
    "long_side_px = 864": "long_side_px = 96",
    "[resizing]": "[model_options]\nnum_queries = 5\n\n[resizing]",
}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A COCO recipe at a size for tests, and the options that name its data: four pictures of one square."""
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path))
    text = (RECIPES / "coco_topformer_base_640.toml").read_text()
    for old, new in SMALL.items():
        assert old in text
        text = text.replace(old, new)
    recipe, pictures, annotations = tmp_path / "small.toml", tmp_path / "pictures", tmp_path / "truth.json"
    recipe.write_text(text)
    pictures.mkdir()
    images, objects = [], []
    for number in range(1, 5):
        pixels = np.random.default_rng(number).integers(0, 80, (96, 96, 3), dtype=np.uint8)
        pixels[20:60, 20:60] = 220
        Image.fromarray(pixels).save(pictures / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 96, "width": 96})
        corners = [[20.0, 20.0, 60.0, 20.0, 60.0, 60.0, 20.0, 60.0]]
        objects.append({"id": number, "image_id": number, "category_id": 1, "segmentation": corners, "area": 1600.0})
    categories = [{"id": n + 1, "name": f"c{n}"} for n in range(80)]
    annotations.write_text(json.dumps({"images": images, "annotations": objects, "categories": categories}))
    data = ["--annotations", str(annotations), "--images", str(pictures)]
    scored = ["--evaluation-annotations", str(annotations), "--evaluation-images", str(pictures)]
    return ["train", str(recipe), "--device", "cpu", *data, *scored]


def stop_after_a_row(root: Path) -> None:
    """Ask this process to end as a scheduler does, once the log has a row."""
    for _ in range(3000):
        logs = list(root.glob("runs/*/*/log.csv"))
        if logs and logs[0].read_text().count("\n") > 1:
            os.kill(os.getpid(), signal.SIGUSR1)
            return
        time.sleep(0.02)


def test_a_training_is_planned_stopped_and_continued(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--plan", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["iterations"], made["images"], made["epochs"]) == (6, 12, 3.0)
    assert made["hours"] == pytest.approx(6 * made["seconds_per_iteration"] / 3600)
    assert made["memory_gib"] > 0.05
    assert made["notes"] == []
    assert made["gpu_hours"] is None

    stopper = threading.Thread(target=stop_after_a_row, args=(tmp_path,))
    stopper.start()
    code = main(command)
    stopper.join()
    shown = capsys.readouterr()
    assert code == 75
    assert "stopped by SIGUSR1" in shown.err
    assert "WITHOUT PRE-TRAINING" in shown.err
    assert shown.out == ""
    (state,) = tmp_path.glob("runs/*/*/state-*.safetensors")

    assert main([*command, "--json"]) == 0
    shown = capsys.readouterr()
    assert "resuming at iteration" in shown.err
    result = json.loads(shown.out)
    folder = (tmp_path / result["checkpoint"]).parent
    assert not state.exists()
    record = read_run(tmp_path / result["record"])
    assert record.measurements[0].protocol["initial_weights"] == "random"
    assert [row[0] for row in record.series[0].rows] == [1, 2, 3, 4, 5, 6]
    assert record.series[0].rows[-1][-1] == result["mask_ap"]
    assert [int(row["iteration"]) for row in csv.DictReader((folder / "log.csv").open())] == [1, 2, 3, 4, 5, 6]
    card = (folder / "MODEL_CARD.md").read_text()
    weights = file_digest(folder / "model.safetensors")
    assert {item.sha256 for item in record.artifacts} == {weights, file_digest(folder / "MODEL_CARD.md")}
    assert all(text in card for text in (weights, "pre-training", "random weights", "| `iterations` | 6 |"))
    assert f"mask AP {100 * result['mask_ap']:.1f} on" in card
    assert list((folder / "pictures").glob("iteration-00000006.png"))


def test_a_plan_of_more_than_half_of_the_free_memory_is_extrapolated(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes: list[int] = []

    def sample(recipe: Recipe, *given: object) -> plan.Cost:
        """Stands for a machine on which an image takes 1 GiB and 0.5 s."""
        sizes.append(recipe.batch_size)
        return np.array([0.5 + recipe.batch_size, 0.5 * recipe.batch_size])

    monkeypatch.setattr(plan, "_sample", sample)
    monkeypatch.setattr(plan, "_peak_memory_gib", lambda processes: 0.5)
    monkeypatch.setattr(plan, "free_memory_gib", lambda processes: 20.0)
    assert main([*command, "--batch-size", "64", "--plan", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sizes == [2, 4, 8]
    assert (found["memory_gib"], found["seconds_per_iteration"]) == pytest.approx((64.5, 32.0))
    assert len(found["notes"]) == 2


def test_two_categories_of_any_ids_train_predict_and_score_in_any_order(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list of categories is turned round for the second run: no digit changes."""
    annotations, recipe = tmp_path / "truth.json", tmp_path / "small.toml"
    recipe.write_text(recipe.read_text().replace("evaluations = 1", "evaluations = 2"))
    content = json.loads(annotations.read_text())
    content["categories"] = [{"id": 9, "name": "square"}, {"id": 4, "name": "circle"}]
    for item in content["annotations"]:
        item["category_id"] = 9 if item["id"] % 2 else 4
    found = []
    for _ in range(2):
        annotations.write_text(json.dumps(content))
        assert main([*command, "--iterations", "2", "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        weights = tmp_path / result["checkpoint"]
        for checkpoint in (weights.with_name("best.safetensors"), weights):
            model, metadata = load_checkpoint(checkpoint)
            assert model.config.num_classes == 2
            assert json.loads(metadata["categories"]) == {"ids": [4, 9], "names": ["circle", "square"]}
        results = tmp_path / "results.json"
        data = ["--annotations", str(annotations), "--images", str(tmp_path / "pictures")]
        assert main(["predict", "coco", "--checkpoint", str(weights), *data, "--out", str(results)]) == 0
        capsys.readouterr()
        assert {item["category_id"] for item in json.loads(results.read_text())} == {4, 9}
        found.append((weights_of(model), result["mask_ap"]))
        content["categories"].reverse()
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]

    tuned = [*command, "--initial-weights", str(weights), "--iterations", "1", "--json"]
    content["categories"].append({"id": 11, "name": "triangle"})
    annotations.write_text(json.dumps(content))
    assert main(tuned) == 0
    shown = capsys.readouterr()
    assert load_checkpoint(tmp_path / json.loads(shown.out)["checkpoint"])[0].config.num_classes == 3
    assert "2 classes" in shown.err
