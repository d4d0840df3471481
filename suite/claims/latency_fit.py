"""Two constants that reproduce the published latencies, and what they say of MobileInst. Inference, not measurement.

A latency is modelled as ``dense * (GMACs of dense 3x3 convolutions of stride 1) + other * (all other GMACs)``, both in
ms per GMAC: engines with Winograd's filtering run the first kind more than twice as fast. The constants are fitted on
rows whose input shape is certain; with them, other rows tell which shape and which head they were timed with.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from suite.claims.claim import Claim
from suite.claims.csv_rows import Digits, Whole, read_rows
from suite.claims.loader import CLAIMS_FOLDER

SNAPDRAGON = "latency_snapdragon_778g_ms"
CLOSE = 0.05
"""A prediction within this share of the published latency reproduces it."""
TRUST = 0.10
"""Least share by which a prediction may be off and the reading still count as compatible."""
LEVEL = 0.95


@dataclass(frozen=True)
class Reading:
    """One way to read a published row: a graph at an input shape, with its GMACs of both kinds."""

    row_id: str
    what: str
    height_px: int
    width_px: int
    dense: float
    other: float
    default: bool
    certain: bool
    published_ms: float

    @property
    def size(self) -> str:
        """Input as ``"640x864"``."""
        return f"{self.height_px}x{self.width_px}"


@dataclass(frozen=True)
class Fit:
    """The two constants with their uncertainty.

    Attributes:
        dense: ms per GMAC of dense 3x3 convolutions of stride 1.
        other: ms per GMAC of everything else.
        dense_range: interval of the exact bootstrap over the fitted rows.
        other_range: the same for ``other``.
        spread: what every resample of the rows gives as (dense, other, probability).
        left_out: row id -> predicted / published when the row is left out of its own fit.
        tolerance: share by which a prediction may be off: `TRUST`, or the largest leave-one-out error if that is more.
    """

    dense: float
    other: float
    dense_range: tuple[float, float]
    other_range: tuple[float, float]
    spread: tuple[tuple[float, float, float], ...]
    left_out: dict[str, float]
    tolerance: float

    def predict(self, reading: Reading) -> float:
        """Return the milliseconds that a reading should have taken."""
        return self.dense * reading.dense + self.other * reading.other

    def interval(self, reading: Reading) -> tuple[float, float]:
        """Return the bootstrap interval of `predict`: of the constants only, not of the model's own error."""
        values = [(dense * reading.dense + other * reading.other, share) for dense, other, share in self.spread]
        return weighted_interval(values)

    def compatible(self, reading: Reading) -> bool:
        """Tell whether the published latency may have been timed with this reading."""
        return abs(self.predict(reading) / reading.published_ms - 1) <= self.tolerance


def weighted_interval(values: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the central `LEVEL` interval of (value, probability) pairs."""
    ordered = sorted(values)
    shares = np.cumsum([share for _, share in ordered]) / sum(share for _, share in ordered)
    tail = (1 - LEVEL) / 2
    last = len(ordered) - 1
    low, high = (min(int(np.searchsorted(shares, share)), last) for share in (tail, 1 - tail))
    return ordered[low][0], ordered[high][0]


def _constants(readings: Sequence[Reading], weights: Sequence[float]) -> tuple[float, float]:
    """Minimise the sum of weighted squared relative errors."""
    shares = np.array([[item.dense / item.published_ms, item.other / item.published_ms] for item in readings])
    weighted = shares * np.array(weights)[:, None]
    dense, other = np.linalg.solve(weighted.T @ shares, weighted.sum(0))
    return float(dense), float(other)


def fit_constants(readings: Sequence[Reading]) -> Fit:
    """Fit the constants on rows whose shape is certain.

    The bootstrap is exact: every multiset of the rows with its probability, those of a single row left out, since one
    row cannot tell two constants apart. Nothing is drawn, so the same rows give the same numbers.

    Args:
        readings: one reading per row; those with ``certain`` are fitted.

    Raises:
        ValueError: if fewer than three rows are certain.
    """
    rows = [item for item in readings if item.certain]
    if len(rows) < 3:
        raise ValueError(f"two constants and their uncertainty need three rows of certain shape, not {len(rows)}")
    count = len(rows)
    spread = []
    for chosen in itertools.combinations_with_replacement(range(count), count):
        times = Counter(chosen)
        if len(times) < 2:
            continue
        ways = math.factorial(count) // math.prod(math.factorial(number) for number in times.values())
        spread.append((*_constants(rows, [times[place] for place in range(count)]), ways / count**count))
    dense, other = _constants(rows, [1.0] * count)
    left_out = {}
    for place, row in enumerate(rows):
        without = _constants(rows, [float(index != place) for index in range(count)])
        left_out[row.row_id] = (without[0] * row.dense + without[1] * row.other) / row.published_ms
    return Fit(
        dense,
        other,
        weighted_interval([(item[0], item[2]) for item in spread]),
        weighted_interval([(item[1], item[2]) for item in spread]),
        tuple(spread),
        left_out,
        max(TRUST, *(abs(share - 1) for share in left_out.values())),
    )


class _Counted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What both files of counts have in a line."""

    row_id: str
    height_px: Whole
    width_px: Whole
    gmacs_dense3x3: Digits
    gmacs_other: Digits


class ReadingRow(_Counted, kw_only=True, forbid_unknown_fields=True):
    """A line of ``latency_readings.csv``: a model of prior art at a shape."""

    model: str
    default_reading: Literal["yes", "no"]
    shape_certain: Literal["yes", "no"]


class ReconstructionRow(_Counted, kw_only=True, forbid_unknown_fields=True):
    """A line of ``mobileinst_readings.csv``: a reconstruction of MobileInst at a shape."""

    backbone: str
    width: Whole
    pyramid: Literal["raw", "injected"]


def _latencies(claims: Sequence[Claim]) -> dict[str, float]:
    return {claim.row_id: claim.value for claim in claims if claim.metric == SNAPDRAGON and claim.kind == "absolute"}


def _reading(row: _Counted, published_ms: float, what: str, default: bool = False, certain: bool = False) -> Reading:
    size = (int(row.height_px), int(row.width_px))
    gmacs = (float(row.gmacs_dense3x3), float(row.gmacs_other))
    return Reading(row.row_id, what, *size, *gmacs, default, certain, published_ms)


def load_readings(claims: Sequence[Claim], folder: Path = CLAIMS_FOLDER) -> list[Reading]:
    """Return the readings of prior art that have a published latency in ``claims``, in the file's order.

    Raises:
        DataError: if the file is absent.
        InputError: naming the line at fault.
    """
    latencies = _latencies(claims)
    return [
        _reading(row, latencies[row.row_id], row.model, row.default_reading == "yes", row.shape_certain == "yes")
        for _, row in read_rows(folder / "latency_readings.csv", ReadingRow)
        if row.row_id in latencies
    ]


@dataclass(frozen=True)
class Reconstruction:
    """One reconstruction of MobileInst for one published row.

    Attributes:
        reading: shape and GMACs.
        backbone: of the reference model, e.g. ``"topformer_base"``.
        width: channels of the mask decoder.
        pyramid: ``raw`` or ``injected``.
        convolutions: number of 3x3 convolutions, of `CONVOLUTIONS`; ours has six.
        shape_rule: place of the shape among the row's: 0 the fixed long side, 1 the square.
    """

    reading: Reading
    backbone: str
    width: int
    pyramid: str
    convolutions: int
    shape_rule: int

    @property
    def ours(self) -> bool:
        """Whether this is how the reference model's named variant is made."""
        size = "" if self.backbone == "mobilenetv2" else "base"
        plain = (self.width, self.pyramid, self.convolutions, self.shape_rule) == (256, "raw", OUR_CONVOLUTIONS, 0)
        return plain and self.backbone.endswith(size)


OUR_CONVOLUTIONS = 6
CONVOLUTIONS = (3, 6, 9, 12)
"""One to four sets of the three levels 1/8, 1/16 and 1/32."""


def load_reconstructions(claims: Sequence[Claim], folder: Path = CLAIMS_FOLDER) -> list[Reconstruction]:
    """Return every reconstruction of MobileInst; the number of 3x3 convolutions scales the counted six."""
    latencies = _latencies(claims)
    found = []
    shapes: dict[str, list[str]] = {}
    for _, row in read_rows(folder / "mobileinst_readings.csv", ReconstructionRow):
        if row.row_id not in latencies:
            continue
        reading = _reading(row, latencies[row.row_id], row.backbone)
        known = shapes.setdefault(row.row_id, [])
        if reading.size not in known:
            known.append(reading.size)
        for number in CONVOLUTIONS:
            scaled = dataclasses.replace(reading, dense=reading.dense * number / OUR_CONVOLUTIONS)
            rule = known.index(reading.size)
            found.append(Reconstruction(scaled, row.backbone, int(row.width), row.pyramid, number, rule))
    return found
