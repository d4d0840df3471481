"""What prediction asks of a model, every choice that can change its results, and the reference model seen that way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reference_model.config import ASSOCIATION, ModelConfig, config_to_dict
from reference_model.images import Detection, Thresholds, detect
from reference_model.mobileinst import MobileInst
from reference_model.tracking import OnlineTracker, Track
from reference_model.weights import CheckpointError, load_checkpoint
from suite.datasets.categories import Categories
from suite.errors import InputError
from suite.records.schema import Scalar


@dataclass(frozen=True)
class PredictionProtocol:
    """Batch 1, aspect ratio kept, padded right and bottom.

    Attributes:
        short_side_px: the shorter side is resized to this ...
        long_side_px: ... unless the longer one would exceed this.
        size_divisor_px: padding multiple.
        score_threshold: queries below it are dropped.
        mask_threshold: probability above which a pixel belongs to the mask.
        max_detections: at most this many instances of an image.
        max_tracks: at most this many (query, class) pairs of a video.
        key_frame_interval: kernel-reuse length T, for videos.
        association: whether queries of key frames are associated, for videos.
        associate_on: the rule of association; in records of tracks that were associated by another than ``"kernels"``.
        score_maskness: whether a track's score is multiplied by its masks' mean foreground probability.
        as_sparseinst: masks are interpolated as probabilities, padding counts in scores; in records where on.
    """

    short_side_px: int
    long_side_px: int
    size_divisor_px: int
    score_threshold: float = 0.005
    mask_threshold: float = 0.45
    max_detections: int = 100
    max_tracks: int = 10
    key_frame_interval: int = 1
    association: bool = True
    associate_on: str = ASSOCIATION
    score_maskness: bool = True
    as_sparseinst: bool = False

    @classmethod
    def of(cls, config: ModelConfig) -> PredictionProtocol:
        """Return the protocol of a variant: its own input size, the default thresholds."""
        return cls(config.short_side_px, config.long_side_px, config.size_divisor_px)

    def scalars(self, task: str) -> dict[str, Scalar]:
        """Return the fields that matter to a task (``"coco"`` or ``"youtube-vis"``), for a record's protocol."""
        video = {"max_tracks", "key_frame_interval", "association", "associate_on", "score_maskness"}
        unused = {"max_detections"} if task == "youtube-vis" else video
        unused |= {"associate_on"} if self.associate_on == "kernels" or not self.association else set()
        unused |= set() if self.as_sparseinst else {"as_sparseinst"}
        return {"task": task, **{name: value for name, value in asdict(self).items() if name not in unused}}

    def thresholds(self) -> Thresholds:
        """Return the postprocessing's part."""
        limits = (self.score_threshold, self.mask_threshold, self.max_detections)
        return Thresholds(*limits, as_sparseinst=self.as_sparseinst)

    def at_size(self, config: ModelConfig) -> ModelConfig:
        """Return a configuration whose input size is the protocol's."""
        sides = ("short_side_px", "long_side_px", "size_divisor_px")
        return replace(config, **{name: getattr(self, name) for name in sides})

    def tracker(self, model: MobileInst, config: ModelConfig, **instead: Any) -> OnlineTracker:
        """Return the tracker that the protocol describes; ``instead``: arguments of `OnlineTracker` that replace it."""
        names = ("key_frame_interval", "association", "associate_on", "score_maskness")
        settings = {name: getattr(self, name) for name in names} | instead
        return OnlineTracker(model, self.at_size(config), thresholds=self.thresholds(), **settings)


class Segmenter(Protocol):
    """A model with its pre- and postprocessing, under one protocol; ``categories`` are what its classes stand for."""

    name: str
    num_classes: int
    categories: Categories | None
    protocol: PredictionProtocol

    def digest(self) -> str:
        """Return a digest of everything in the model that can change a result."""
        ...

    def segment(self, image: NDArray[np.uint8]) -> Sequence[Detection]:
        """Return the detections of an (H, W, 3) uint8 RGB image, best first, masks at its size."""
        ...

    def track(self, frames: Iterable[NDArray[np.uint8]]) -> Sequence[Track]:
        """Return the tracks of (H, W, 3) uint8 RGB frames, best first, one mask or None per frame."""
        ...


def open_checkpoint(path: Path) -> tuple[MobileInst, dict[str, str]]:
    """Return the model of a checkpoint and its metadata; InputError if the file is none."""
    try:
        return load_checkpoint(path)
    except CheckpointError as error:
        raise InputError(str(error)) from None


class ReferenceSegmenter:
    """A MobileInst of `reference_model`, for images and videos.

    Args:
        model: the network; is put into evaluation mode.
        config: of the model.
        protocol: None takes the variant's own.
        categories: what its classes stand for; None where its checkpoint does not say.
    """

    def __init__(
        self,
        model: MobileInst,
        config: ModelConfig,
        protocol: PredictionProtocol | None = None,
        categories: Categories | None = None,
    ) -> None:
        self.model, self.config = model.eval(), config
        self.protocol = protocol or PredictionProtocol.of(config)
        self.name, self.num_classes, self.categories = config.name, config.num_classes, categories

    @classmethod
    def open(cls, checkpoint: Path) -> ReferenceSegmenter:
        """Return the model of a checkpoint with its own categories; raises as `open_checkpoint` does."""
        model, metadata = open_checkpoint(checkpoint)
        categories = Categories.of_checkpoint(metadata, checkpoint, model.config.num_classes)
        return cls(model, model.config, categories=categories)

    def digest(self) -> str:
        """Return the SHA-256 of configuration and weights."""
        digest = hashlib.sha256(json.dumps(config_to_dict(self.config), sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
        return digest.hexdigest()

    def segment(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Return the detections of one image."""
        return detect(self.model, image, self.protocol.at_size(self.config), self.protocol.thresholds())

    def track(self, frames: Iterable[NDArray[np.uint8]]) -> list[Track]:
        """Return the tracks of one video."""
        return self.protocol.tracker(self.model, self.config).track_video(frames, self.protocol.max_tracks)
