"""How long postprocessing takes beside the straightforward way: `pytest tests/benchmarks --benchmark-only`."""

from __future__ import annotations

import time
import timeit
from collections.abc import Iterable
from functools import partial

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from pytest_benchmark.fixture import BenchmarkFixture
from torch.nn import functional

from reference_model.images import Geometry, Thresholds, instance_scores, maskness, postprocess


def blobs(surviving: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return class, objectness and mask logits of 100 round objects of radius 3 to 33 cells."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:160, :224]
    radius = np.exp(rng.uniform(1, 3.5, 100))[:, None, None]
    centre = rng.uniform(10, 140, (2, 100, 1, 1))
    logits = torch.from_numpy((1.5 * (radius - np.hypot(y - centre[0], x - centre[1]))).astype(np.float32))
    classes = torch.full((100, 80), -20.0)
    classes[:surviving, 3] = 1.0
    return classes, torch.zeros(100), logits


GEOMETRY = Geometry(480, 640, 640, 853)


def encoded(masks: Iterable[np.ndarray]) -> list[bytes]:
    """Return the run-length codes of (D, H, W) masks."""
    return [coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"] for mask in masks]


def ours(outputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> list[bytes]:
    """Return the codes of the kept masks, as prediction makes them."""
    return encoded([found.mask for found in postprocess(*outputs, GEOMETRY)])


def naive(outputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> list[bytes]:
    """Upsample every pixel of every mask, take the sigmoid at full size, threshold, and drop what is not kept last."""
    classes, objectness, logits = outputs
    padded = functional.interpolate(logits[None], scale_factor=4, mode="bilinear", align_corners=False)
    shown = padded[..., : GEOMETRY.resized_height, : GEOMETRY.resized_width]
    size = (GEOMETRY.original_height, GEOMETRY.original_width)
    probabilities = functional.interpolate(shown, size=size, mode="bilinear", align_corners=False)[0].sigmoid()
    masks = (probabilities > Thresholds().mask).numpy()
    codes = encoded(masks)
    scores = instance_scores(classes, objectness).max(1).values
    order = (scores * maskness(logits, GEOMETRY, Thresholds().mask)).argsort(descending=True, stable=True)
    return [codes[query] for query in order.tolist() if scores[query] > Thresholds().score]


@pytest.mark.parametrize("surviving", [10, 100])
def test_postprocess_100_queries_to_480x640_against_the_naive_way(benchmark: BenchmarkFixture, surviving: int) -> None:
    outputs = blobs(surviving)
    found = benchmark(ours, outputs)
    assert len(found) == surviving
    assert found == naive(outputs)
    ours_ms, naive_ms = (
        1e3 * min(timeit.repeat(partial(side, outputs), timer=time.process_time, number=1, repeat=5))
        for side in (ours, naive)
    )
    benchmark.extra_info.update(ours_ms=ours_ms, naive_ms=naive_ms, cpu_ratio=naive_ms / ours_ms)
    print({key: round(value, 2) for key, value in benchmark.extra_info.items()})
