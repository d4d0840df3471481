"""What a frame should have been segmented into, and its form at the scale of the mask logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

MASK_STRIDE = 4
"""Input pixels per pixel of the mask logits, along either axis."""


class TargetError(ValueError):
    """Targets that cannot belong to the images they came with."""


class InstanceTargets(NamedTuple):
    """The ground truth of one image.

    Attributes:
        labels: (M,) int64 contiguous class indices in [0, num_classes).
        masks: (M, H, W) bool, or float in [0, 1], covering the padded input: at its size or evenly reduced.
        instance_ids: (M,) int64, unique in the image; the same object has the same id in every frame of its video.
        ignored: (H, W) bool, at the size of the masks: pixels of crowds, of which no single object is known. They take
            no part in matching and mask losses. None: there are none.
    """

    labels: Tensor
    masks: Tensor
    instance_ids: Tensor
    ignored: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> InstanceTargets:
        """Returns the target with every tensor changed, e.g. moved to a device."""
        ignored = None if self.ignored is None else change(self.ignored)
        return InstanceTargets(change(self.labels), change(self.masks), change(self.instance_ids), ignored)


def valid_pixels(valid_size: Tensor | None, batch: int, mask_size: tuple[int, int], device: torch.device) -> Tensor:
    """Marks the mask-logit pixels that show image rather than padding.

    A pixel counts when its centre lies inside the image. At stride 4 that is the same as saying that the bilinear
    reduction of a target mask to this scale reads no padded pixel there.

    Args:
        valid_size: (B, 2) height and width in input pixels of each resized image before padding; None: no padding.
        batch: number of images B.
        mask_size: height and width (h, w) of the mask logits.
        device: where the result is needed.

    Returns:
        (B, h, w) float32 of zeros and ones.

    Raises:
        TargetError: if a size is not positive, exceeds the padded input, or there is not one for every image.
    """
    height, width = mask_size
    if valid_size is None:
        return torch.ones(batch, height, width, device=device)
    if tuple(valid_size.shape) != (batch, 2):
        raise TargetError(
            f"valid_size has shape {tuple(valid_size.shape)}, expected ({batch}, 2): height, width per image"
        )
    valid_size = valid_size.to(device)
    limit = torch.tensor([height, width], device=device) * MASK_STRIDE
    if bool((valid_size <= 0).any()) or bool((valid_size > limit).any()):
        raise TargetError(f"valid_size {valid_size.tolist()} is not inside the padded input of {limit.tolist()} pixels")
    row = (torch.arange(height, device=device) + 0.5) * MASK_STRIDE < valid_size[:, :1]
    column = (torch.arange(width, device=device) + 0.5) * MASK_STRIDE < valid_size[:, 1:]
    return (row[:, :, None] & column[:, None, :]).float()


def to_mask_scale(targets: Sequence[InstanceTargets], valid: Tensor) -> list[InstanceTargets]:
    """Brings target masks to the scale at which they are compared with predictions.

    Masks are reduced bilinearly, as in SparseInst, so that outlines become soft values, and set to zero in the padding
    and where pixels are ignored. An instance that leaves no trace at this scale is dropped: no query could be told
    apart by it.

    Args:
        targets: one entry per image, M instances each (M may be 0 and differ between images).
        valid: (B, h, w) of zeros and ones from `valid_pixels`.

    Returns:
        The targets with float masks (M', h, w) in [0, 1], M' <= M, and ignored pixels (h, w).

    Raises:
        TargetError: if the parts of a target do not fit each other or the images.
    """
    if len(targets) != len(valid):
        raise TargetError(f"{len(targets)} targets for {len(valid)} images")
    return [_one_to_mask_scale(target, valid[index], index) for index, target in enumerate(targets)]


def _one_to_mask_scale(target: InstanceTargets, valid: Tensor, image: int) -> InstanceTargets:
    height, width = valid.shape
    count = len(target.labels)
    if target.masks.dim() != 3 or len(target.masks) != count or len(target.instance_ids) != count:
        raise TargetError(
            f"image {image}: {count} labels, {len(target.instance_ids)} ids and masks of shape "
            f"{tuple(target.masks.shape)} are not one of each per instance"
        )
    labels, instance_ids = target.labels.to(valid.device), target.instance_ids.to(valid.device)
    ignored = _reduced_ignored(target, valid, image)
    if count == 0:
        return InstanceTargets(labels, valid.new_zeros(0, height, width), instance_ids, ignored)
    if target.masks.shape[1] * width != target.masks.shape[2] * height:
        raise TargetError(
            f"image {image}: masks of {tuple(target.masks.shape[1:])} do not cover the padded input, whose mask logits "
            f"are {(height, width)}"
        )
    masks = target.masks.to(valid.device, torch.promote_types(valid.dtype, torch.float32))
    if masks.shape[1:] != valid.shape:
        masks = F.interpolate(masks[:, None], size=(height, width), mode="bilinear", align_corners=False)[:, 0]
    masks = masks * valid if ignored is None else masks * valid * ~ignored
    seen = masks.flatten(1).amax(1) > 0
    return InstanceTargets(labels[seen], masks[seen], instance_ids[seen], ignored)


def _reduced_ignored(target: InstanceTargets, valid: Tensor, image: int) -> Tensor | None:
    """Ignored pixels (h, w) bool at the scale of `valid`: those of which more than half is ignored."""
    if target.ignored is None:
        return None
    if target.ignored.shape != target.masks.shape[1:]:
        raise TargetError(
            f"image {image}: ignored pixels of {tuple(target.ignored.shape)} for masks of "
            f"{tuple(target.masks.shape[1:])}"
        )
    ignored = target.ignored.to(valid.device, torch.float32)
    if ignored.shape != valid.shape:
        ignored = F.interpolate(ignored[None, None], size=tuple(valid.shape), mode="bilinear", align_corners=False)[
            0, 0
        ]
    return ignored > 0.5


def counted_pixels(targets: Sequence[InstanceTargets], valid: Tensor) -> Tensor:
    """Returns the valid pixels without the ignored ones; `targets` at mask scale (`to_mask_scale`).

    Args:
        targets: one entry per image.
        valid: (B, h, w) of zeros and ones from `valid_pixels`.

    Returns:
        (B, h, w) of zeros and ones; `valid` itself where no target ignores anything.
    """
    if all(target.ignored is None for target in targets):
        return valid
    rows = zip(targets, valid, strict=True)
    return torch.stack([area if target.ignored is None else area * ~target.ignored for target, area in rows])
