"""Files as other tools write them, modelled on public bug reports: each is read with the right value, or refused."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from reference_model.config import get_config
from reference_model.mobileinst import MobileInst
from reference_model.weights import load_checkpoint, save_checkpoint
from suite.accuracy.mask_ap import score_coco
from suite.accuracy.video_ap import score_youtube_vis
from suite.cli import main
from suite.datasets.categories import METADATA_KEY
from suite.datasets.coco import CocoDataset
from suite.datasets.health import check_health
from suite.datasets.pictures import read_picture
from suite.errors import DataError, InputError
from suite.training.data.pools import coco_pool
from suite.training.sources import DataPaths, open_source
from tests.conftest import REPOSITORY
from tests.suite.accuracy.cases import written
from tests.suite.accuracy.test_mask_ap import official
from tests.suite.training.data.test_views import recipe

CONFIG = get_config("mobileinst_topformer_tiny_shapes")


@pytest.fixture
def cases(shared_data: Path) -> Path:
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip("the cases are not beside the sample images")
    return folder


@pytest.fixture(scope="module")
def model() -> MobileInst:
    torch.manual_seed(0)
    return MobileInst(CONFIG).eval()


def checkpoint(folder: Path, model: MobileInst, annotations: Path) -> Path:
    """Write a checkpoint whose classes are the categories of an annotations file."""
    table = CocoDataset.load(annotations, truth=False).categories
    save_checkpoint(folder / "model.safetensors", model, CONFIG, {METADATA_KEY: table.text()})
    return folder / "model.safetensors"


def predict(checkpoint: Path, annotations: Path, images: Path, out: Path, *more: str) -> int:
    words = ["predict", "coco", "--checkpoint", str(checkpoint), "--annotations", str(annotations)]
    return main([*words, "--images", str(images), "--out", str(out), *more])


def test_01_the_order_of_the_category_list_changes_nothing(cases: Path, tmp_path: Path, model: MobileInst) -> None:
    folder = cases / "01_category_order"
    rng = np.random.default_rng(0)
    content = json.loads((folder / "ann_file_order.json").read_text())
    chosen = content["images"][:2]
    trained = checkpoint(tmp_path, model, folder / "ann_file_order.json")
    for image in chosen:
        picture = tmp_path / image["file_name"]
        picture.parent.mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8))
        noise.resize((image["width"], image["height"])).save(picture)
    written = []
    for name in ("ann_file_order", "ann_categories_reversed"):
        content = json.loads((folder / f"{name}.json").read_text())
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**content, "images": chosen, "annotations": []}))
        assert predict(trained, path, tmp_path, tmp_path / f"{name}.results.json") == 0
        written.append((tmp_path / f"{name}.results.json").read_bytes())
    assert written[0] == written[1]
    assert json.loads(written[0])


def test_another_sets_classes_are_mapped_by_name(cases: Path, tmp_path: Path, model: MobileInst) -> None:
    """Ids and order differ, the names are the same: every class finds its category; unknown names are refused."""
    source = cases / "06_no_iscrowd"
    trained = checkpoint(tmp_path, model, source / "ann.json")
    found = {}
    for name, rename in (("same", lambda c: c), ("moved", lambda c: {"id": 100 - c["id"], "name": c["name"].upper()})):
        content = json.loads((source / "ann.json").read_text())
        content["categories"] = [rename(category) for category in content["categories"]]
        content.pop("annotations")
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        assert predict(trained, path, source / "images", tmp_path / f"{name}.out.json") == 0
        found[name] = [item["category_id"] for item in json.loads((tmp_path / f"{name}.out.json").read_text())]
    assert found["moved"] == [100 - number for number in found["same"]]
    content["categories"] = [{"id": number, "name": f"thing {number}"} for number in range(6)]
    other, out = tmp_path / "other.json", tmp_path / "o.json"
    other.write_text(json.dumps(content))
    assert predict(trained, other, source / "images", out) == 2
    assert not out.exists()
    assert predict(trained, other, source / "images", out, "--classes-by-position") == 0


def test_02_sixteen_bits_are_scaled(cases: Path, empty_root: Path) -> None:
    folder = cases / "02_png_16bit"
    pixels = read_picture(folder / "images" / "x.png", (96, 128))
    assert pixels.mean() == pytest.approx(122.34375)
    assert pixels.std() > 40
    assert check_health("coco", folder / "ann.json", folder / "images", deep=True).well


def test_04_exif_orientation_follows_the_annotations_size(cases: Path, empty_root: Path) -> None:
    folder = cases / "04_exif6_displayed"
    path = folder / "images" / "x.jpg"
    stored = read_picture(path, (96, 128))
    upright = read_picture(path, (128, 96))
    assert np.array_equal(upright, np.rot90(stored, -1))
    assert np.array_equal(read_picture(path), upright)
    assert check_health("coco", folder / "ann.json", folder / "images").well


@pytest.mark.parametrize("case", ["06_no_iscrowd", "07_iscrowd_float"])
def test_06_07_iscrowd_may_be_absent_or_a_float(cases: Path, tmp_path: Path, empty_root: Path, case: str) -> None:
    truth = cases / case / "ann.json"
    document = json.loads(truth.read_text())
    for item in document["annotations"]:
        item.setdefault("iscrowd", 0)
    results = [{"image_id": item["image_id"], "category_id": item["category_id"], "score": 0.5}]
    dataset = CocoDataset.load(truth)
    results[0]["segmentation"] = dataset.codes.rles()[0]
    given, found = written(tmp_path, document, results)
    assert not dataset.objects.crowd.any()
    assert list(score_coco(truth, found).stats.values()) == official(given, results).stats.tolist()
    assert check_health("coco", truth, truth.parent / "images").well


def test_08_a_track_without_iscrowd_is_no_crowd(cases: Path, tmp_path: Path) -> None:
    folder = cases / "08_ytvis_no_iscrowd"
    content = json.loads((folder / "valid.json").read_text())
    for track in content["annotations"]:
        track["iscrowd"] = 0
    (tmp_path / "given.json").write_text(json.dumps(content))
    one, other = (
        score_youtube_vis(path, folder / "results.json") for path in (folder / "valid.json", tmp_path / "given.json")
    )
    assert one.stats == other.stats
    assert one.stats["AP"] > 0


@pytest.mark.parametrize("name", ["ann_empty", "ann_null"])
def test_09_an_object_without_a_mask_is_left_out_and_counted(cases: Path, empty_root: Path, name: str) -> None:
    path = cases / "09_segm_empty_remedy" / f"{name}.json"
    dataset = CocoDataset.load(path, path.parent)
    assert len(dataset.objects) == 5
    assert len(dataset.objects.without_mask) == 1
    assert coco_pool(dataset).size == 5
    (place,) = dataset.objects.without_mask
    report = check_health("coco", path, path.parent)
    assert any(f"annotations[{place}]" in check.detail for check in report.checks)


@pytest.mark.parametrize("name", ["ann", "ann_bbox_empty", "ann_bbox_null", "ann_no_bbox"])
def test_11_prediction_does_not_read_ground_truth(cases: Path, tmp_path: Path, model: MobileInst, name: str) -> None:
    path = cases / "11_predict_reads_ground_truth" / f"{name}.json"
    trained = checkpoint(tmp_path, model, path)
    assert predict(trained, path, path.parent / "images", tmp_path / "out.json") == 0


@pytest.mark.parametrize("name", ["base", "ann_id_float", "float_height", "rle_float_size"])
def test_13_whole_numbers_may_be_floats(cases: Path, name: str) -> None:
    folder = cases / "13_float_numbers"
    for results in ("dt", "image_id_float.dt"):
        stats = score_coco(folder / f"{name}.gt.json", folder / f"{results}.json").stats
        assert 100 * stats["AP"] == pytest.approx(92.52, abs=0.01)
        wanted = official(folder / "base.gt.json", json.loads((folder / "dt.json").read_text()))
        assert list(stats.values()) == wanted.stats.tolist()


def test_16_every_bad_picture_is_named_before_any_work(
    cases: Path, tmp_path: Path, model: MobileInst, refused: Any
) -> None:
    folder = cases / "16_truncated_jpeg_train"
    images = json.loads((folder / "ann.json").read_text())["images"]
    shutil.copytree(folder / "images", tmp_path / "images")
    names = {image["file_name"]: image for image in images}
    missing = sorted(set(names) - {"3.jpg"})[-1]
    for name, image in names.items():
        if name not in ("3.jpg", missing):
            Image.new("RGB", (image["width"], image["height"])).save(tmp_path / "images" / name)
    trained = checkpoint(tmp_path, model, folder / "ann.json")
    words = ["predict", "coco", "--checkpoint", trained, "--annotations", folder / "ann.json"]
    err = refused([*words, "--images", tmp_path / "images", "--out", tmp_path / "out.json"], 4)
    assert "3.jpg" in err
    assert missing in err
    assert not list(tmp_path.glob("out.json*"))


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda path: path.unlink(), DataError, "1.jpg"),
        (lambda path: path.write_bytes(path.read_bytes()[:300]), InputError, "1.jpg"),
        (lambda path: Image.new("RGB", (70, 60)).save(path), InputError, "70x60"),
    ],
    ids=["missing", "cut", "another size"],
)
def test_16_training_names_a_bad_picture_before_the_first_step_and_where_it_draws_one(
    cases: Path, tmp_path: Path, spoil: Any, error: type[Exception], words: str
) -> None:
    content = json.loads((cases / "16_truncated_jpeg_train" / "ann.json").read_text())
    chosen = content["images"][0]
    size = chosen["width"], chosen["height"]
    content["images"] = [chosen | {"file_name": "1.jpg"}]
    content["annotations"] = [item for item in content["annotations"] if item["image_id"] == chosen["id"]]
    annotations, picture = tmp_path / "ann.json", tmp_path / "1.jpg"
    annotations.write_text(json.dumps(content))
    Image.effect_noise(size, 90).convert("RGB").save(picture)
    data = DataPaths(annotations, tmp_path, annotations, tmp_path)
    source = open_source(recipe(batch_size=1), 0, data)
    spoil(picture)
    with pytest.raises(error, match=words):
        source.batch(0, 0, 1)
    with pytest.raises(error, match=words):
        open_source(recipe(batch_size=1), 0, data)


def test_18_a_terminal_without_the_characters_gets_others(cases: Path) -> None:
    folder = cases / "18_latin1_stdout"
    words = [sys.executable, "-m", "suite", "score", "coco"]
    words += ["--annotations", str(folder / "gt.json"), "--results", str(folder / "dt.json")]
    for encoding, name in (("latin-1", b"??"), ("utf-8", "茶杯".encode())):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(words, cwd=REPOSITORY, env=environment, capture_output=True, check=True)
        assert name in done.stdout
        assert done.stderr == b""


def test_20_a_byte_order_mark_is_no_fault(cases: Path) -> None:
    stats = score_coco(cases / "20_bom" / "gt.json", cases / "20_bom" / "dt.json").stats
    assert 100 * stats["AP"] == pytest.approx(92.52, abs=0.01)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"


@pytest.mark.parametrize(
    ("content", "word"),
    [(LFS, "Git LFS"), ("{}".encode("utf-16"), "UTF-16"), (gzip.compress(b" " * (65 << 20)), "64 MiB")],
    ids=["LFS", "UTF-16", "gzip"],
)
def test_files_that_are_something_else_are_named_for_what_they_are(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=word):
        CocoDataset.load(path)


def test_a_picture_that_git_lfs_has_not_fetched_is_named_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(LFS)
    with pytest.raises(InputError, match="Git LFS"):
        read_picture(tmp_path / "a.jpg")


def rewritten(path: Path, change: Any) -> None:
    """Write a checkpoint's tensors again, each as ``change(name, tensor)`` says."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(dict(change(*pair) for pair in load_file(path).items()), path, metadata)


@pytest.mark.parametrize(
    ("change", "exact"),
    [
        (lambda name, tensor: (f"module.{name}", tensor), True),
        (lambda name, tensor: (name, tensor.half() if tensor.is_floating_point() else tensor), False),
        (lambda name, tensor: (name, tensor.half() if name.endswith("weight") else tensor), False),
        (lambda name, tensor: (name, tensor.double() if tensor.is_floating_point() else tensor), True),
    ],
    ids=["DataParallel", "half precision", "mixed precision", "double precision"],
)
def test_21_foreign_checkpoints_are_read_and_it_is_said(
    tmp_path: Path, model: MobileInst, caplog: pytest.LogCaptureFixture, change: Any, exact: bool
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, CONFIG, {})
    rewritten(path, change)
    loaded, _ = load_checkpoint(path)
    assert str(path) in caplog.text
    near = 0 if exact else 1e-3
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=near, atol=near)
