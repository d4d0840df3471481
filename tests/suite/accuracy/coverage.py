"""How often the 95 % intervals of AP cover the truth, in simulated worlds where it is known: docs/decisions.md."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suite.accuracy.intervals import WeightedAp, bootstrap, statistics
from suite.accuracy.matches import Instances, Matches

ENDLESS = 30_000
"""So many images give the AP of endless images to a few thousandths of its size."""


@dataclass(frozen=True)
class World:
    """Images and a detector whose quality differs from image to image.

    Attributes:
        objects: mean number of objects an image, by category.
        separation: how far scores of hits lie above those of false detections, in standard deviations.
        quality: the two parameters of the beta distribution of an image's quality.
    """

    objects: tuple[float, ...]
    separation: float
    quality: tuple[float, float]


WORLDS = {
    "low AP": World((1.5, 0.7, 0.4), 1, (4, 2)),
    "higher AP": World((1.5, 0.7, 0.4), 3, (8, 2)),
    "rare categories": World((1.0, 0.3, 0.1, 0.05, 0.05, 0.03), 2, (5, 2)),
}


def matched(
    units: NDArray[np.int64], categories: NDArray[np.int64], hit: NDArray[np.bool_], objects: NDArray[np.int64]
) -> Matches:
    """Return matches of detections in order; ``objects``: how many there are, shape (units, categories)."""
    nothing = np.zeros_like(hit)[None]
    places = np.nonzero(objects)
    unit, category = (np.repeat(place, objects[places]) for place in places)

    def instances(unit: NDArray[np.int64], category: NDArray[np.int64]) -> Instances:
        plain = np.ones(len(unit))
        return Instances(unit, category, plain, plain, plain < 1, np.arange(len(unit)))

    counted = np.ones((1, len(unit)), np.bool_)
    sides = instances(units, categories), instances(unit, category)
    return Matches(*objects.shape, *sides, hit[None], nothing, counted, counted[:, None])


def _detected(
    rng: np.random.Generator, world: World, objects: NDArray[np.int64], quality: NDArray[np.float64]
) -> Matches:
    """Return the matches of one detector on these images."""
    units, categories, hits = [], [], []
    for category in range(len(world.objects)):
        unit = np.repeat(np.arange(len(objects)), objects[:, category])
        level = rng.random(len(unit))
        hit = level[None, :] < quality[unit][None, :] * np.linspace(1, 0.3, 10)[:, None]
        false = np.repeat(np.arange(len(objects)), rng.poisson(1.0, len(objects)))
        scores = np.concatenate([rng.normal(world.separation, 1, len(unit)), rng.normal(0, 1, len(false))])
        order = np.argsort(-scores, kind="stable")
        hits.append(np.concatenate([hit, np.zeros((10, len(false)), np.bool_)], axis=1)[:, order])
        units.append(np.concatenate([unit, false])[order])
        categories.append(np.full(len(order), category))
    return matched(np.concatenate(units), np.concatenate(categories), np.concatenate(hits, axis=1), objects)


def pair(rng: np.random.Generator, images: int, world: World) -> tuple[Matches, Matches]:
    """Return the matches of two detectors on the same images, the second one a tenth worse and otherwise on its own."""
    objects = rng.poisson(world.objects, (images, len(world.objects)))
    quality = rng.beta(*world.quality, images)
    return _detected(rng, world, objects, quality), _detected(rng, world, objects, 0.9 * quality)


def population(rng: np.random.Generator, images: int, world: World = WORLDS["low AP"]) -> Matches:
    """Return what a detector's matches on that many images of a world may be."""
    return pair(rng, images, world)[0]


def worse(rng: np.random.Generator, matches: Matches) -> Matches:
    """Return the matches of an almost equal detector, which misses a few of the first one's hits and nothing else."""
    return replace(matches, hit=matches.hit & (rng.random(matches.hit.shape[2]) >= 0.1))


def ap(matches: Matches) -> float:
    """Return the AP of matches."""
    return statistics(WeightedAp(matches)(np.ones(matches.units, np.int64)))["AP"]


def _differences(first: Matches, second: Matches, third: Matches) -> tuple[float, float, float]:
    return ap(first), ap(first) - ap(second), ap(first) - ap(third)


def measure(world: World, images: int, trials: int, resamples: int, sets: int, seed: int = 0) -> dict[str, float]:
    """Simulate.

    Args:
        world: where the images come from.
        images: how many a dataset has.
        trials: datasets whose interval is looked at.
        resamples: draws of each bootstrap.
        sets: datasets over which the expected AP and differences are averaged.
        seed: of everything.

    Returns:
        What share of intervals holds the AP expected of as many images (``same_size``), that of endless images
        (``endless``), the observed one, the expected difference of two detectors, that of two that are almost equal;
        the share of plain percentiles of the draws that hold the first (``percentiles``); the mean AP of datasets of
        this size and of endless images; the mean width of the intervals.
    """
    rng = np.random.default_rng(seed)
    endless = ap(population(rng, ENDLESS, world))

    def drawn_models() -> tuple[Matches, Matches, Matches]:
        first, second = pair(rng, images, world)
        return first, second, worse(rng, first)

    expected, apart, alike = np.mean([_differences(*drawn_models()) for _ in range(sets)], axis=0)
    hits, widths = np.zeros(6), []
    for trial in range(trials):
        drawn = bootstrap(drawn_models(), "images", resamples, seed=trial)
        assert drawn is not None
        interval = drawn.interval()
        differences = [drawn.difference(second=other) for other in (1, 2)]
        low, high = np.quantile(drawn.values["AP"][0], [0.025, 0.975])
        hits += [
            interval.low <= expected <= interval.high,
            interval.low <= endless <= interval.high,
            interval.low <= drawn.observed["AP"][0] <= interval.high,
            differences[0].low <= apart <= differences[0].high,
            differences[1].low <= alike <= differences[1].high,
            low <= expected <= high,
        ]
        widths.append(interval.high - interval.low)
    names = ("same_size", "endless", "observed", "difference", "almost_equal", "percentiles")
    truths = {"expected_ap": float(expected), "endless_ap": endless, "width": float(np.mean(widths))}
    return dict(zip(names, (hits / trials).tolist(), strict=True)) | truths
