"""The least milliseconds that one core needs for a published row's arithmetic. A bound, not a model of the time.

A multiply-accumulate (MAC) takes its place in a pipe whatever else the engine does, so MACs over the core's peak is a
time that no program goes below. Winograd's filtering F(4x4, 3x3), the largest that TNN has, computes 16 outputs of a
dense 3x3 convolution of stride 1 by 36 products instead of 144: such layers count a quarter, their transforms nothing.
A published latency below the bound in fp32 was therefore not timed in fp32, or not with this graph at this input.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from suite.claims.claim import SNAPDRAGON, Claim
from suite.claims.csv_rows import read_rows
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


class ReadingRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of ``latency_readings.csv``: a graph that stands for a published row, its input shape, its MACs.

    ``default_reading`` is what the suite times, ``shape_certain`` tells whether the paper leaves no doubt of the shape.
    """

    row_id: str
    model: str
    height_px: Annotated[int, msgspec.Meta(gt=0)]
    width_px: Annotated[int, msgspec.Meta(gt=0)]
    gmacs_dense3x3: Annotated[float, msgspec.Meta(ge=0)]
    gmacs_other: Annotated[float, msgspec.Meta(ge=0)]
    default_reading: Literal["yes", "no"]
    shape_certain: Literal["yes", "no"]


class Reading(ReadingRow, frozen=True):
    """The same with the published latency; ``convolutions`` of MobileInst's mask decoder, 3x3, 0 for prior art."""

    published_ms: float
    convolutions: int = 0

    @property
    def default(self) -> bool:
        """Whether the suite times this reading."""
        return self.default_reading == "yes"

    def least_ms(self, precision: Precision) -> float:
        """Return the milliseconds below which the core cannot be done."""
        gmacs = self.gmacs_dense3x3 / WINOGRAD_SAVING + self.gmacs_other
        return 1000 * gmacs / (CLOCK_GHZ * MACS_PER_CYCLE[precision])

    def peak_share(self, precision: Precision) -> float:
        """Return the share of the core's peak that the published latency asks for; above 1 it is impossible."""
        return self.least_ms(precision) / self.published_ms

    @property
    def possible(self) -> tuple[Precision, ...]:
        """The precisions in which the published latency is possible."""
        return tuple(precision for precision in MACS_PER_CYCLE if self.peak_share(precision) <= 1)


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
        claim = latencies.get(row.row_id)
        if claim is None:
            continue
        ours = OUR_CONVOLUTIONS if claim.own else 0
        found.append(Reading(**msgspec.structs.asdict(row), published_ms=claim.value, convolutions=ours))
        if claim.own:
            more = {"gmacs_dense3x3": row.gmacs_dense3x3 * MORE_CONVOLUTIONS / ours, "default_reading": "no"}
            found.append(msgspec.structs.replace(found[-1], convolutions=MORE_CONVOLUTIONS, **more))
    return found


def never_fp32(readings: Sequence[Reading]) -> dict[str, bool]:
    """Return the published rows of prior art that no reading allows in fp32, and whether their shape is certain."""
    rows = dict.fromkeys(reading.row_id for reading in readings if not reading.convolutions)
    of_row = {row: [reading for reading in readings if reading.row_id == row] for row in rows}
    return {
        row: any(reading.shape_certain == "yes" for reading in group)
        for row, group in of_row.items()
        if not any("fp32" in reading.possible for reading in group)
    }
