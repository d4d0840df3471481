"""Images per second of one worker on real JPEGs, beside a straightforward loader, in one run.

``pytest tests/benchmarks/test_data_path.py --benchmark-only -s`` prints both, their ratio, and where the time goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reference_model.images import normalise
from suite.datasets.coco import CocoDataset
from suite.datasets.masks import to_mask
from suite.training.data.batches import FileSource
from suite.training.data.pictures import common_canvas, place
from suite.training.data.pools import coco_pool
from suite.training.data.views import View
from suite.training.initial import keep_freed_memory
from suite.training.recipe import Resizing, load_recipe

ITERATIONS, BATCH = 6, 8


@pytest.fixture
def dataset(shared_data: Path) -> CocoDataset:
    coco = shared_data / "coco_mini"
    return CocoDataset.load(coco / "annotations" / "instances_train2017.json", coco / "train2017")


def source_of(dataset: CocoDataset) -> FileSource:
    """Return the COCO source with the paper's sizes."""
    import msgspec

    from suite.records.schema import Dataset

    resizing = Resizing(short_sides_px=tuple(range(416, 641, 32)), long_side_px=864)
    recipe = msgspec.structs.replace(
        load_recipe("shapes"),
        model="mobileinst_topformer_base_640",
        dataset="coco",
        batch_size=BATCH,
        query_passing=False,
        resizing=resizing,
    )
    identity = Dataset("coco", "sample", "0", False)
    return FileSource(recipe, 0, identity, dataset.categories, coco_pool(dataset))


def plain_picture(dataset: CocoDataset, view: View) -> tuple[torch.Tensor, torch.Tensor]:
    """Show a picture the straightforward way: Pillow decodes and resizes, every mask is made at full size."""
    image = dataset.images[view.picture]
    with Image.open(dataset.file(image.file_name)) as file:
        pixels = np.array(file.convert("RGB").resize((view.width, view.height), Image.Resampling.BILINEAR))
    if view.flip_horizontal:
        pixels = pixels[:, ::-1]
    if view.flip_vertical:
        pixels = pixels[::-1]
    pixels = np.clip(pixels.astype(np.float32) * view.gain, 0, 255)
    shown = normalise(torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1))
    masks = []
    for row in dataset.rows_of(image.image_id):
        mask = to_mask(dataset.objects.segmentations[row], image.height, image.width, "here")
        if dataset.objects.crowd[row] or mask is None:
            continue
        resized = Image.fromarray(mask).resize((view.width, view.height), Image.Resampling.NEAREST)
        masks.append(view.flipped(np.array(resized)).copy())
    return shown, torch.from_numpy(np.stack(masks))


def seconds(work: Callable[[], Any]) -> float:
    """Return the CPU time of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def test_images_per_second(benchmark: Any, dataset: CocoDataset, capsys: pytest.CaptureFixture[str]) -> None:
    keep_freed_memory()  # As the loop does before it starts workers.
    source = source_of(dataset)
    views = [source._shown(iteration, slot)[0][1] for iteration in range(ITERATIONS) for slot in range(BATCH)]
    table = source.pool.table

    def plain() -> None:
        for view in views:
            plain_picture(dataset, view)

    def ours() -> None:
        for iteration in range(ITERATIONS):
            source.batch(iteration, 0, 1)

    ours()
    pairs = [(seconds(plain), seconds(ours)) for _ in range(3)]
    plain_s, ours_s = (min(times) for times in zip(*pairs, strict=True))
    shown = [(table.read(view), common_canvas([view], 64)) for view in views]
    parts = {
        "decode and resize": seconds(lambda: [table.read(view) for view in views]),
        "normalise and place": seconds(lambda: [place([picture], canvas) for picture, canvas in shown]),
        "masks": seconds(lambda: [table.targets(view, canvas) for view, (_, canvas) in zip(views, shown, strict=True)]),
    }
    benchmark.pedantic(ours, rounds=3)
    benchmark.extra_info["times_faster_than_plain"] = plain_s / ours_s
    with capsys.disabled():
        print(
            f"\none worker: {len(views) / ours_s:.0f} images/s; Pillow and full-size masks: "
            f"{len(views) / plain_s:.0f} images/s; ratio {plain_s / ours_s:.1f}"
        )
        total = sum(parts.values())
        print("; ".join(f"{name} {value / total:.0%}" for name, value in parts.items()))
