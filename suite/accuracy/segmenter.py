"""What prediction asks of a model, and the reference model seen that way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reference_model.config import ModelConfig, config_to_dict
from reference_model.images import Detection, Thresholds, detect
from reference_model.mobileinst import MobileInst
from reference_model.tracking import OnlineTracker, Track
from reference_model.weights import CheckpointError, load_checkpoint
from suite.accuracy.prediction_protocol import PredictionProtocol
from suite.datasets.categories import Categories
from suite.errors import InputError


class Segmenter(Protocol):
    """A model with its pre- and postprocessing, under one protocol; ``categories`` are what its classes stand for."""

    name: str
    num_classes: int
    categories: Categories | None
    protocol: PredictionProtocol

    def digest(self) -> str:
        """Return a digest of everything in the model that can change a result."""
        ...


class ImageSegmenter(Segmenter, Protocol):
    """Finds the instances of one image."""

    def segment(self, image: NDArray[np.uint8]) -> Sequence[Detection]:
        """Return the detections of an (H, W, 3) uint8 RGB image, best first, masks at its size."""
        ...


class VideoSegmenter(Segmenter, Protocol):
    """Finds the instances of one video."""

    def track(self, frames: Iterable[NDArray[np.uint8]]) -> Sequence[Track]:
        """Return the tracks of (H, W, 3) uint8 RGB frames, best first, one mask or None per frame."""
        ...


def open_checkpoint(path: Path) -> tuple[MobileInst, dict[str, str]]:
    """Return the model of a checkpoint and its metadata.

    Raises:
        InputError: if the file is no checkpoint.
    """
    try:
        return load_checkpoint(path)
    except CheckpointError as error:
        raise InputError(str(error)) from None


def thresholds(protocol: PredictionProtocol) -> Thresholds:
    """Return the postprocessing's part of a protocol."""
    limits = (protocol.score_threshold, protocol.mask_threshold, protocol.max_detections)
    return Thresholds(*limits, as_sparseinst=protocol.as_sparseinst)


def at_size(config: ModelConfig, protocol: PredictionProtocol) -> ModelConfig:
    """Return a configuration whose input size is the protocol's."""
    sides = ("short_side_px", "long_side_px", "size_divisor_px")
    return replace(config, **{name: getattr(protocol, name) for name in sides})


def tracker(model: MobileInst, config: ModelConfig, protocol: PredictionProtocol) -> OnlineTracker:
    """Return the tracker that a protocol describes."""
    names = ("key_frame_interval", "association", "associate_on", "score_maskness")
    settings = {name: getattr(protocol, name) for name in names}
    return OnlineTracker(model, at_size(config, protocol), thresholds=thresholds(protocol), **settings)


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

    def digest(self) -> str:
        """Return the SHA-256 of configuration and weights."""
        digest = hashlib.sha256(json.dumps(config_to_dict(self.config), sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
        return digest.hexdigest()

    def segment(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Return the detections of one image."""
        return detect(self.model, image, at_size(self.config, self.protocol), thresholds(self.protocol))

    def track(self, frames: Iterable[NDArray[np.uint8]]) -> list[Track]:
        """Return the tracks of one video."""
        return tracker(self.model, self.config, self.protocol).track_video(frames, self.protocol.max_tracks)
