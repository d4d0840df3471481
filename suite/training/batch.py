"""What one step of training sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from reference_model.targets import InstanceTargets


@dataclass(frozen=True)
class Batch:
    """Images and what they should be segmented into.

    Attributes:
        images: (B, 3, H, W) float32, normalised, padded with zeros at the right and the bottom, channels last.
        targets: one entry per image; masks cover the padded input, at its size or evenly reduced.
        valid_size: (B, 2) height and width of each image before padding, in pixels; None: nothing is padded.
        image_ids: the dataset's id of each image, for messages; may be empty.

    In an iteration on pairs the first half holds frames t and the second half, in the same order, frames t + delta of
    the same videos, flipped, scaled and cropped alike, so that both halves of ``valid_size`` are equal.
    """

    images: Tensor
    targets: list[InstanceTargets]
    valid_size: Tensor | None = None
    image_ids: tuple[int | str, ...] = ()

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; images keep their memory format."""
        if self.images.device == device:
            return self
        return self._map(lambda part: part.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory, which a GPU copies from without waiting."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        size = None if self.valid_size is None else change(self.valid_size)
        return Batch(change(self.images), [target.map(change) for target in self.targets], size, self.image_ids)
