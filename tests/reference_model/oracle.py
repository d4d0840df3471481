"""The training objective once more, in float64 loops written from the definitions, to compare with."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import torch
from torch import Tensor

from reference_model.config import VARIANTS, ModelConfig
from reference_model.mobileinst import MobileInstOutput
from reference_model.targets import InstanceTargets

CONFIG = dataclasses.replace(VARIANTS["mobileinst_topformer_tiny_shapes"], num_classes=3)


def output_of(class_logits: Tensor, objectness_logits: Tensor, mask_logits: Tensor) -> MobileInstOutput:
    """A model's output of which only the logits matter."""
    empty = mask_logits.new_zeros(0)
    return MobileInstOutput(class_logits, objectness_logits, empty, empty, mask_logits, empty)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))


def cross_entropy(logit: float, target: float) -> float:
    return max(logit, 0) - logit * target + math.log1p(math.exp(-abs(logit)))


def shrink(mask: np.ndarray, factor: int = 4) -> np.ndarray:
    """Bilinear reduction by 4: the mean of the 2 x 2 pixels around each cell's centre."""
    height, width = mask.shape[0] // factor, mask.shape[1] // factor
    small = np.zeros((height, width))
    for y, x in itertools.product(range(height), range(width)):
        top, left = factor * y + factor // 2 - 1, factor * x + factor // 2 - 1
        small[y, x] = mask[top : top + 2, left : left + 2].astype(float).mean()
    return small


def crop(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The cells whose centres lie inside an image of `size` pixels."""
    rows = [y for y in range(array.shape[0]) if 4 * y + 2 < size[0]]
    columns = [x for x in range(array.shape[1]) if 4 * x + 2 < size[1]]
    return array[np.ix_(rows, columns)]


def dice(probability: np.ndarray, mask: np.ndarray) -> float:
    overlap = sum(p * m for p, m in zip(probability.flat, mask.flat, strict=True))
    size = sum(p * p for p in probability.flat) + sum(m * m for m in mask.flat)
    return 2 * overlap / (size + 1e-4)


def best_assignment(score: np.ndarray) -> dict[int, int]:
    """Query -> instance with the largest sum of scores, by trying every assignment."""
    queries, instances = score.shape
    best: dict[int, int] = {}
    best_sum = -1.0
    pairs = min(queries, instances)
    for chosen in itertools.combinations(range(instances), pairs):
        for order in itertools.permutations(range(queries), pairs):
            total = sum(score[q, m] for q, m in zip(order, chosen, strict=True))
            if total > best_sum:
                best_sum, best = total, dict(zip(order, chosen, strict=True))
    return best


def scores(
    class_logits: np.ndarray, probabilities: list[np.ndarray], labels: list[int], masks: list[np.ndarray]
) -> np.ndarray:
    table = np.zeros((len(probabilities), len(masks)))
    for q, m in itertools.product(range(len(probabilities)), range(len(masks))):
        table[q, m] = dice(probabilities[q], masks[m]) ** 0.8 * sigmoid(class_logits[q, labels[m]]) ** 0.2
    return table


def criterion(
    output: MobileInstOutput,
    targets: list[InstanceTargets],
    sizes: list[tuple[int, int]],
    weights: ModelConfig,
    assignments: list[dict[int, int]] | None = None,
    instances: int | None = None,
) -> dict[str, float]:
    """The weighted losses; `assignments` maps query to instance for each image, best_assignment where not given."""
    focal = mask_bce = dice_sum = objectness = 0.0
    pixels = matched = 0
    for image, target in enumerate(targets):
        class_logits = output.class_logits[image].double().numpy()
        logits = [crop(one, sizes[image]) for one in output.mask_logits[image].double().numpy()]
        probabilities = [np.vectorize(sigmoid)(one) for one in logits]
        masks = [crop(shrink(one), sizes[image]) for one in target.masks.numpy()]
        labels = target.labels.tolist()
        if assignments is not None:
            pairs = assignments[image]
        else:
            pairs = best_assignment(scores(class_logits, probabilities, labels, masks)) if masks else {}
        for query, category in itertools.product(range(class_logits.shape[0]), range(class_logits.shape[1])):
            positive = query in pairs and labels[pairs[query]] == category
            p = sigmoid(class_logits[query, category])
            p_true, alpha = (p, 0.25) if positive else (1 - p, 0.75)
            focal += -alpha * (1 - p_true) ** 2 * math.log(p_true)
        for query, instance in pairs.items():
            matched += 1
            mask = masks[instance]
            pixels += mask.size
            mask_bce += sum(cross_entropy(x, m) for x, m in zip(logits[query].flat, mask.flat, strict=True))
            dice_sum += 1 - dice(probabilities[query], mask)
            seen, there = probabilities[query] >= 0.4, mask > 0.5
            union = (seen | there).sum()
            iou = (seen & there).sum() / union if union else 0.0
            objectness += cross_entropy(float(output.objectness_logits[image, query]), iou)
    normaliser = max(sum(len(target.labels) for target in targets) if instances is None else instances, 1)
    return {
        "loss_class": weights.loss_weight_class * focal / normaliser,
        "loss_mask_bce": weights.loss_weight_mask_bce * mask_bce / max(pixels, 1),
        "loss_dice": weights.loss_weight_dice * dice_sum / normaliser,
        "loss_objectness": weights.loss_weight_objectness * objectness / max(matched, 1),
    }


def random_output(
    generator: torch.Generator, batch: int, queries: int, classes: int, size: tuple[int, int]
) -> MobileInstOutput:
    return output_of(
        torch.randn(batch, queries, classes, generator=generator, dtype=torch.float64) * 2,
        torch.randn(batch, queries, generator=generator, dtype=torch.float64),
        torch.randn(batch, queries, *size, generator=generator, dtype=torch.float64) * 3,
    )


def random_targets(
    generator: torch.Generator, counts: list[int], classes: int, sizes: list[tuple[int, int]], padded: tuple[int, int]
) -> list[InstanceTargets]:
    """Rectangles of at least 5 pixels a side inside each image, so that none vanishes at mask scale."""
    targets = []
    for count, (height, width) in zip(counts, sizes, strict=True):
        masks = torch.zeros(count, *padded, dtype=torch.bool)
        for mask in masks:
            top, left = (int(torch.randint(0, extent - 6, (), generator=generator)) for extent in (height, width))
            bottom = int(torch.randint(top + 5, height, (), generator=generator))
            right = int(torch.randint(left + 5, width, (), generator=generator))
            mask[top : bottom + 1, left : right + 1] = True
        labels = torch.randint(0, classes, (count,), generator=generator)
        targets.append(InstanceTargets(labels, masks, torch.randperm(count, generator=generator)))
    return targets
