"""A training so small that a test can afford it: three videos of a moving square, 64 x 64 pixels."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from reference_model.config import ModelConfig
from reference_model.mobileinst import MobileInst
from suite.datasets.categories import Categories
from suite.records.schema import Dataset
from suite.training.evaluation import Evaluation
from suite.training.initial import How
from suite.training.loop import TrainResult, run_identity, train
from suite.training.recipe import Recipe, load_recipe
from suite.training.sources.shapes import FrameInstances, ShapesSource, VideoSample

SIZE = (64, 64)
CATEGORIES = Categories(tuple(range(1, 7)), tuple(f"square {number}" for number in range(1, 7)))


def square_video(seed: int, frames: int = 4, standing: bool = False) -> VideoSample:
    """A bright square that moves over noise, perhaps beside one that stands still."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 60, (frames, *SIZE, 3), dtype=np.uint8)
    instances = []
    for frame in range(frames):
        mask = np.zeros((1 + standing, *SIZE), dtype=bool)
        top = 8 + 6 * frame
        mask[0, top : top + 24, 10:40] = True
        mask[1:, :12, 48:] = True
        pixels[frame][mask.any(0)] = 220
        ids, labels = np.array([7, 9])[: len(mask)], np.array([seed % 6, 5])[: len(mask)]
        instances.append(FrameInstances(ids=ids, labels=labels, masks=mask))
    return VideoSample(frames=pixels, instances=tuple(instances))


VIDEOS = [square_video(seed) for seed in range(3)]
UNEVEN_VIDEOS = [square_video(seed, standing=seed % 2 == 1) for seed in range(3)]
"""Images with different numbers of instances."""


class FixedEvaluation(Evaluation):
    """Says the same score each time, and calls what a test wants to happen meanwhile."""

    metric = "mask_ap"  # type: ignore[assignment]

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores) or [0.25]
        self.asked = 0

    def predict(self, model: MobileInst, config: ModelConfig) -> None:
        assert not model.training

    def score(self) -> float:
        self.asked += 1
        return self.scores[min(self.asked, len(self.scores)) - 1]

    def draw(self, picture: Path) -> None:
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes(b"PNG")


def small_recipe(**changes: object) -> Recipe:
    """Four iterations, scored after two; the state is kept after three, so not where a test stops at a score."""
    small = load_recipe("shapes", iterations=4, batch_size=4, threads=1, evaluations=2, checkpoint_every=3)
    return msgspec.structs.replace(small, **{"model_options": {"num_queries": 5}, **changes})


def small_source(recipe: Recipe, seed: int = 0) -> ShapesSource:
    return ShapesSource(recipe, seed, Dataset("squares", "train", "data", pinned=False), CATEGORIES, VIDEOS)


def run(
    recipe: Recipe, folder: Path, seed: int = 0, evaluation: Evaluation | None = None, how: How | None = None
) -> TrainResult:
    """Train in a folder, as the command does."""
    folder.mkdir(exist_ok=True)
    identity = run_identity(recipe, seed, "data", "code")
    scored = evaluation or FixedEvaluation()
    return train(recipe, small_source(recipe, seed), seed, identity, folder, scored, how or How(device="cpu"))


def weights_of(model: nn.Module) -> Tensor:
    """Return every parameter and buffer as one float64 vector, for comparing two models bit for bit."""
    return torch.cat([tensor.double().reshape(-1) for tensor in model.state_dict().values()])
