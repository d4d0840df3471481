"""The training objective: focal class loss, mask cross-entropy and dice, and IoU-aware objectness.

Paper: L = 2 L_class + 2 L_mask + 1 L_objectness with L_mask = dice + cross-entropy. What the paper leaves open
(normalisation, targets, the IoU that objectness learns) follows SparseInst.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_model.config import ModelConfig
from reference_model.mobileinst import MobileInstOutput, NonFiniteError
from reference_model.targets import InstanceTargets, TargetError, counted_pixels, to_mask_scale, valid_pixels

DICE_EPSILON = 1e-4


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


def assign(score: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs rows with columns so that the sum of their scores is largest.

    Args:
        score: (N, M), finite.

    Returns:
        Row and column of each of the min(N, M) pairs, int64, rows ascending.

    Raises:
        NonFiniteError: if a score is not finite.
    """
    from scipy.optimize import linear_sum_assignment  # 100 MB of modules that single pictures do without

    if not bool(torch.isfinite(score).all()):
        raise NonFiniteError("matching scores are not finite")
    rows, columns = linear_sum_assignment(score.double().cpu().numpy(), maximize=True)
    return torch.as_tensor(rows, device=score.device), torch.as_tensor(columns, device=score.device)


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
        score = matching_score(class_logits[image], mask_logits[image], target, valid[image], mask_power, class_power)
        try:
            matches.append(Match(*assign(score)))
        except NonFiniteError:
            raise NonFiniteError(
                f"the class or mask logits of image {image} in the batch are not numbers: training has diverged, "
                "lower the learning rate or clip the gradient"
            ) from None
    return matches


PREDICTED_MASK_THRESHOLD = 0.4
TARGET_MASK_THRESHOLD = 0.5


def focal_loss(logits: Tensor, targets: Tensor, alpha: float, gamma: float) -> Tensor:
    """Sigmoid focal loss (Lin et al., 2017).

    Args:
        logits: any shape.
        targets: same shape, zeros and ones.
        alpha: weight of the ones; the zeros weigh 1 - alpha.
        gamma: exponent of the probability given to the wrong answer.

    Returns:
        Scalar: the sum over all elements.
    """
    probability = logits.sigmoid()
    wrong = probability + targets - 2 * probability * targets
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (weight * wrong**gamma * cross_entropy).sum()


def dice_loss(probabilities: Tensor, masks: Tensor) -> Tensor:
    """One minus the dice coefficient with squared denominators.

    Args:
        probabilities: (K, P) in [0, 1].
        masks: (K, P) in [0, 1], the target of each row.

    Returns:
        (K,) in [0, 1].
    """
    overlap = (probabilities * masks).sum(1)
    size = probabilities.square().sum(1) + masks.square().sum(1)
    return 1 - 2 * overlap / (size + DICE_EPSILON)


@torch.no_grad()
def mask_iou(probabilities: Tensor, masks: Tensor) -> Tensor:
    """Intersection over union of binarised masks (prediction at 0.4, target above 0.5), which objectness learns.

    Args:
        probabilities: (K, P) in [0, 1]; zero where pixels do not count.
        masks: (K, P) in [0, 1], the target of each row.

    Returns:
        (K,) in [0, 1]; 0 where both masks are empty. Carries no gradient.
    """
    predicted = probabilities >= PREDICTED_MASK_THRESHOLD
    target = masks > TARGET_MASK_THRESHOLD
    intersection = (predicted & target).sum(1).to(probabilities.dtype)
    union = (predicted | target).sum(1).clamp(min=1)
    return intersection / union


def mean_over_ranks(count: int, device: torch.device) -> float:
    """Instances per rank, averaged over all ranks of a distributed run, at least 1.

    Args:
        count: this rank's number of instances.
        device: where the process group reduces.

    Returns:
        The normaliser of the summed losses, so that ranks with many and with few instances weigh instances alike.
    """
    mean = float(count)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        total = torch.tensor([mean], device=device)
        torch.distributed.all_reduce(total)
        mean = float(total) / torch.distributed.get_world_size()
    return max(mean, 1.0)


class Criterion(nn.Module):
    """Matches predictions with targets and weighs the four losses.

    Args:
        config: gives the loss weights, the focal loss's alpha and gamma, and the matching score's exponents.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.weights = {
            "loss_class": config.loss_weight_class,
            "loss_mask_bce": config.loss_weight_mask_bce,
            "loss_dice": config.loss_weight_dice,
            "loss_objectness": config.loss_weight_objectness,
        }

    def forward(
        self, output: MobileInstOutput, targets: Sequence[InstanceTargets], valid_size: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Computes the weighted losses of a batch.

        Args:
            output: class logits (B, N, C), objectness logits (B, N) and mask logits (B, N, h, w), h and w a quarter of
                the padded input.
            targets: one entry per image; an image without instances teaches the class loss only.
            valid_size: (B, 2) height and width of each resized image before padding, in pixels; None: no padding.
                Padded pixels, unless the configuration counts them, and those that a target ignores, take no part in
                matching or mask losses.

        Returns:
            Scalars "loss_class", "loss_mask_bce", "loss_dice", "loss_objectness", weighted, and with deep supervision
            the same behind "auxiliary/" for the first decoder's predictions, matched again; the loss is their sum.

        Raises:
            NonFiniteError: if logits are NaN.
            TargetError: if the targets do not fit the images.
        """
        return self.supervise(output, *self.prepare(output, targets, valid_size))[0]

    def supervise(
        self, output: MobileInstOutput, targets: Sequence[InstanceTargets], valid: Tensor
    ) -> tuple[dict[str, Tensor], list[Match]]:
        """Matches and computes the weighted losses; `targets` and `valid` at mask scale (`prepare`).

        Returns:
            What `forward` returns, and who was matched with whom.
        """
        instances = sum(len(target.labels) for target in targets)
        matches = self.match(output, targets, valid)
        values = self.losses(output, targets, valid, matches, instances)
        if output.auxiliary is not None:
            early_matches = self.match(output.auxiliary, targets, valid)
            early = self.losses(output.auxiliary, targets, valid, early_matches, instances)
            weight = self.config.loss_weight_deep_supervision
            values |= {f"auxiliary/{name}": weight * value for name, value in early.items()}
        return values, matches

    def match(self, output: MobileInstOutput, targets: Sequence[InstanceTargets], valid: Tensor) -> list[Match]:
        """Pairs queries with instances; `targets` and `valid` at mask scale (`prepare`)."""
        config = self.config
        return match(
            output.class_logits,
            output.mask_logits,
            targets,
            valid,
            mask_power=config.matcher_mask_power,
            class_power=config.matcher_class_power,
        )

    def prepare(
        self, output: MobileInstOutput, targets: Sequence[InstanceTargets], valid_size: Tensor | None
    ) -> tuple[list[InstanceTargets], Tensor]:
        """Brings targets and valid area to the scale of the mask logits; arguments as in `forward`.

        Returns:
            The targets with masks at (h, w), and the pixels (B, h, w) that count: neither padded nor ignored.
        """
        batch, _, height, width = output.mask_logits.shape
        shown = None if self.config.loss_counts_padding else valid_size
        valid = valid_pixels(shown, batch, (height, width), output.mask_logits.device)
        valid = valid.to(torch.promote_types(output.mask_logits.dtype, torch.float32))
        targets = to_mask_scale(targets, valid)
        return targets, counted_pixels(targets, valid)

    def losses(
        self,
        output: MobileInstOutput,
        targets: Sequence[InstanceTargets],
        valid: Tensor,
        matches: Sequence[Match],
        instances: int,
    ) -> dict[str, Tensor]:
        """Computes the weighted losses for a given matching.

        Args:
            output: as in `forward`.
            targets: with masks at (h, w) (`prepare`).
            valid: (B, h, w) of zeros and ones.
            matches: one per image; queries that are in no pair are background.
            instances: number of instances by which this rank's summed losses are normalised.

        Returns:
            As `forward`.

        Raises:
            NonFiniteError: if class or objectness logits are not finite.
        """
        class_logits, objectness_logits = output.class_logits, output.objectness_logits
        if not bool(torch.isfinite(class_logits).all() & torch.isfinite(objectness_logits).all()):
            raise NonFiniteError(
                "class or objectness logits are not finite: training has diverged, lower the learning rate"
            )
        image = torch.cat([torch.full_like(pairs.queries, index) for index, pairs in enumerate(matches)])
        query = torch.cat([pairs.queries for pairs in matches])
        labels = torch.cat([target.labels[pairs.instances] for target, pairs in zip(targets, matches, strict=True)])
        masks = torch.cat([target.masks[pairs.instances] for target, pairs in zip(targets, matches, strict=True)])
        normaliser = mean_over_ranks(instances, class_logits.device)

        class_targets = torch.zeros_like(class_logits)
        class_targets[image, query, labels] = 1
        logits = output.mask_logits[image, query].to(masks.dtype).flatten(1)
        masks, counted = masks.flatten(1), valid[image].flatten(1)
        probabilities = logits.sigmoid() * counted
        cross_entropy = F.binary_cross_entropy_with_logits(logits, masks, weight=counted, reduction="sum")
        objectness = F.binary_cross_entropy_with_logits(
            objectness_logits[image, query], mask_iou(probabilities, masks).to(objectness_logits.dtype), reduction="sum"
        )
        values = {
            "loss_class": focal_loss(class_logits, class_targets, self.config.focal_alpha, self.config.focal_gamma)
            / normaliser,
            "loss_mask_bce": cross_entropy / counted.sum().clamp(min=1),
            "loss_dice": dice_loss(probabilities, masks).sum() / normaliser,
            "loss_objectness": objectness / max(len(query), 1),
        }
        return {name: self.weights[name] * value for name, value in values.items()}
