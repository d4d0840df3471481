"""Video: kernel reuse between key frames and association of queries from one key frame to the next.

    key frame, every T-th    encode -> decode -> associate -> kernels K of the tracks -> masks K . X_mask
    the T - 1 frames after   encode ---------------------------------------------------> masks K . X_mask

Between key frames the instance decoder does not run; kernels, classes and scores are the key frame's. There are always
as many tracks as queries, and most of them show nothing: a track is present in a frame where its query's score
sqrt(class x objectness), at the key frame the frame belongs to, exceeds the score threshold, and its mask is not empty.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reference_model.association import Association, KeyFrame, Linker
from reference_model.association import TrackingError as TrackingError
from reference_model.association import associate as associate
from reference_model.config import ASSOCIATION, ModelConfig
from reference_model.images import (
    BoxedMask,
    Detection,
    Geometry,
    Thresholds,
    inside,
    instance_scores,
    maskness,
    preprocess,
    upsample_masks,
)
from reference_model.instance_decoder import InstancePrediction
from reference_model.mobileinst import FrameFeatures, MobileInst


class PackedMasks(Sequence[np.ndarray | None]):
    """The masks of one track, one per frame, each kept as the bits of its box and unpacked when asked for.

    Args:
        height: of the frames, in pixels.
        width: of the frames, in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._frames: list[tuple[int, int, tuple[int, int], np.ndarray] | None] = []

    def append(self, mask: BoxedMask | None) -> None:
        """Adds the next frame's mask; None where the track is not shown."""
        if mask is None:
            self._frames.append(None)
        else:
            self._frames.append((mask.top, mask.left, mask.crop.shape, np.packbits(mask.crop.T)))

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> np.ndarray | None:  # type: ignore[override]  # no slices
        """Returns a frame's mask, (height, width) bool, stored column by column; None where it is not shown."""
        frame = self._frames[index]
        if frame is None:
            return None
        top, left, (height, width), bits = frame
        crop = np.unpackbits(bits, count=height * width).view(bool).reshape(width, height).T
        return BoxedMask(top, left, crop).paint(self.height, self.width)


@dataclass(frozen=True)
class Track:
    """One object through a video, with one of its possible classes.

    Attributes:
        class_index: contiguous class index in [0, num_classes).
        score: mean over key frames of sqrt(class probability x objectness), times maskness where the tracker is told
            so, in [0, 1].
        masks: one (H, W) bool mask per frame, None where the track is not shown; unpacked on access.
    """

    class_index: int
    score: float
    masks: Sequence[np.ndarray | None]


@dataclass(frozen=True)
class TrackedInstance(Detection):
    """One track as one frame shows it, of its likeliest class so far; its score is the mean over key frames so far.

    Attributes:
        track_index: in [0, num_queries); the same number is the same object until `reset`.
    """

    track_index: int


@dataclass(frozen=True)
class FrameTracks:
    """What a tracker says of one frame: `instances` by score, best first; `frame_index` counts from 0."""

    frame_index: int
    is_key_frame: bool
    instances: list[TrackedInstance]


class SeenFrame(NamedTuple):
    """A frame after the network, from `see_frame`; a tracker takes it in place of the picture."""

    features: FrameFeatures  # of one frame
    prediction: InstancePrediction | None  # None where the instance decoder did not run
    geometry: Geometry


@torch.inference_mode()
def see_frame(model: MobileInst, config: ModelConfig, frame: np.ndarray, decode: bool = True) -> SeenFrame:
    """Runs the network on one frame, so that it can be tracked many times.

    Args:
        model: in evaluation mode.
        config: gives the input size.
        frame: (H, W, 3) uint8 RGB.
        decode: whether the instance decoder runs too.

    Raises:
        ImageError: if the frame is not an 8-bit RGB picture.
    """
    pixels, geometry = preprocess(frame, config)
    features = model.encode(pixels.to(next(model.parameters()).device))
    return SeenFrame(features, model.decode(features) if decode else None, geometry)


class OnlineTracker:
    """Tracks the instances of a video, one frame at a time.

    The memory it holds between frames does not grow with the video: the last key frame's kernels and running sums.
    `track_video` in contrast keeps each frame's mask features until the video ends.

    Args:
        model: is put into evaluation mode.
        config: of the model.
        key_frame_interval: T; the instance decoder runs on every T-th frame, from the first.
        association: whether queries are put in the order of the previous key frame's; otherwise query i is track i.
        associate_on: what is compared: a name that `Association.named` knows, or any other rule.
        score_maskness: whether a key frame's scores are multiplied by the mean foreground probability of its masks.
        thresholds: `score` and `mask` say which tracks a frame shows; `max_detections` limits their number.

    Raises:
        TrackingError: if the interval is not positive, or the association unknown.
    """

    def __init__(
        self,
        model: MobileInst,
        config: ModelConfig,
        key_frame_interval: int = 3,
        association: bool = True,
        associate_on: str | Linker = ASSOCIATION,
        score_maskness: bool = True,
        thresholds: Thresholds | None = None,
    ) -> None:
        if key_frame_interval < 1:
            raise TrackingError(f"key_frame_interval {key_frame_interval} must be at least 1")
        linker = Association.named(associate_on) if isinstance(associate_on, str) else associate_on
        self.model, self.config = model.eval(), config
        self.key_frame_interval = key_frame_interval
        self.linker: Linker | None = linker if association else None
        self.score_maskness = score_maskness
        self.thresholds = thresholds or Thresholds()
        self.reset()

    def reset(self) -> None:
        """Forgets the video; the next frame is the first of another."""
        self._frame_index = 0
        self._key_frames = 0
        self._frame_size: tuple[int, int] | None = None
        self._previous: KeyFrame | None = None
        self._score_sum = self._present = torch.zeros(0)

    @property
    def scores(self) -> Tensor:
        """Score of each track and class, (num_queries, num_classes): the mean over key frames of `instance_scores`.

        With `score_maskness` each frame's is multiplied by the maskness of the query first.

        Raises:
            TrackingError: if there was no frame yet.
        """
        if self._key_frames == 0:
            raise TrackingError("there are no scores before the first frame; push one")
        return self._score_sum / self._key_frames

    @torch.inference_mode()
    def push(self, frame: np.ndarray | SeenFrame) -> FrameTracks:
        """Takes the next frame of the video.

        Args:
            frame: (H, W, 3) uint8 RGB, of the size of the first frame; or what `see_frame` made of it.

        Returns:
            The tracks that the frame shows.

        Raises:
            ImageError: if the frame is not an 8-bit RGB picture.
            TrackingError: if its size differs from the first frame's.
            NonFiniteError: if the model's output is NaN.
        """
        index = self._frame_index
        kernels, present, seen = self._advance(frame)
        scores, classes = self.scores.max(1)
        tracks = present.nonzero()[:, 0]
        tracks = tracks[scores[tracks].argsort(descending=True, stable=True)][: self.thresholds.max_detections]
        if not len(tracks):
            return FrameTracks(index, index % self.key_frame_interval == 0, [])
        logits = self.model.masks(kernels[tracks][None], seen.features.mask_features)[0]
        masks = upsample_masks(logits, seen.geometry, self.thresholds.mask)
        instances = [
            TrackedInstance(int(classes[track]), float(scores[track]), mask.paint(*seen.geometry.original_size), track)
            for track, mask in zip(tracks.tolist(), masks, strict=True)
            if mask is not None
        ]
        return FrameTracks(index, index % self.key_frame_interval == 0, instances)

    @torch.inference_mode()
    def track_video(self, frames: Iterable[np.ndarray | SeenFrame], max_tracks: int = 10) -> list[Track]:
        """Tracks a whole video, from a `reset` on.

        Scores are known only at the end, so that masks are computed then, and only for what is returned. Until then
        each frame costs the memory of its mask features: kernel_dim x H/8 x W/8 floats, 2 MB at 384x640.

        Args:
            frames: (H, W, 3) uint8 RGB each, all of one size, or what `see_frame` made of them; may be a generator.
            max_tracks: number of (query, class) pairs with the best scores to return, as in MinVIS: one query may be
                returned with several classes, its masks being the same.

        Returns:
            The tracks, best first; pairs that no frame shows are left out.

        Raises:
            ImageError: if a frame is not an 8-bit RGB picture.
            TrackingError: if there is no frame, or their sizes differ.
            NonFiniteError: if the model's output is NaN.
        """
        self.reset()
        tracked = deque(self._advance(frame) for frame in frames)
        if not tracked:
            raise TrackingError("the video has no frames")
        num_classes = self._score_sum.shape[1]
        best = self.scores.flatten().topk(min(max_tracks, self._score_sum.numel()))
        pairs = [divmod(place, num_classes) for place in best.indices.tolist()]
        packed = {query: PackedMasks(*tracked[0][2].geometry.original_size) for query, _ in pairs}
        while tracked:
            kernels, present, seen = tracked.popleft()
            logits = self.model.masks(kernels[list(packed)][None], seen.features.mask_features)[0]
            masks = upsample_masks(logits, seen.geometry, self.thresholds.mask)
            for (query, track), mask in zip(packed.items(), masks, strict=True):
                track.append(mask if present[query] else None)
        return [
            Track(class_index, score, packed[query])
            for (query, class_index), score in zip(pairs, best.values.tolist(), strict=True)
            if any(mask is not None for mask in packed[query])
        ]

    def _advance(self, frame: np.ndarray | SeenFrame) -> tuple[Tensor, Tensor, SeenFrame]:
        """Runs the network on the next frame unless that was done, the instance decoder only if it is a key frame.

        Returns:
            Kernels (N, kernel_dim) and presence (N,) of the tracks, shared with the key frame, and the frame.
        """
        key_frame = self._frame_index % self.key_frame_interval == 0
        seen = frame if isinstance(frame, SeenFrame) else see_frame(self.model, self.config, frame, key_frame)
        size = seen.geometry.original_size
        if self._frame_size not in (None, size):
            raise TrackingError(
                f"frame {self._frame_index} has (height, width) {size}, the video began with {self._frame_size}; "
                "reset the tracker between videos"
            )
        if key_frame:
            if seen.prediction is None:
                raise TrackingError(f"frame {self._frame_index} is a key frame, but was seen without the decoder")
            self._take_key_frame(seen.prediction, seen.features, seen.geometry)
        self._frame_size = size
        self._frame_index += 1
        assert self._previous is not None
        return self._previous.prediction.kernels[0], self._present, seen

    def _take_key_frame(self, prediction: InstancePrediction, features: FrameFeatures, geometry: Geometry) -> None:
        """Puts the queries of a key frame in the order of the tracks and adds up their scores."""
        scores = instance_scores(prediction.class_logits[0], prediction.objectness_logits[0])
        logits = self.model.masks(prediction.kernels, features.mask_features)[0]
        current = KeyFrame(prediction, scores, features, inside(logits, geometry), geometry)
        if self.linker is not None and self._previous is not None:
            current = current.ordered(self.linker(self.model, self._previous, current))
        scores = current.scores
        self._present = scores.amax(1) > self.thresholds.score
        if self.score_maskness:
            scores = scores * maskness(current.masks, geometry, self.thresholds.mask)[:, None]
        self._previous = current
        self._score_sum = scores if self._key_frames == 0 else self._score_sum + scores
        self._key_frames += 1
