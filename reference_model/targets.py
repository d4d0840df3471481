"""What a frame should have been segmented into, and its form at the scale of the mask logits."""

from __future__ import annotations

from collections.abc import Sequence
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
    """

    labels: Tensor
    masks: Tensor
    instance_ids: Tensor


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

    Masks are reduced bilinearly, as in SparseInst, so that outlines become soft values, and set to zero in the padding.
    An instance that leaves no trace at this scale is dropped: no query could be told apart by it.

    Args:
        targets: one entry per image, M instances each (M may be 0 and differ between images).
        valid: (B, h, w) of zeros and ones from `valid_pixels`.

    Returns:
        The targets with float masks (M', h, w) in [0, 1], M' <= M.

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
    if count == 0:
        return InstanceTargets(labels, valid.new_zeros(0, height, width), instance_ids)
    if target.masks.shape[1] * width != target.masks.shape[2] * height:
        raise TargetError(
            f"image {image}: masks of {tuple(target.masks.shape[1:])} do not cover the padded input, whose mask logits "
            f"are {(height, width)}"
        )
    masks = target.masks.to(valid.device, torch.promote_types(valid.dtype, torch.float32))
    if masks.shape[1:] != valid.shape:
        masks = F.interpolate(masks[:, None], size=(height, width), mode="bilinear", align_corners=False)[:, 0]
    masks = masks * valid
    seen = masks.flatten(1).amax(1) > 0
    return InstanceTargets(labels[seen], masks[seen], instance_ids[seen])
