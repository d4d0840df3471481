"""How long the code around the network takes: `pytest tests/benchmarks --benchmark-only`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from reference_model.config import get_config
from reference_model.inference import Geometry, postprocess, preprocess
from reference_model.losses import Criterion
from reference_model.mobileinst import MobileInst
from reference_model.targets import InstanceTargets
from reference_model.tracking import OnlineTracker


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_preprocess_480x640(benchmark: BenchmarkFixture) -> None:
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    benchmark(preprocess, image, get_config("mobileinst_topformer_base_640"))


@pytest.mark.parametrize("surviving", [10, 100])
def test_postprocess_100_queries_to_480x640(benchmark: BenchmarkFixture, surviving: int) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:160, :224]
    radius = np.exp(rng.uniform(1, 3.5, 100))[:, None, None]
    centre = rng.uniform(10, 140, (2, 100, 1, 1))
    logits = torch.from_numpy((1.5 * (radius - np.hypot(y - centre[0], x - centre[1]))).astype(np.float32))
    classes = torch.full((100, 80), -20.0)
    classes[:surviving, 3] = 1.0
    found = benchmark(postprocess, classes, torch.zeros(100), logits, Geometry(480, 640, 640, 853))
    assert len(found) == surviving


def test_criterion_forward_and_backward_batch_8(benchmark: BenchmarkFixture) -> None:
    torch.manual_seed(0)
    config = get_config("mobileinst_topformer_tiny_shapes")
    with torch.no_grad():
        output = MobileInst(config)(torch.randn(8, 3, 128, 192))
    output = output._replace(
        **{name: value.requires_grad_() for name, value in output._asdict().items() if value is not None}
    )
    targets = [
        InstanceTargets(torch.randint(0, 6, (3,)), torch.rand(3, 128, 192) > 0.7, torch.arange(3)) for _ in range(8)
    ]
    criterion = Criterion(config)
    benchmark(lambda: sum(criterion(output, targets).values()).backward())


@pytest.mark.parametrize("key_frame_interval", [1, 3, 6])
def test_tracking_six_frames_of_128x192(benchmark: BenchmarkFixture, key_frame_interval: int) -> None:
    torch.manual_seed(0)
    config = get_config("mobileinst_topformer_tiny_shapes")
    tracker = OnlineTracker(MobileInst(config), config, key_frame_interval)
    frames = np.random.default_rng(0).integers(0, 256, (6, 128, 192, 3), dtype=np.uint8)
    benchmark(tracker.track_video, frames)
