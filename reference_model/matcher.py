"""Bipartite matching of queries and instances (SparseInst's score, maximised by the Hungarian algorithm)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from reference_model.targets import InstanceTargets, TargetError

DICE_EPSILON = 1e-4


class NonFiniteError(ValueError):
    """Predictions contain NaN or infinity: training has diverged."""


class Match(NamedTuple):
    """The pairs of one image, ascending in the query.

    Attributes:
        queries: (K,) int64 query indices.
        instances: (K,) int64 indices into the image's targets, each at most once.
    """

    queries: Tensor
    instances: Tensor


def pairwise_dice(probabilities: Tensor, masks: Tensor) -> Tensor:
    """Dice coefficient, with squared denominators, of every predicted with every target mask.

    Args:
        probabilities: (N, P) mask probabilities in [0, 1] over P pixels.
        masks: (M, P) target values in [0, 1].

    Returns:
        (N, M) in [0, 1].
    """
    overlap = probabilities @ masks.T
    size = probabilities.square().sum(1)[:, None] + masks.square().sum(1)[None, :]
    return 2 * overlap / (size + DICE_EPSILON)


@torch.no_grad()
def matching_score(
    class_logits: Tensor,
    mask_logits: Tensor,
    target: InstanceTargets,
    valid: Tensor,
    mask_power: float,
    class_power: float,
) -> Tensor:
    """How well each query explains each instance of one image: a power of dice times a power of class probability.

    Args:
        class_logits: (N, C).
        mask_logits: (N, h, w).
        target: M instances with masks at (h, w), zero in the padding (`to_mask_scale`).
        valid: (h, w) of zeros and ones; zero where the input is padding.
        mask_power: exponent of the dice coefficient; 0.8 in SparseInst.
        class_power: exponent of the probability of the instance's class; 0.2 in SparseInst.

    Returns:
        (N, M) in [0, 1].

    Raises:
        TargetError: if a label is not a class of the model.
    """
    classes = class_logits.shape[1]
    if len(target.labels) and not 0 <= int(target.labels.min()) <= int(target.labels.max()) < classes:
        raise TargetError(f"labels {target.labels.tolist()} are not all in [0, {classes}), the classes of the model")
    probabilities = mask_logits.sigmoid().mul_(valid).flatten(1)
    dice = pairwise_dice(probabilities, target.masks.to(probabilities.dtype).flatten(1))
    class_probability = class_logits[:, target.labels].sigmoid()
    return dice.pow_(mask_power) * class_probability.pow_(class_power)


@torch.no_grad()
def match(
    class_logits: Tensor,
    mask_logits: Tensor,
    targets: Sequence[InstanceTargets],
    valid: Tensor,
    mask_power: float,
    class_power: float,
) -> list[Match]:
    """Pairs queries with instances, image by image, so that the sum of matching scores is largest.

    Args:
        class_logits: (B, N, C).
        mask_logits: (B, N, h, w).
        targets: one entry per image with masks at (h, w) (`to_mask_scale`).
        valid: (B, h, w) of zeros and ones; zero where the input is padding.
        mask_power: see `matching_score`.
        class_power: see `matching_score`.

    Returns:
        One `Match` per image with min(N, M) pairs.

    Raises:
        NonFiniteError: if a score is NaN, naming the image.
        TargetError: if a label is not a class of the model.
    """
    matches = []
    for image, target in enumerate(targets):
        if len(target.labels) == 0:
            nothing = torch.zeros(0, dtype=torch.long, device=mask_logits.device)
            matches.append(Match(nothing, nothing))
            continue
        score = matching_score(class_logits[image], mask_logits[image], target, valid[image], mask_power, class_power)
        if not bool(torch.isfinite(score).all()):
            raise NonFiniteError(
                f"the class or mask logits of image {image} in the batch are not numbers: training has diverged, "
                "lower the learning rate or clip the gradient"
            )
        queries, instances = linear_sum_assignment(score.double().cpu().numpy(), maximize=True)
        matches.append(
            Match(
                torch.as_tensor(queries, dtype=torch.long, device=mask_logits.device),
                torch.as_tensor(instances, dtype=torch.long, device=mask_logits.device),
            )
        )
    return matches
