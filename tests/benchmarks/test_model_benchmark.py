"""How long the embedded variant takes: what training and online tracking wait for (pytest --benchmark-only)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from reference_model.config import get_config
from reference_model.mobileinst import MobileInst

Benchmark = Callable[..., Any]


@pytest.fixture
def model() -> MobileInst:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return MobileInst(get_config("mobileinst_topformer_tiny_shapes")).to(memory_format=torch.channels_last)


def images(batch: int) -> torch.Tensor:
    return torch.randn(batch, 3, 128, 192).to(memory_format=torch.channels_last)


def test_training_step_of_a_batch_of_8(benchmark: Benchmark, model: MobileInst) -> None:
    batch = images(8)

    def step() -> None:
        output = model.train()(batch)
        (output.class_logits.square().mean() + output.mask_logits.square().mean()).backward()

    benchmark(step)


@pytest.mark.parametrize("part", ["key_frame", "frame"])
def test_one_frame(benchmark: Benchmark, model: MobileInst, part: str) -> None:
    model.eval()
    frame = images(1)
    with torch.inference_mode():
        kernels = model(frame).kernels

        def key_frame() -> torch.Tensor:
            return model(frame).mask_logits

        def reused() -> torch.Tensor:
            return model.masks(kernels, model.encode(frame).mask_features)

        benchmark(key_frame if part == "key_frame" else reused)
