"""Tracks of a finished video, their masks kept small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from reference_model.upsampling import BoxedMask


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

    @property
    def bytes_held(self) -> int:
        """Memory of the packed bits, in bytes."""
        return sum(frame[3].nbytes for frame in self._frames if frame is not None)

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
