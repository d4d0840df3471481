"""Prior art beside MobileInst: published and measured latencies, row by row, in every reading that was timed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from suite.claims.claim import LATENCY_METRICS
from suite.models import ModelEntry
from suite.records.difference import RatioInterval
from suite.records.schema import Scalar
from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.models import entries, masks_span
from suite.report.timings import Clock, rounds_of

ANCHOR_ROWS = {"table1": "table1/mobileinst-topformer-base-640", "table2": "table2/2019/mobileinst-topformer-base"}
PUBLISHED = next(metric for metric, device in LATENCY_METRICS.items() if device == "snapdragon-778g")
SELECTION_ENGINE = "numpy"
HALF = 2.0
"""A rival needs this many times MobileInst's time for MobileInst to need half of the rival's."""


@dataclass(frozen=True)
class PriorArtRow:
    """One published latency under one reading.

    Attributes:
        row_id: the published row.
        entry: the model that stands for it.
        size: (height_px, width_px).
        reading: how the row is read; empty for MobileInst's own.
        default: whether this is the reading that stands for the row elsewhere.
        published_ms: on the phone.
        published_ratio: to MobileInst's latency in the same table.
        network: CPU time of the network alone, None where not timed.
        masks: CPU time up to the masks of 100 instances.
        selection: CPU time of choosing detections.
        ratio: of ``masks`` to MobileInst's, in one run; None where not timed beside it.
        reason: why there is no ``masks``; empty if there is.
    """

    row_id: str
    entry: ModelEntry
    size: tuple[int, int]
    reading: str
    default: bool
    published_ms: float
    published_ratio: float
    network: Cell | None
    masks: Cell | None
    selection: Cell | None
    ratio: RatioInterval | None
    reason: str

    @property
    def order_holds(self) -> bool | None:
        """Whether the row is slower or faster than MobileInst as published; None if noise decides or it is itself."""
        if self.ratio is None or self.published_ratio == 1 or self.ratio.low < 1 < self.ratio.high:
            return None
        return (self.ratio.value > 1) == (self.published_ratio > 1)

    @property
    def half_published(self) -> bool:
        """Whether MobileInst needs at most half of the row's time as published."""
        return self.published_ratio >= HALF

    @property
    def half_measured(self) -> bool | None:
        """The same here; None if not measured or if timing noise decides."""
        if self.ratio is None or self.ratio.low < HALF < self.ratio.high:
            return None
        return self.ratio.value >= HALF


def why_missing(evidence: Evidence, clock: Clock, engine: str) -> str:
    """Return the reason that the newest record gives for having no time of a clock."""
    for file in reversed(evidence.runs):
        for item in file.measurements:
            fields = item.protocol
            found = (item.subject.model, fields.get("span"), fields.get("height_px"), fields.get("width_px"))
            wanted = (clock.model, clock.span, clock.height_px, clock.width_px)
            if item.metric == "latency_cpu_ms" and found == wanted and fields.get("runtime") == engine and item.reason:
                return item.reason
    return "not timed here yet"


def _readings(default: ModelEntry) -> Iterator[tuple[ModelEntry, tuple[int, int], str, bool]]:
    """Yield (model, shape, reading, whether default) of a row: the default, then the alternatives."""
    yield default, default.input_shapes[0], default.reading, True
    for entry in entries().values():
        if entry.alternative_to == default.name:
            yield entry, entry.input_shapes[0], entry.reading, False


def prior_art_rows(evidence: Evidence, engine: str) -> list[PriorArtRow]:
    """Return every published latency of Tables 1 and 2 in print order, further readings below their default.

    Args:
        evidence: claims and records.
        engine: runtime of the networks, e.g. ``"onnxruntime"``.
    """
    rows = []
    for claim in evidence.claims:
        table = claim.row_id.split("/")[0]
        models = evidence.counterparts.get(claim.row_id, ())
        if claim.metric != PUBLISHED or table not in ANCHOR_ROWS or "/2021/" in claim.row_id or not models:
            continue
        anchor_claim = evidence.claim(f"{ANCHOR_ROWS[table]}/{PUBLISHED}")
        anchors = evidence.counterparts.get(ANCHOR_ROWS[table], ())
        if anchor_claim is None or not anchors:
            continue
        anchor = entries()[anchors[0]]
        below = Clock(anchor.name, masks_span(anchor.name), *anchor.input_shapes[0])
        for entry, size, reading, default in _readings(entries()[models[0]]):
            masks = Clock(entry.name, masks_span(entry.name), *size)
            cell = _cell(evidence, masks, engine)
            beside = evidence.timings.between(engine, masks, below)
            rows.append(
                PriorArtRow(
                    row_id=claim.row_id,
                    entry=entry,
                    size=size,
                    reading=reading,
                    default=default,
                    published_ms=claim.value,
                    published_ratio=claim.value / anchor_claim.value,
                    network=_cell(evidence, Clock(entry.name, "network", *size), engine),
                    masks=cell,
                    selection=_cell(evidence, Clock(entry.name, "selection", *size), SELECTION_ENGINE),
                    ratio=beside.interval if beside else None,
                    reason="" if cell else why_missing(evidence, masks, engine),
                )
            )
    return rows


def _cell(evidence: Evidence, clock: Clock, engine: str) -> Cell | None:
    wanted: dict[str, Scalar] = {
        "span": clock.span,
        "height_px": clock.height_px,
        "width_px": clock.width_px,
        "runtime": engine,
        "device": "host",
        "key_frame_interval": None,
    }
    found = evidence.find("latency_cpu_ms", clock.model, wanted)
    return found[-1] if found else None


@dataclass(frozen=True)
class Orderings:
    """How many pairs of published rows stand in the published order here, all timed in one run."""

    title: str
    held: int
    pairs: int


def orderings(evidence: Evidence, rows: list[PriorArtRow], engine: str) -> list[Orderings]:
    """Count pairwise orderings of the default readings in the run that timed most of them (the newest of several).

    Args:
        evidence: claims and records.
        rows: as `prior_art_rows` returns them.
        engine: the same runtime.

    Returns:
        Counts for Table 1, Table 2 and both together; pairs of equal published latency are left out.
    """
    defaults = [row for row in rows if row.default]
    best: dict[str, float] = {}
    for clocks in evidence.timings.clocked(engine):
        medians = {}
        for row in defaults:
            clock = Clock(row.entry.name, masks_span(row.entry.name), *row.size)
            if clock in clocks:
                medians[row.row_id] = float(np.median(rounds_of(clocks[clock][1])))
        if medians and len(medians) >= len(best):
            best = medians
    counts = []
    for title, prefix in (("Table 1", "table1/"), ("Table 2", "table2/"), ("both tables", "table")):
        timed = [row for row in defaults if row.row_id.startswith(prefix) and row.row_id in best]
        pairs = [(a, b) for a, b in combinations(timed, 2) if a.published_ms != b.published_ms]
        held = sum((a.published_ms < b.published_ms) == (best[a.row_id] < best[b.row_id]) for a, b in pairs)
        counts.append(Orderings(title, held, len(pairs)))
    return counts
