"""The least milliseconds that one core needs for a published row's arithmetic. A bound, not a model of the time.

A multiply-accumulate (MAC) takes its place in a pipe whatever else the engine does, so MACs over the core's peak is a
time that no program goes below. Winograd's filtering F(4x4, 3x3), the largest that TNN has, computes 16 outputs of a
dense 3x3 convolution of stride 1 by 36 products instead of 144: such layers count a quarter, their transforms nothing.
A published latency below the bound in fp32 was therefore not timed in fp32, or not with this graph at this input.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from suite.claims.claim import SNAPDRAGON, Claim
from suite.claims.csv_rows import Digits, Whole, read_rows
from suite.claims.loader import CLAIMS_FOLDER

Precision = Literal["fp32", "fp16"]
CLOCK_GHZ = 2.4
"""Of the fastest core of a Snapdragon 778G, a Cortex-A78."""
MACS_PER_CYCLE: dict[Precision, int] = {"fp32": 8, "fp16": 16}
"""Two 128-bit pipes, each one fused multiply-add per lane and cycle (Arm's Cortex-A78 software optimization guide)."""
WINOGRAD_SAVING = 4.0
OUR_CONVOLUTIONS = 6
MORE_CONVOLUTIONS = 12
"""3x3 convolutions of the mask decoder: of the reference model, and with a second one after each."""


@dataclass(frozen=True)
class Reading:
    """One way to read a published row: a graph at an input shape, with its MACs.

    ``default`` is the reading that the suite times, ``certain`` tells whether the paper leaves no doubt of the input
    shape; ``convolutions`` counts the 3x3 ones of MobileInst's mask decoder and is 0 for prior art.
    """

    row_id: str
    model: str
    height_px: int
    width_px: int
    dense3x3_gmacs: float
    other_gmacs: float
    default: bool
    certain: bool
    published_ms: float
    convolutions: int = 0

    def least_ms(self, precision: Precision) -> float:
        """Return the milliseconds below which the core cannot be done."""
        gmacs = self.dense3x3_gmacs / WINOGRAD_SAVING + self.other_gmacs
        return 1000 * gmacs / (CLOCK_GHZ * MACS_PER_CYCLE[precision])

    def peak_share(self, precision: Precision) -> float:
        """Return the share of the core's peak that the published latency asks for; above 1 it is impossible."""
        return self.least_ms(precision) / self.published_ms

    @property
    def possible(self) -> tuple[Precision, ...]:
        """The precisions in which the published latency is possible."""
        return tuple(precision for precision in MACS_PER_CYCLE if self.peak_share(precision) <= 1)


class ReadingRow(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A line of ``latency_readings.csv``: a model at a shape."""

    row_id: str
    model: str
    height_px: Whole
    width_px: Whole
    gmacs_dense3x3: Digits
    gmacs_other: Digits
    default_reading: Literal["yes", "no"]
    shape_certain: Literal["yes", "no"]


def load_readings(claims: Iterable[Claim], folder: Path = CLAIMS_FOLDER) -> list[Reading]:
    """Return the readings of every published phone latency in ``claims``, in the file's order.

    MobileInst is read twice at each shape: as the reference model, and with twice its 3x3 convolutions, which are all
    in the mask decoder and whose number the paper does not print.

    Raises:
        DataError: if the file is absent.
        InputError: naming the line at fault.
    """
    latencies = {claim.row_id: claim for claim in claims if claim.metric == SNAPDRAGON and claim.kind == "absolute"}
    found = []
    for _, row in read_rows(folder / "latency_readings.csv", ReadingRow):
        if row.row_id not in latencies:
            continue
        claim = latencies[row.row_id]
        gmacs, ours = (float(row.gmacs_dense3x3), float(row.gmacs_other)), OUR_CONVOLUTIONS if claim.own else 0
        default, certain = (word == "yes" for word in (row.default_reading, row.shape_certain))
        size = (int(row.height_px), int(row.width_px))
        found.append(Reading(row.row_id, row.model, *size, *gmacs, default, certain, claim.value, ours))
        if claim.own:
            dense = gmacs[0] * MORE_CONVOLUTIONS / OUR_CONVOLUTIONS
            more = dataclasses.replace(found[-1], dense3x3_gmacs=dense, default=False, convolutions=MORE_CONVOLUTIONS)
            found.append(more)
    return found


def never_fp32(readings: Sequence[Reading]) -> dict[str, bool]:
    """Return the published rows of prior art that no reading allows in fp32, and whether their shape is certain."""
    rows = dict.fromkeys(reading.row_id for reading in readings if not reading.convolutions)
    of_row = {row: [reading for reading in readings if reading.row_id == row] for row in rows}
    return {
        row: any(reading.certain for reading in group)
        for row, group in of_row.items()
        if not any("fp32" in reading.possible for reading in group)
    }
