"""The public face of the reference model."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

import reference_model
from reference_model import CheckpointError, ImageError, Model, load
from reference_model.config import VARIANTS
from reference_model.images import Thresholds, detect
from reference_model.mobileinst import MobileInst
from reference_model.tracking import OnlineTracker
from reference_model.weights import save_checkpoint
from tests.reference_model.small import spread

CATEGORIES = [(7, "disc"), (3, "square"), (90, "star")]
CONFIG = dataclasses.replace(
    VARIANTS["mobileinst_topformer_tiny_shapes"], num_queries=8, num_classes=3, short_side_px=64, long_side_px=96
)


def table(categories: list[tuple[int, str]]) -> str:
    return json.dumps({"ids": [number for number, _ in categories], "names": [name for _, name in categories]})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    model = MobileInst(CONFIG)
    spread(model)
    path = tmp_path_factory.mktemp("api") / "model.safetensors"
    save_checkpoint(path, model, CONFIG, {"categories": table(CATEGORIES)})
    return path


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Model:
    return load(checkpoint)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (10, 15, 3), dtype=np.uint8).repeat(6, 0).repeat(6, 1)


def test_a_result_is_what_detection_finds(model: Model, picture: np.ndarray) -> None:
    expected = [one for one in detect(model.network, picture, CONFIG) if one.score > 0.1]
    result = model(picture, score=0.1)
    assert len(result) == len(expected) > 1
    assert result.scores.tolist() == pytest.approx([one.score for one in expected])
    assert result.class_names == [CATEGORIES[one.class_index][1] for one in expected]
    np.testing.assert_array_equal(result.masks, [one.mask for one in expected])
    assert all(result.scores > 0.1)
    assert result.track_ids is None
    assert len(model(picture, score=0.1, max_instances=1)) == 1


def test_files_pillow_images_and_arrays_give_the_same_and_no_warning(
    model: Model, picture: np.ndarray, tmp_path: Path
) -> None:
    turned = Image.fromarray(np.rot90(picture))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    turned.save(tmp_path / "turned.png", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = (picture, Image.fromarray(picture), tmp_path / "turned.png")
        results = [model(image, score=0.1) for image in images]
    for result in results[1:]:
        np.testing.assert_array_equal(result.masks, results[0].masks)


def test_coco_entries_decode_to_the_masks_and_boxes_are_tight(model: Model, picture: np.ndarray) -> None:
    result = model(picture, score=0.1)
    entries = json.loads(json.dumps(result.to_coco(image_id=5)))
    assert {entry["image_id"] for entry in entries} == {5}
    assert [entry["category_id"] for entry in entries] == [CATEGORIES[index][0] for index in result.class_indices]
    codes = [entry["segmentation"] for entry in entries]
    np.testing.assert_array_equal(coco_mask.decode(codes).transpose(2, 0, 1), result.masks)
    left_top, sides = np.hsplit(coco_mask.toBbox(codes), 2)
    np.testing.assert_array_equal(result.boxes, np.hstack([left_top, left_top + sides]))
    with pytest.raises(ValueError, match="category ids"):
        Model(model.network)(picture, score=0.1).to_coco(1)


def test_plot_paints_masks_and_leaves_the_rest(model: Model, picture: np.ndarray) -> None:
    result = dataclasses.replace(model(picture, score=0.1), class_names=[""] * 8)
    drawn = np.asarray(result.plot())
    changed = (drawn != picture).any(axis=2)
    shown = result.masks.any(axis=0)
    assert changed[shown].mean() > 0.9
    assert changed[~shown].mean() < 0.5  # labels may lie there


def test_tracks_are_the_online_tracker_s(model: Model, picture: np.ndarray) -> None:
    frames = [np.ascontiguousarray(np.roll(picture, 3 * step, axis=1)) for step in range(4)]
    tracker = OnlineTracker(model.network, CONFIG, 2, thresholds=Thresholds(score=0.1))
    found = list(model.track(iter(frames), key_frame_interval=2, score=0.1))
    assert [result.frame_index for result in found] == [0, 1, 2, 3]
    for result, frame in zip(found, frames, strict=True):
        instances = [one for one in tracker.push(frame).instances if one.score > 0.1]
        assert instances
        assert result.track_ids is not None
        assert result.track_ids.tolist() == [one.track_index for one in instances]
        np.testing.assert_array_equal(result.masks, [one.mask for one in instances])


def test_supervision_gets_every_field(model: Model, picture: np.ndarray) -> None:
    pytest.importorskip("supervision", reason="an optional package that the extra dev installs")
    (result,) = model.track([picture], score=0.1)
    found = result.to_supervision()
    assert len(found) == len(result) > 1
    np.testing.assert_array_equal(found.mask, result.masks)
    np.testing.assert_array_equal(found.tracker_id, result.track_ids)
    assert found.data["class_name"].tolist() == result.class_names


def test_what_cannot_be_used_is_refused(model: Model, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    for image in (tmp_path / "text.jpg", tmp_path / "none.jpg", tmp_path / "deep.png", np.zeros((8, 8)), None):
        with pytest.raises(ImageError):
            model(image)  # type: ignore[arg-type]
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "00000.png")
    for video in ("none.mp4", "00000.png"):
        with pytest.raises(ImageError):
            next(iter(model.track(tmp_path / video)))
    for bad in (
        {"score": None},
        {"score": "0.3"},
        {"mask_threshold": "high"},
        {"max_instances": 1.5},
        {"key_frame_interval": 1.5},
    ):
        with pytest.raises(ValueError, match=r"must be numbers|could not convert|whole number"):
            next(iter(model.track([np.zeros((8, 8, 3), np.uint8)], **bad)))  # type: ignore[arg-type]
    for name in (tmp_path / "none.safetensors", "x" * 300):
        with pytest.raises(CheckpointError):
            load(name)


def test_a_result_keeps_its_own_picture(model: Model, picture: np.ndarray) -> None:
    buffer = picture.copy()
    found = [*model.track(buffer for buffer[:] in (picture, picture[::-1])), model(buffer)]
    buffer[:] = 0
    for result, shown in zip(found, (picture, picture[::-1], picture[::-1]), strict=True):
        np.testing.assert_array_equal(result.image, shown)


def test_a_clip_that_was_cut_short_ends_with_an_error(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (32, 32))
    for number in range(40):
        writer.write(np.full((32, 32, 3), number, np.uint8))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    seen = 0
    with pytest.raises(ImageError, match=r"clip\.avi"):  # noqa: PT012
        for _ in model.track(path):
            seen += 1
    assert 5 < seen < 35


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"ids": [1, 2, 3]}',
        table(CATEGORIES[:2]),
        table([*CATEGORIES[:2], (7, "again")]),
        table([*CATEGORIES[:2], (1.5, "half")]),  # type: ignore[list-item]
    ],
)
def test_categories_that_are_not_those_of_the_classes(text: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model.safetensors", MobileInst(CONFIG), CONFIG, {"categories": text})
    with pytest.raises(CheckpointError):
        load(tmp_path / "model.safetensors")


def test_the_package_offers_its_public_names() -> None:
    assert set(reference_model.__all__) <= set(dir(reference_model))
    with pytest.raises(AttributeError):
        reference_model.nonsense  # noqa: B018
