"""Video: kernel reuse between key frames and kernel association from one key frame to the next.

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
from typing import Literal, NamedTuple, overload

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reference_model.config import ModelConfig
from reference_model.images import (
    BoxedMask,
    Geometry,
    Thresholds,
    instance_scores,
    maskness,
    preprocess,
    upsample_masks,
)
from reference_model.instance_decoder import InstancePrediction
from reference_model.mobileinst import FrameFeatures, MobileInst, NonFiniteError


def cosine_similarity(previous: Tensor, current: Tensor) -> Tensor:
    """Cosine of the angle between every previous and every current vector.

    Args:
        previous: (N, D).
        current: (M, D).

    Returns:
        (N, M) in [-1, 1]; 0 for a zero vector.
    """
    return F.normalize(previous, dim=1) @ F.normalize(current, dim=1).T


def associate(previous: Tensor, current: Tensor) -> Tensor:
    """Finds the order of the current queries in which they continue the previous ones with the largest sum of cosines.

    Args:
        previous: (N, D) kernels, or embeddings, of the previous key frame in the order of the tracks.
        current: (N, D) of the current key frame in the order of the queries.

    Returns:
        (N,) int64: the query that continues each track; every query exactly once.

    Raises:
        NonFiniteError: if the numbers are not finite.
    """
    from scipy.optimize import linear_sum_assignment  # 100 MB of modules that single pictures do without

    similarity = cosine_similarity(previous, current)
    if not bool(torch.isfinite(similarity).all()):
        raise NonFiniteError("kernels are not finite: the model's weights are spoiled")
    _, order = linear_sum_assignment(similarity.double().cpu().numpy(), maximize=True)
    return torch.as_tensor(order, dtype=torch.long, device=current.device)


class PackedMasks(Sequence[np.ndarray | None]):
    """The masks of one track, one per frame, each kept as the bits of its box and unpacked when asked for.

    Args:
        height: of the frames, in pixels.
        width: of the frames, in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height = height
        self.width = width
        self._frames: list[tuple[int, int, tuple[int, int], np.ndarray] | None] = []

    def append(self, mask: BoxedMask | None) -> None:
        """Adds the next frame's mask; None where the track is not shown."""
        if mask is None:
            self._frames.append(None)
        else:
            self._frames.append((mask.top, mask.left, mask.crop.shape, np.packbits(mask.crop.T)))

    @property
    def frames_shown(self) -> int:
        """Number of frames with a mask."""
        return sum(frame is not None for frame in self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, index: int) -> np.ndarray | None: ...

    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray | None]: ...

    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray | None] | None:
        """Returns a frame's mask, (height, width) bool, stored column by column; None where it is not shown."""
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
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


class TrackingError(ValueError):
    """A tracker used in a way that cannot give tracks; the message is one line."""


@dataclass(frozen=True)
class TrackedInstance:
    """One track as one frame shows it.

    Attributes:
        track_index: in [0, num_queries); the same number is the same object until `reset`.
        class_index: the track's likeliest class so far.
        score: of that class, the mean over the key frames so far, in [0, 1].
        mask: (H, W) bool at the size of the frame, stored column by column.
    """

    track_index: int
    class_index: int
    score: float
    mask: np.ndarray


@dataclass(frozen=True)
class FrameTracks:
    """What a tracker says of one frame: `instances` by score, best first; `frame_index` counts from 0."""

    frame_index: int
    is_key_frame: bool
    instances: list[TrackedInstance]


class _Frame(NamedTuple):
    """A frame after the network: where its masks come from."""

    kernels: Tensor  # (N, kernel_dim) in the order of the tracks, shared by the frames of one key frame
    mask_features: Tensor  # (1, kernel_dim, H/8, W/8)
    present: Tensor  # (N,) bool
    geometry: Geometry


class OnlineTracker:
    """Tracks the instances of a video, one frame at a time.

    The memory it holds between frames does not grow with the video: the last key frame's kernels and running sums.
    `track_video` in contrast keeps each frame's mask features until the video ends.

    Args:
        model: is put into evaluation mode.
        config: of the model.
        key_frame_interval: T; the instance decoder runs on every T-th frame, from the first.
        association: whether queries are put in the order of the previous key frame's; otherwise query i is track i.
        associate_on: what is compared: the mask ``"kernels"`` (paper), or Q^G, the ``"queries"`` after one decoder.
        score_maskness: whether a key frame's scores are multiplied by the mean foreground probability of its masks.
        thresholds: `score` and `mask` say which tracks a frame shows; `max_detections` limits their number.

    Raises:
        TrackingError: if the interval is not positive.
    """

    def __init__(
        self,
        model: MobileInst,
        config: ModelConfig,
        key_frame_interval: int = 3,
        association: bool = True,
        associate_on: Literal["kernels", "queries"] = "kernels",
        score_maskness: bool = True,
        thresholds: Thresholds | None = None,
    ) -> None:
        if key_frame_interval < 1:
            raise TrackingError(f"key_frame_interval {key_frame_interval} must be at least 1")
        if associate_on not in ("kernels", "queries"):
            raise TrackingError(f"associate_on {associate_on!r} must be 'kernels' or 'queries'")
        self.model = model.eval()
        self.config = config
        self.key_frame_interval = key_frame_interval
        self.association = association
        self.associate_on = associate_on
        self.score_maskness = score_maskness
        self.thresholds = thresholds or Thresholds()
        self.reset()

    def reset(self) -> None:
        """Forgets the video; the next frame is the first of another."""
        self._frame_index = 0
        self._key_frames = 0
        self._frame_size: tuple[int, int] | None = None
        self._kernels = self._compared = self._score_sum = self._present = torch.zeros(0)

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
    def push(self, frame: np.ndarray) -> FrameTracks:
        """Takes the next frame of the video.

        Args:
            frame: (H, W, 3) uint8 RGB, of the size of the first frame.

        Returns:
            The tracks that the frame shows.

        Raises:
            ImageError: if the frame is not an 8-bit RGB picture.
            TrackingError: if its size differs from the first frame's.
            NonFiniteError: if the model's output is NaN.
        """
        index = self._frame_index
        seen = self._advance(frame)
        scores, classes = self.scores.max(1)
        tracks = seen.present.nonzero()[:, 0]
        tracks = tracks[scores[tracks].argsort(descending=True, stable=True)][: self.thresholds.max_detections]
        logits = self.model.masks(seen.kernels[tracks][None], seen.mask_features)[0]
        height, width = frame.shape[:2]
        instances = [
            TrackedInstance(track, int(classes[track]), float(scores[track]), mask.paint(height, width))
            for track, mask in zip(
                tracks.tolist(), upsample_masks(logits, seen.geometry, self.thresholds.mask), strict=True
            )
            if mask is not None
        ]
        return FrameTracks(index, index % self.key_frame_interval == 0, instances)

    @torch.inference_mode()
    def track_video(self, frames: Iterable[np.ndarray], max_tracks: int = 10) -> list[Track]:
        """Tracks a whole video, from a `reset` on.

        Scores are known only at the end, so that masks are computed then, and only for what is returned. Until then
        each frame costs the memory of its mask features: kernel_dim x H/8 x W/8 floats, 2 MB at 384x640.

        Args:
            frames: (H, W, 3) uint8 RGB each, all of one size; may be a generator.
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
        seen = deque(self._advance(frame) for frame in frames)
        if not seen:
            raise TrackingError("the video has no frames")
        num_classes = self._score_sum.shape[1]
        best = self.scores.flatten().topk(min(max_tracks, self._score_sum.numel()))
        pairs = [divmod(place, num_classes) for place in best.indices.tolist()]
        packed = {query: PackedMasks(*frame_size(seen[0].geometry)) for query, _ in pairs}
        while seen:
            frame = seen.popleft()
            logits = self.model.masks(frame.kernels[list(packed)][None], frame.mask_features)[0]
            masks = upsample_masks(logits, frame.geometry, self.thresholds.mask)
            for (query, track), mask in zip(packed.items(), masks, strict=True):
                track.append(mask if frame.present[query] else None)
        return [
            Track(class_index, score, packed[query])
            for (query, class_index), score in zip(pairs, best.values.tolist(), strict=True)
            if packed[query].frames_shown
        ]

    def _advance(self, frame: np.ndarray) -> _Frame:
        """Runs the network on the next frame, the instance decoder only if it is a key frame."""
        pixels, geometry = preprocess(frame, self.config)
        size = frame_size(geometry)
        if self._frame_size not in (None, size):
            raise TrackingError(
                f"frame {self._frame_index} has (height, width) {size}, the video began with {self._frame_size}; "
                "reset the tracker between videos"
            )
        features = self.model.encode(pixels.to(next(self.model.parameters()).device))
        if self._frame_index % self.key_frame_interval == 0:
            self._take_key_frame(self.model.decode(features), features, geometry)
        self._frame_size = size
        self._frame_index += 1
        return _Frame(self._kernels, features.mask_features, self._present, geometry)

    def _take_key_frame(self, prediction: InstancePrediction, features: FrameFeatures, geometry: Geometry) -> None:
        """Puts the queries of a key frame in the order of the tracks and adds up their scores."""
        kernels = prediction.kernels[0]
        compared = kernels if self.associate_on == "kernels" else prediction.global_queries[0]
        scores = instance_scores(prediction.class_logits[0], prediction.objectness_logits[0])
        present = scores.amax(1) > self.thresholds.score
        if self.score_maskness:
            logits = self.model.masks(prediction.kernels, features.mask_features)[0]
            scores = scores * maskness(logits, geometry, self.thresholds.mask)[:, None]
        if self.association and self._key_frames:
            order = associate(self._compared, compared)
            kernels, compared, scores, present = (part[order] for part in (kernels, compared, scores, present))
        self._kernels, self._compared, self._present = kernels, compared, present
        self._score_sum = scores if self._key_frames == 0 else self._score_sum + scores
        self._key_frames += 1


def frame_size(geometry: Geometry) -> tuple[int, int]:
    """Height and width of the original picture, in pixels."""
    return geometry.original_height, geometry.original_width
