"""How sure an AP is: a bootstrap over images or videos, paired where two models are compared.

AP of a finite set is optimistic, because precision is taken from the best point to the right, and the AP of a resample,
with fewer different images, is optimistic once more. So the level of the draws says nothing, and only their spread is
used: the interval reaches the same number of their standard deviations to both sides of the observed value. It is about
the AP expected of other sets of as many images, of which the observed value is an unbiased estimate, and not about the
AP of endless images, which lies lower. Its measured coverage is in docs/decisions.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suite.accuracy.matches import RECALLS, Floats, Integers, Matches
from suite.accuracy.score import Difference, Score
from suite.errors import InputError
from suite.records.difference import student_quantile
from suite.records.schema import Interval
from suite.seeds import derive_seed

LEVEL = 0.95
RESAMPLES = 1000
THREADS = 2
DRAWS_AT_ONCE = 50
STATISTICS = ("AP", "AP50", "AP75")
COVERS = "which {0} were drawn for a dataset of this size (bootstrap over {0}), not training seeds, labels or settings"
"""What an interval covers, of images or videos."""
Counts = NDArray[np.int32]


_MISSED_BY_ROUNDING = np.arange(101) / 100 < RECALLS
"""Official recalls that rounding puts above the hundredth they stand for, so that this very hundredth misses them."""


def _prefix(values: Counts) -> Counts:
    sums = np.zeros(len(values) + 1, np.int32)
    np.cumsum(values, out=sums[1:])
    return sums


def _recalls_reached(true: Counts, objects: Floats) -> Counts:
    """Return how many of the official recalls are at most ``true / objects``, as a search among them would."""
    hundredths = 100.0 * true / objects
    # A quotient of two whole numbers below 10**7 is a hundredth or farther than this from any.
    whole = (hundredths + 1e-9).astype(np.int32)
    return whole + 1 - (_MISSED_BY_ROUNDING[whole] & (np.abs(hundredths - whole) < 1e-9))


class WeightedAp:
    """AP as a function of how often each image (or video) is in the dataset.

    Only hits need to be looked at: between two of them precision falls, so that it is sampled at hits alone. The value
    is that of the official evaluator on the dataset with every image repeated by its weight.

    Attributes:
        objects: counted objects of each unit and category, shape (units, categories).
    """

    def __init__(self, matches: Matches) -> None:
        order = np.argsort(matches.detections.category, kind="stable")
        self.unit, category = matches.detections.unit[order], matches.detections.category[order]
        hit, ignored = matches.hit[0][:, order], matches.ignored[0][:, order]
        asked = matches.objects.rows(matches.counted[0])
        self.objects = np.zeros((matches.units, matches.categories))
        np.add.at(self.objects, (asked.unit, asked.category), 1)
        self.shape = len(hit), matches.categories
        # Hits of all thresholds, one behind the other; a segment is one category at one threshold.
        threshold, self.place = np.nonzero(hit)
        self.category = category[self.place]
        self.segment = threshold * self.shape[1] + self.category
        self.first = np.searchsorted(self.segment, np.arange(self.shape[0] * self.shape[1]))[self.segment]
        self.begins = self.first == np.arange(len(self.first))
        category_start = np.searchsorted(category, np.arange(self.shape[1]))[self.category]
        # The ignored detections up to each hit are taken off the detections up to it.
        out_threshold, self.out_place = np.nonzero(ignored)
        detections = hit.shape[1]
        out_key = out_threshold * detections + self.out_place
        out_until = np.searchsorted(out_key, threshold * detections + self.place, side="right")
        out_start = np.searchsorted(out_key, threshold * detections + category_start - 1, side="right")
        self.until, self.start = self.place + 1, category_start
        self.some_out = np.flatnonzero(out_until > out_start)
        self.out_until, self.out_start = out_until[self.some_out], out_start[self.some_out]
        # Running maxima within segments: each later segment is lifted above all earlier ones.
        self.lift = 2.0 * self.segment[::-1].max(initial=0) - 2.0 * self.segment

    def __call__(self, weights: Integers) -> Floats:
        """Return AP per threshold and category, shape (10, categories), NaN where no object is left.

        ``weights`` has the number of times each unit is in the dataset, shape (units,).
        """
        of_detection = weights.astype(np.int32)[self.unit]
        counted, hits = _prefix(of_detection), _prefix(of_detection[self.place])
        true = hits[1:] - hits[self.first]
        seen = counted[self.until] - counted[self.start]
        if len(self.some_out):
            left_out = _prefix(of_detection[self.out_place])
            seen[self.some_out] -= left_out[self.out_until] - left_out[self.out_start]
        objects = weights @ self.objects
        precision = true / (seen + np.spacing(1.0))
        lifted = np.maximum.accumulate((precision + self.lift)[::-1])[::-1]
        reached = _recalls_reached(true, np.maximum(objects, 1)[self.category])
        steps = np.diff(reached, prepend=np.int32(0))
        steps[self.begins] = reached[self.begins]
        here = np.flatnonzero(steps)
        gained = (lifted[here] - self.lift[here]) * steps[here]
        ap = np.bincount(self.segment[here], gained, minlength=self.shape[0] * self.shape[1]) / len(RECALLS)
        ap = ap.reshape(self.shape)
        ap[:, objects == 0] = np.nan
        return ap


def statistics(ap: Floats) -> dict[str, float]:
    """Return AP, AP50 and AP75 of an array of shape (10, categories); -1 where no category has an object."""
    defined = ap[:, ~np.isnan(ap[0])]
    if not defined.size:
        return {"AP": -1.0, "AP50": -1.0, "AP75": -1.0}
    return {"AP": float(defined.mean()), "AP50": float(defined[0].mean()), "AP75": float(defined[5].mean())}


def reach(objects: Floats) -> float:
    """Return how many standard deviations of the draws a 95 % interval of AP reaches to each side.

    AP is a mean over categories, and what is known of each rests on the m images that have an object of it: the draws
    show (m - 1) / m of its variance, taken as proportional to 1 / m. From that follow the correction of the standard
    deviation and, by Satterthwaite's formula, the degrees of freedom of Student's quantile. A category that only one
    image has shows no spread at all and is left out.

    Args:
        objects: counted objects of each image (or video) and category, shape (units, categories).
    """
    seen = np.count_nonzero(objects, axis=0).astype(np.float64)
    seen = seen[seen > 1]
    if not len(seen):
        return student_quantile(1)
    correction = np.sqrt((1 / seen).sum() / ((seen - 1) / seen**2).sum())
    freedom = (1 / seen).sum() ** 2 / (1 / seen**2 / (seen - 1)).sum()
    return float(correction * student_quantile(freedom))


@dataclass(frozen=True)
class Bootstrap:
    """Resampled statistics of one or more models on the same draws.

    Attributes:
        observed: by statistic, on the dataset as it is, shape (models,).
        values: by statistic, of the draws, shape (models, resamples); draws without any object are left out.
        units: what was drawn.
        seed: base seed of the draws.
        reach: half of an interval in standard deviations of the draws, see `reach`.
    """

    observed: dict[str, Floats]
    values: dict[str, Floats]
    units: str
    seed: int
    reach: float

    def _interval(self, observed: float, drawn: Floats, limits: tuple[float, float], what: str) -> Interval:
        half = self.reach * float(np.std(drawn, ddof=1))
        low, high = (float(np.clip(end, *limits)) for end in (observed - half, observed + half))
        return Interval(low, high, LEVEL, what + COVERS.format(self.units), len(drawn), self.seed)

    def interval(self, statistic: str = "AP", model: int = 0) -> Interval:
        """Return the 95 % interval of a statistic of one model."""
        return self._interval(float(self.observed[statistic][model]), self.values[statistic][model], (0, 1), "")

    def difference(self, statistic: str = "AP", first: int = 0, second: int = 1) -> Interval:
        """Return the 95 % interval of the first model's statistic minus the second's, on the same draws."""
        seen, drawn = self.observed[statistic], self.values[statistic]
        what = "the difference of two models on the same draws (too narrow where they differ in few objects): "
        return self._interval(float(seen[first] - seen[second]), drawn[first] - drawn[second], (-1, 1), what)


def bootstrap(models: Sequence[Matches], units: str, resamples: int = RESAMPLES, seed: int = 0) -> Bootstrap | None:
    """Resample the AP of models that were matched on one dataset.

    Each draw takes as many images as there are, with repetition, and an image drawn twice counts twice. The draws
    depend on the seed and the number of images only, so models scored at different times can be compared.

    Args:
        models: matches of each model, of the same images and categories.
        units: ``"images"`` or ``"videos"``, for the sentence.
        resamples: number of draws.
        seed: base seed.

    Returns:
        The resampled statistics, or None if there is nothing to draw or nothing was annotated.

    Raises:
        InputError: if the models were matched on different datasets, or draws are fewer than 2.
    """
    if resamples < 2:
        raise InputError(f"{resamples} resamples; give at least 2")
    functions = [WeightedAp(model) for model in models]
    objects = functions[0].objects
    if any(not np.array_equal(function.objects, objects) for function in functions):
        raise InputError("the models to compare were scored on different annotations; score both on the same file")
    amount = len(objects)
    if amount == 0 or not objects.any():
        return None
    rng = np.random.default_rng(derive_seed(seed, "accuracy/bootstrap"))
    drawn: dict[str, list[list[float]]] = {name: [] for name in STATISTICS}

    def resampled(weights: Integers) -> list[dict[str, float]]:
        return [statistics(function(weights)) for function in functions]

    # NumPy's loops over millions of numbers let other threads run.
    with ThreadPoolExecutor(THREADS) as threads:
        for start in range(0, resamples, DRAWS_AT_ONCE):
            draws = range(min(DRAWS_AT_ONCE, resamples - start))
            weights = [np.bincount(rng.integers(0, amount, amount), minlength=amount) for _ in draws]
            for found in threads.map(resampled, weights):
                if found[0]["AP"] >= 0:
                    for name in STATISTICS:
                        drawn[name].append([values[name] for values in found])
    if len(drawn["AP"]) < 2:
        return None
    whole = resampled(np.ones(amount, np.int64))
    observed = {name: np.array([values[name] for values in whole]) for name in STATISTICS}
    return Bootstrap(
        observed, {name: np.array(values).T for name, values in drawn.items()}, units, seed, reach(objects)
    )


def with_difference(scores: Sequence[Score], drawn: Bootstrap | None) -> Score:
    """Return the first score with the intervals of a bootstrap, and with its differences from the second, if any."""
    score = scores[0]
    intervals = {name: drawn.interval(name) for name in STATISTICS} if drawn else {}
    differences = {}
    for other in scores[1:]:
        for name in STATISTICS:
            # Both are undefined together: they have one ground truth.
            value = score.stats[name] - other.stats[name] if score.stats[name] >= 0 else 0.0
            differences[name] = Difference(value, drawn.difference(name) if drawn else None)
    draws = tuple(map(float, drawn.values["AP"][0])) if drawn else ()
    return replace(score, intervals=intervals, differences=differences, draws=draws)
