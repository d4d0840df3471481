"""The embedded dataset as training data: every frame and mask in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from reference_model.images import normalise
from reference_model.targets import InstanceTargets
from suite.datasets import embedded
from suite.datasets.coco import CocoDataset
from suite.datasets.masks import to_mask
from suite.datasets.youtube_vis import Video, YoutubeVisDataset
from suite.errors import InputError
from suite.progress import say
from suite.records.schema import Dataset
from suite.seeds import derive_seed
from suite.training.evaluation import Evaluation
from suite.training.recipe import Recipe
from suite.training.source import Batch, DataPaths, TrainingSource

DATASETS = ("shapes",)


@dataclass(frozen=True)
class FrameInstances:
    """The visible instances of one frame: ids and class indices (M,), masks (M, H, W)."""

    ids: np.ndarray
    labels: np.ndarray
    masks: np.ndarray


@dataclass(frozen=True)
class VideoSample:
    """One video: frames (T, H, W, 3) uint8 RGB and the instances of each frame."""

    frames: np.ndarray
    instances: tuple[FrameInstances, ...]


def _load_video(dataset: YoutubeVisDataset, video: Video) -> VideoSample:
    """Read every frame and mask of a video into memory, about 70 kB a frame of the embedded set."""
    frames = np.stack(list(dataset.read_frames(video)))
    instances = []
    for frame in range(video.length):
        ids, labels, masks = [], [], []
        for track in dataset.tracks_of(video.video_id):
            where = f"{dataset.path}: track {track.track_id} frame {frame}"
            mask = to_mask(track.segmentations[frame], video.height, video.width, where)
            if mask is not None and mask.any() and not track.crowd:
                ids.append(track.track_id)
                labels.append(track.class_index)
                masks.append(mask)
        shown = np.array(masks, dtype=bool).reshape(-1, video.height, video.width)
        instances.append(FrameInstances(np.array(ids, dtype=np.int64), np.array(labels, dtype=np.int64), shown))
    return VideoSample(frames=frames, instances=tuple(instances))


@dataclass(frozen=True)
class _View:
    """One frame to be shown, and how; both frames of a pair are flipped alike."""

    video: int
    frame: int
    flip_horizontal: bool
    flip_vertical: bool
    gain: float


def _views(
    recipe: Recipe, videos: Sequence[VideoSample], seed: int, iteration: int, rank: int, world_size: int
) -> list[_View]:
    """Draw the views of one part; they depend on the arguments alone, so a resumed run repeats them."""
    pairs = recipe.trains_on_pairs(iteration)
    views: list[_View] = []
    later: list[_View] = []
    for slot in recipe.slots(iteration, rank, world_size):
        epoch, place = divmod(iteration * recipe.batch_size + slot, len(videos))
        order = np.random.default_rng(derive_seed(seed, f"training/epoch {epoch}")).permutation(len(videos))
        generator = np.random.default_rng(derive_seed(seed, f"training/iteration {iteration} slot {slot}"))
        video = int(order[place])
        length = len(videos[video].frames)
        frame = int(generator.integers(length))
        flips = generator.random(2) < (recipe.horizontal_flip, recipe.vertical_flip)
        gains = 1 + recipe.brightness * generator.uniform(-1, 1, size=2)
        views.append(_View(video, frame, bool(flips[0]), bool(flips[1]), float(gains[0])))
        if pairs:
            near = [
                other for other in range(length) if other != frame and abs(other - frame) <= recipe.pair_gap_frames
            ] or [frame]
            other = int(generator.choice(near))
            later.append(_View(video, other, bool(flips[0]), bool(flips[1]), float(gains[1])))
    return views + later


def _show(view: _View, videos: Sequence[VideoSample]) -> tuple[np.ndarray, InstanceTargets]:
    video = videos[view.video]
    rows, columns = (slice(None, None, -1 if flip else 1) for flip in (view.flip_vertical, view.flip_horizontal))
    frame = video.frames[view.frame][rows, columns]
    image = np.clip(frame.astype(np.float32) * view.gain, 0, 255)
    seen = video.instances[view.frame]
    return image, InstanceTargets(
        labels=torch.from_numpy(seen.labels),
        masks=torch.from_numpy(np.ascontiguousarray(seen.masks[:, rows, columns])),
        instance_ids=torch.from_numpy(seen.ids),
    )


def draw_batch(
    recipe: Recipe, videos: Sequence[VideoSample], seed: int, iteration: int, rank: int = 0, world_size: int = 1
) -> Batch:
    """Return one part of the batch of an iteration (see `TrainingSource`), a pure function of its arguments."""
    shown = [_show(view, videos) for view in _views(recipe, videos, seed, iteration, rank, world_size)]
    images = torch.from_numpy(np.stack([image for image, _ in shown])).permute(0, 3, 1, 2)
    return Batch(images=normalise(images), targets=[targets for _, targets in shown])


@dataclass(frozen=True)
class ShapesSource(TrainingSource):
    """Videos in memory, shown by `draw_batch`.

    Attributes:
        videos: the training videos.
    """

    videos: Sequence[VideoSample]

    @property
    def size(self) -> int:
        """Number of videos; each is seen once per epoch."""
        return len(self.videos)

    def batch(self, iteration: int, rank: int, world_size: int) -> Batch:
        """Return one part of an iteration; see `TrainingSource`."""
        return draw_batch(self.recipe, self.videos, self.seed, iteration, rank, world_size)

    def evaluation(self, folder: Path) -> Evaluation:
        """Return mask AP on some held-out frames, evenly spread over the videos."""
        truth, frames = embedded.annotations_path("instances", "val"), embedded.frames("val")
        return Evaluation.of(CocoDataset, truth, frames, folder, self.recipe.evaluation_images)


def open_source(recipe: Recipe, seed: int, paths: DataPaths) -> ShapesSource:
    """Return the pinned embedded dataset; it is generated, so no paths can be named.

    Raises:
        InputError: if the user names files.
        DataError: if the dataset's digest is not the pinned one.
    """
    if replace(paths, skip_check=False) != DataPaths():
        raise InputError("dataset 'shapes' is generated; leave --annotations, --images and the like away")
    digest = embedded.ensure()
    say("reading the training videos")
    dataset = embedded.videos("train")
    videos = [_load_video(dataset, video) for video in dataset.videos]
    images = embedded.images("train")
    described = Dataset("shapes", "train", digest, True, images=len(images.images), videos=len(videos))
    return ShapesSource(recipe, seed, described, images.categories, videos)
