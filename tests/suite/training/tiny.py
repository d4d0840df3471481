"""A training so small that a test can afford it: three videos of a moving square, 64 x 64 pixels."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from reference_model.config import ModelConfig
from reference_model.mobileinst import MobileInst
from suite.datasets.categories import Categories
from suite.datasets.masks import encode_mask
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.records.schema import Dataset
from suite.training.data.batches import FileSource
from suite.training.data.pools import Pool, video_pool
from suite.training.evaluation import Evaluation
from suite.training.initial import How
from suite.training.loop import TrainResult, run_identity, train
from suite.training.recipe import Recipe, load_recipe

SIZE = (64, 64)
CATEGORIES = Categories(tuple(range(1, 7)), tuple(f"square {number}" for number in range(1, 7)))
_FILES = tempfile.TemporaryDirectory()


@functools.cache
def square_pool(uneven: bool) -> Pool:
    """Three videos of a bright square that moves over noise; if uneven, another one stands still in one of them."""
    folder = Path(tempfile.mkdtemp(dir=_FILES.name))
    generator = np.random.default_rng(0)
    videos: list[dict[str, Any]] = []
    tracks: list[dict[str, Any]] = []
    for number in range(3):
        names = [f"{number}-{frame}.png" for frame in range(4)]
        masks = np.zeros((1 + (uneven and number == 1), len(names), *SIZE), bool)
        masks[1:, :, :12, 48:] = True
        for frame, name in enumerate(names):
            masks[0, frame, 8 + 6 * frame : 32 + 6 * frame, 10:40] = True
            pixels = generator.integers(0, 60, (*SIZE, 3), dtype=np.uint8)
            pixels[masks[:, frame].any(0)] = 220
            Image.fromarray(pixels).save(folder / name)
        videos.append({"id": number, "height": SIZE[0], "width": SIZE[1], "file_names": names})
        for place, frames in enumerate(masks):
            known = {"id": len(tracks) + 1, "video_id": number, "category_id": 6 if place else number + 1}
            tracks.append(known | {"iscrowd": 0, "segmentations": [encode_mask(mask) for mask in frames]})
    categories = [{"id": key, "name": name} for key, name in zip(CATEGORIES.ids, CATEGORIES.names, strict=True)]
    (folder / "videos.json").write_text(json.dumps({"videos": videos, "annotations": tracks, "categories": categories}))
    return video_pool(YoutubeVisDataset.load(folder / "videos.json", folder))


class KilledError(Exception):
    """Stands for a kill: nothing is saved on the way out."""


class FixedEvaluation(Evaluation):
    """Says the scores of a test, one at a time and then the last; before each it does what the test wants to happen."""

    metric = "mask_ap"  # type: ignore[assignment]
    metadata: ClassVar[dict[str, str]] = {}  # type: ignore[misc]

    def __init__(self, *scores: float, meanwhile: Callable[[int], object] = bool) -> None:
        self.scores = list(scores) or [0.25]
        self.meanwhile = meanwhile
        self.asked = 0

    def predict(self, model: MobileInst, config: ModelConfig) -> None:
        assert not model.training
        self.meanwhile(self.asked)

    def score(self) -> float:
        self.asked += 1
        return self.scores[min(self.asked, len(self.scores)) - 1]

    def draw(self, picture: Path) -> None:
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes(b"PNG")


def small_recipe(**changes: object) -> Recipe:
    """Four iterations, scored after two; the state is kept after three, so not where a test stops at a score."""
    small = load_recipe("shapes", iterations=4, batch_size=4, threads=1, evaluations=2, checkpoint_every=3)
    narrow = {"num_queries": 5, "hidden_dim": 32, "kernel_dim": 16}
    return msgspec.structs.replace(small, **{"model_options": narrow, **changes})


def small_source(recipe: Recipe, seed: int = 0, uneven: bool = False) -> FileSource:
    described = Dataset("squares", "train", "data", pinned=False)
    return FileSource(recipe, seed, described, CATEGORIES, square_pool(uneven))


def run(
    recipe: Recipe, folder: Path, seed: int = 0, evaluation: Evaluation | None = None, how: How | None = None
) -> TrainResult:
    """Train in a folder, as the command does."""
    folder.mkdir(exist_ok=True)
    identity = run_identity(recipe, seed, "data", "code")
    scored = evaluation or FixedEvaluation()
    return train(small_source(recipe, seed), identity, folder, scored, how or How(device="cpu"))


def weights_of(model: nn.Module) -> Tensor:
    """Return every parameter and buffer as one float64 vector, for comparing two models bit for bit."""
    return torch.cat([tensor.double().reshape(-1) for tensor in model.state_dict().values()])
