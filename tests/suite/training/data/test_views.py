"""What a batch shows of real files: pixels, masks and identities against a plain way of making them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from suite.datasets.annotations import Rle
from suite.datasets.coco import CocoDataset
from suite.datasets.masks import compress, encode_mask
from suite.training.data.batches import FileSource
from suite.training.data.pictures import Segments, common_canvas
from suite.training.data.pools import coco_pool
from suite.training.data.views import View, draw_view
from suite.training.recipe import Recipe, Resizing, load_recipe
from suite.training.sources import DataPaths, open_source

CLASSES = [{"id": key, "name": f"class {key}"} for key in range(1, 7)]


def recipe(**changes: Any) -> Recipe:
    """Return the embedded recipe for files in COCO's format."""
    resizing = Resizing(short_sides_px=(64, 96), long_side_px=128)
    plain = {"dataset": "coco", "query_passing": False, "batch_size": 4, "resizing": resizing}
    return msgspec.structs.replace(load_recipe("shapes"), **(plain | changes))


def whole(height: int, width: int, **changes: Any) -> View:
    """Return the view of a whole picture at its own size."""
    plain = View(0, height, width, 0, 0, height, width, height, width, False, False, 1.0)
    return replace(plain, **changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures of two sizes: one with nothing on it, one with a crowd only, one grey."""
    generator = np.random.default_rng(0)
    images, annotations = [], []
    for number, (height, width) in enumerate([(60, 80), (80, 60), (60, 80), (60, 80), (80, 60)], start=1):
        pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).convert("L") if number == 5 else Image.fromarray(pixels)
        picture.save(tmp_path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": height, "width": width})
        common = {"image_id": number, "category_id": number, "area": 400, "bbox": [10, 10, 20, 20]}
        if number == 2:
            continue
        mask = np.zeros((height, width), bool)
        mask[10:30, 10:30] = True
        square: Any = [[10, 10, 30, 10, 30, 30, 10, 30]] if number % 2 else encode_mask(mask)
        crowd = int(number == 4)
        annotations.append({"id": 10 * number, "segmentation": square, "iscrowd": crowd, **common})
    content = {"images": images, "annotations": annotations, "categories": CLASSES}
    (tmp_path / "train.json").write_text(json.dumps(content))
    return tmp_path


def source(folder: Path, **changes: Any) -> FileSource:
    """Open the folder as a COCO source."""
    paths = DataPaths(folder / "train.json", folder, folder / "train.json", folder)
    return open_source(recipe(**changes), 3, paths)


def test_a_crowd_is_no_object_and_its_pixels_are_ignored_where_no_object_lies(folder: Path) -> None:
    content = json.loads((folder / "train.json").read_text())
    crowd = np.zeros((60, 80), bool)
    crowd[20:50, 20:70] = True
    again = {"id": 99, "image_id": 1, "category_id": 1, "area": 1500, "bbox": [20, 20, 50, 30], "iscrowd": 1}
    content["annotations"].append(again | {"segmentation": encode_mask(crowd)})
    (folder / "train.json").write_text(json.dumps(content))
    pool = coco_pool(CocoDataset.load(folder / "train.json", folder))
    assert pool.first.tolist() == [0, 2, 4]
    assert pool.table.targets(whole(60, 80, picture=2), (64, 96)).ignored is None
    for flip in (False, True):
        found = pool.table.targets(whole(60, 80, flip_horizontal=flip), (64, 96))
        assert found.instance_ids.tolist() == [10]
        # A square of rows and columns 10 to 30 lies over the crowd's corner.
        expected = crowd.copy()
        expected[10:30, 10:30] = False
        expected = np.pad(expected[:, ::-1] if flip else expected, ((0, 4), (0, 16)))
        assert found.ignored is not None
        cells = expected.reshape(16, 4, 24, 4)
        # Pixels of the loss on an outline, which lies in the middle of some, may be either.
        assert found.ignored.numpy()[cells.all((1, 3))].all()
        assert not found.ignored.numpy()[~cells.any((1, 3))].any()
        assert not (found.ignored & found.masks.any(0)).any()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), form=st.sampled_from(["polygon", "rle"]))
def test_a_mask_lies_where_its_pixels_lie(seed: int, form: str) -> None:
    generator = np.random.default_rng(seed)
    height, width = (int(side) for side in generator.integers(40, 120, 2))
    top, left = int(generator.integers(0, height - 16)), int(generator.integers(0, width - 16))
    bottom, right = int(generator.integers(top + 8, height)), int(generator.integers(left + 8, width))
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    polygon = [[left, top, right, top, right, bottom, left, bottom]]
    shape = polygon if form == "polygon" else Rle((height, width), encode_mask(mask)["counts"])
    segments = Segments.of(compress([shape], [(height, width)], np.zeros(1, int), "here", str))
    crop = Resizing(
        short_sides_px=(64, 80, 100),
        long_side_px=160,
        crop_probability=0.5,
        crop_short_sides_px=(64, 96),
        crop_sides_px=(32, 96),
    )
    view = draw_view(recipe(resizing=crop), 0, (height, width), generator)
    canvas = common_canvas([view], 32)
    (found,) = segments.masks(np.zeros(1, int), view, canvas, 4)
    # The plain way: cut and flip the mask at the picture's size and look up each pixel's centre.
    cut = view.flipped(view.cut(mask.astype(np.uint8)))
    rows = ((np.arange(view.height // 4) + 0.5) * 4 * view.rows / view.height).astype(int)
    columns = ((np.arange(view.width // 4) + 0.5) * 4 * view.columns / view.width).astype(int)
    expected = np.zeros_like(found)
    expected[: len(rows), : len(columns)] = cut[np.ix_(rows, columns)]
    scale = 4 * np.array([view.rows / view.height, view.columns / view.width])
    # Only where an outline crosses the cell may the two ways round differently.
    for place in np.argwhere(found != expected):
        (first_row, first_column), (last_row, last_column) = np.floor(place * scale), np.ceil((place + 1) * scale)
        cell = cut[int(first_row) : int(last_row), int(first_column) : int(last_column)]
        assert cell.any()
        assert not cell.all()
    assert not found[view.height // 4 :].any()
    assert not found[:, view.width // 4 :].any()


def test_parts_are_the_whole_batch(folder: Path) -> None:
    opened = source(folder)
    for iteration in range(3):
        undivided = opened.batch(iteration, 0, 1)
        again = source(folder).batch(iteration, 0, 1)
        torch.testing.assert_close(again.images, undivided.images, rtol=0, atol=0)
        parts = [opened.batch(iteration, rank, 2) for rank in range(2)]
        torch.testing.assert_close(torch.cat([part.images for part in parts]), undivided.images, rtol=0, atol=0)
        assert sum((part.image_ids for part in parts), ()) == undivided.image_ids
        masks = [target.masks for part in parts for target in part.targets]
        assert all(torch.equal(one, target.masks) for one, target in zip(masks, undivided.targets, strict=True))
        assert undivided.valid_size is not None
        assert all(target.masks.shape[1] * 4 == undivided.images.shape[2] for target in undivided.targets)
