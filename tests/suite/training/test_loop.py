from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from reference_model.config import ModelConfig
from reference_model.mobileinst import MobileInst
from suite.errors import InputError
from suite.training.loop import TrainResult, learning_rate_factor, run_identity, train
from suite.training.recipe import Recipe, load_recipe
from suite.training.samples import FrameInstances, VideoSample, draw_batch
from suite.training.state import weights_of

SIZE = (64, 64)


def square_video(seed: int, frames: int = 4) -> VideoSample:
    """A bright square that moves over noise: small enough to train on in a test."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 60, (frames, *SIZE, 3), dtype=np.uint8)
    instances = []
    for frame in range(frames):
        mask = np.zeros((1, *SIZE), dtype=bool)
        top = 8 + 6 * frame
        mask[0, top : top + 24, 10:40] = True
        pixels[frame][mask[0]] = 220
        instances.append(FrameInstances(ids=np.array([7]), labels=np.array([seed % 6]), masks=mask))
    return VideoSample(frames=pixels, instances=tuple(instances))


VIDEOS = [square_video(seed) for seed in range(3)]


def small_recipe(**changes: object) -> Recipe:
    small = load_recipe("shapes", iterations=6, batch_size=4, threads=1, evaluations=2, checkpoint_every=2)
    return msgspec.structs.replace(small, **changes)


def run(
    recipe: Recipe, state: Path, seed: int = 0, evaluate: Callable[[MobileInst, ModelConfig], float] | None = None
) -> TrainResult:
    return train(recipe, VIDEOS, seed, run_identity(recipe, seed, "data", "code"), state, evaluate or (lambda *_: 0.25))


@pytest.mark.parametrize("query_passing", [True, False])
def test_an_interrupted_run_continues_bit_for_bit(tmp_path: Path, query_passing: bool) -> None:
    recipe = small_recipe(query_passing=query_passing, image_stage_fraction=0.5)
    whole = run(recipe, tmp_path / "whole.safetensors")
    state = tmp_path / "state.safetensors"

    def stop_here(model: MobileInst, config: ModelConfig) -> float:
        os.kill(os.getpid(), signal.SIGINT)
        return 0.25

    with pytest.raises(KeyboardInterrupt):
        run(recipe, state, evaluate=stop_here)
    assert state.exists()
    continued = run(recipe, state)
    assert torch.equal(weights_of(whole.model), weights_of(continued.model))
    assert whole.curve == continued.curve


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path: Path) -> None:
    recipe = small_recipe(iterations=2)
    weights = [weights_of(run(recipe, tmp_path / "s", seed).model) for seed in (0, 0, 1)]
    (tmp_path / "s").unlink()
    again = weights_of(run(recipe, tmp_path / "s", 0).model)
    assert torch.equal(weights[0], again)
    assert not torch.equal(weights[0], weights[2])


def test_a_state_of_another_run_is_not_continued(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    run(small_recipe(iterations=2), state, seed=0)
    assert state.exists()
    other = run(small_recipe(iterations=2), state, seed=1)
    fresh = run(small_recipe(iterations=2), tmp_path / "fresh.safetensors", seed=1)
    assert torch.equal(weights_of(other.model), weights_of(fresh.model))


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    run(small_recipe(iterations=2), state)
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"state.safetensors: damaged training state"):
        run(small_recipe(iterations=2), state)


def test_training_learns_and_its_curve_says_so(tmp_path: Path) -> None:
    recipe = small_recipe(iterations=24, evaluations=4, query_passing=False, vertical_flip=0.0)
    result = run(recipe, tmp_path / "state", evaluate=lambda model, config: 0.5)
    losses = [float(row[1] or 0) for row in result.curve]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])
    assert [row[0] for row in result.curve if row[-1] is not None] == [6, 12, 18, 24]
    assert not result.model.training


def test_batches_are_pure_and_pairs_share_their_view() -> None:
    recipe = small_recipe(brightness=0.0, image_stage_fraction=0.0)
    first, second = (draw_batch(recipe, VIDEOS, seed=3, iteration=5) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert len(first.targets) == recipe.batch_size
    half = recipe.batch_size // 2
    for now, later in zip(first.targets[:half], first.targets[half:], strict=True):
        assert torch.equal(now.instance_ids, later.instance_ids)
        columns = [target.masks[0].any(0).nonzero()[:, 0].tolist() for target in (now, later)]
        assert columns[0] == columns[1], "the square moves along rows only, so a shared flip keeps its columns"


def test_every_video_is_seen_once_per_epoch() -> None:
    recipe = small_recipe(query_passing=False, batch_size=1, horizontal_flip=0.0, vertical_flip=0.0)
    labels = [int(draw_batch(recipe, VIDEOS, 0, iteration).targets[0].labels[0]) for iteration in range(6)]
    assert sorted(labels[:3]) == sorted(labels[3:]) == [0, 1, 2]


def test_learning_rate_warms_up_and_decays() -> None:
    recipe = small_recipe(iterations=100, warmup_fraction=0.1, final_learning_rate_fraction=0.01)
    factors = [learning_rate_factor(recipe, iteration) for iteration in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert all(later <= earlier for earlier, later in itertools.pairwise(factors[10:]))
    assert factors[-1] == pytest.approx(0.01, abs=0.002)
