"""How often the 95 % intervals of AP cover the truth, in simulated worlds where it is known: docs/decisions.md."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suite.accuracy.intervals import bootstrap
from suite.accuracy.matches import Matches, WeightedAp, statistics

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
    joined: NDArray[np.bool_] = np.concatenate(hits, axis=1)
    return Matches(np.concatenate(units), np.concatenate(categories), joined, np.zeros_like(joined), objects)


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
    kept: NDArray[np.bool_] = matches.hit & (rng.random(matches.hit.shape[1]) >= 0.1)
    return Matches(matches.unit, matches.category, kept, matches.ignored, matches.objects)


def ap(matches: Matches) -> float:
    """Return the AP of matches."""
    return statistics(WeightedAp(matches)(np.ones(len(matches.objects), np.int64)))["AP"]


@dataclass(frozen=True)
class Coverage:
    """What share of intervals hold what, and the truths.

    Attributes:
        same_size: the AP expected of as many images.
        endless: the AP of endless images.
        observed: the observed AP.
        difference: the expected difference of two detectors.
        almost_equal: that of two detectors that differ in a few hits only.
        percentiles: as ``same_size``, of the plain percentiles of the draws.
        expected_ap: mean AP of datasets of this size.
        endless_ap: AP of endless images.
        width: mean width of the intervals.
    """

    same_size: float
    endless: float
    observed: float
    difference: float
    almost_equal: float
    percentiles: float
    expected_ap: float
    endless_ap: float
    width: float


def _differences(first: Matches, second: Matches, third: Matches) -> tuple[float, float, float]:
    return ap(first), ap(first) - ap(second), ap(first) - ap(third)


def measure(world: World, images: int, trials: int, resamples: int, sets: int, seed: int = 0) -> Coverage:
    """Simulate.

    Args:
        world: where the images come from.
        images: how many a dataset has.
        trials: datasets whose interval is looked at.
        resamples: draws of each bootstrap.
        sets: datasets over which the expected AP and differences are averaged.
        seed: of everything.
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
    same_size, of_endless, observed, difference, almost_equal, percentiles = (hits / trials).tolist()
    return Coverage(
        same_size=same_size,
        endless=of_endless,
        observed=observed,
        difference=difference,
        almost_equal=almost_equal,
        percentiles=percentiles,
        expected_ap=float(expected),
        endless_ap=endless,
        width=float(np.mean(widths)),
    )
