"""The latency rows of Tables 1 and 2 re-measured: published and measured ratios, in every reading that was timed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from suite.claims.claim import SNAPDRAGON, Claim
from suite.models import ModelEntry
from suite.records.cells import Cell
from suite.records.difference import RatioInterval, rounds_of
from suite.report.evidence import Evidence
from suite.report.models import MAIN_ENGINE, Clock, display_name, entries, masks_clock
from suite.report.table import Row, Table, TableCell, make_table, number_cell, ratio_cell, record_cell
from suite.report.tables import table

ANCHOR_ROWS = {"table1": "table1/mobileinst-topformer-base-640", "table2": "table2/2019/mobileinst-topformer-base"}
ENGINES = (MAIN_ENGINE, "ncnn")
"""ncnn is the closest well-kept relative of the paper's engine."""
HALF = 2.0
"""A rival needs this many times MobileInst's time for MobileInst to need half of the rival's."""
NOTES = (
    "Ratios divide by MobileInst TopFormer-Base of the same table, timed in interleaved "
    "rounds of the same run; intervals cover timing noise of that run.",
    "With masks = image to the masks of 100 instances; network = up to the heads, where a method stops there. "
    "Selection = thresholds, top-k, suppression and mask scores on synthetic scores, in NumPy; upsampling to the "
    "picture is outside for all.",
    "A row has its default reading first; lines beginning with or: read the same published number differently.",
    "Published latencies are those of the AAAI version on one core of a Snapdragon 778G. arXiv v1 prints others. TNN's "
    "precision is not stated (its default on ARM prefers fp16) and no input shape is: shapes here are inferred.",
    "Mask2Former's row is lightened: no graph with its six deformable encoder layers fits the published time, so the "
    "default reading has none, which is also the reading most favourable to the rival.",
    "Graphs are rebuilt from public facts with random weights: times and counts are theirs, accuracy is not.",
)


class PriorArtRow(NamedTuple):
    """A published latency beside one reading of it, as one engine timed it here.

    Attributes:
        claim: the published latency.
        entry: the model that reads it.
        default: whether this reading stands for the row elsewhere.
        clock: up to the model's masks.
        share: the published latency over MobileInst's of the same table.
        network: CPU time of the network, None where there is none.
        masks: the same up to the masks of 100 instances.
        selection: the same of the selection of detections.
        reason: why there is no ``masks``.
        ratio: ``masks`` over MobileInst's, both in one run.
    """

    claim: Claim
    entry: ModelEntry
    default: bool
    clock: Clock
    share: float
    network: Cell | None
    masks: Cell | None
    selection: Cell | None
    reason: str
    ratio: RatioInterval | None

    @property
    def half_published(self) -> bool:
        """Whether MobileInst needs at most half of this time as published."""
        return self.share >= HALF

    @property
    def half_measured(self) -> bool | None:
        """Whether it does here; None where timing noise decides."""
        return _beyond(self.ratio, HALF)

    @property
    def order_holds(self) -> bool | None:
        """Whether the same of the two is faster here; None where noise decides."""
        slower = None if self.share == 1 else _beyond(self.ratio, 1.0)
        return None if slower is None else slower == (self.share > 1)


def why_missing(evidence: Evidence, clock: Clock, engine: str) -> str:
    """Return the reason that the newest record gives for having no time of a clock."""
    wanted = {"span": clock.span, "runtime": engine, "height_px": clock.height_px, "width_px": clock.width_px}
    timed = (item for file in reversed(evidence.runs) for item in file.measurements if item.metric == "latency_cpu_ms")
    found = (item for item in timed if item.subject.model == clock.model and wanted.items() <= item.protocol.items())
    return next((item.reason for item in found if item.reason), "not timed here yet")


def _beyond(ratio: RatioInterval | None, limit: float) -> bool | None:
    """Tell whether a ratio is above a limit; None if it was not measured or timing noise decides."""
    return None if ratio is None or ratio.low < limit < ratio.high else ratio.value >= limit


def prior_art_rows(evidence: Evidence, engine: str) -> list[PriorArtRow]:
    """Return every published latency of Tables 1 and 2 in print order, further readings below their default.

    All times are of `Evidence.processor`. ``engine`` is the runtime of the networks, e.g. ``"onnxruntime"``.
    """
    rows = []
    for claim in evidence.claims.values():
        anchor_row = ANCHOR_ROWS.get(claim.row_id.split("/")[0])
        models = evidence.counterparts.get(claim.row_id, ())
        if claim.metric != SNAPDRAGON or anchor_row is None or "/2021/" in claim.row_id or not models:
            continue
        share, default = claim.value / evidence.claims[f"{anchor_row}/{SNAPDRAGON}"].value, entries()[models[0]]
        below = masks_clock(evidence.counterparts[anchor_row][0])
        for entry in (default, *(other for other in entries().values() if other.alternative_to == default.name)):
            clock = masks_clock(entry.name)
            masks, beside = _cell(evidence, clock, engine), evidence.timings.between(engine, clock, below)
            network = _cell(evidence, clock._replace(span="network"), engine)
            selection = _cell(evidence, clock._replace(span="selection"), "numpy")
            reason, ratio = "" if masks else why_missing(evidence, clock, engine), beside and beside.interval
            timed = (network, masks, selection, reason, ratio)
            rows.append(PriorArtRow(claim, entry, entry is default, clock, share, *timed))
    return rows


def _cell(evidence: Evidence, clock: Clock, engine: str) -> Cell | None:
    size = {"height_px": clock.height_px, "width_px": clock.width_px}
    found = evidence.host_times(clock.model, {"span": clock.span, "runtime": engine, **size})
    return found[-1] if found else None


def orderings(evidence: Evidence, rows: Sequence[PriorArtRow], engine: str) -> dict[str, tuple[int, int]]:
    """Count pairs of default readings in published order, table by table, as times of two runs cannot be compared.

    ``rows`` are those of `prior_art_rows` for the engine. Returns "Table 1" and "Table 2" -> (pairs in published order,
    all pairs) in the run that timed most of that table (the newest of several); equal published latencies are no pair.
    """
    counts = {}
    for title, prefix in (("Table 1", "table1/"), ("Table 2", "table2/")):
        shown = [row for row in rows if row.default and row.claim.row_id.startswith(prefix)]
        timed = (
            [(row.claim.value, float(np.median(rounds_of(run[row.clock][1])))) for row in shown if row.clock in run]
            for run in reversed(evidence.timings.clocked[engine])
        )
        most = max(timed, key=len, default=[])
        held = [(a[0] < b[0]) == (a[1] < b[1]) for a, b in combinations(most, 2) if a[0] != b[0]]
        counts[title] = (sum(held), len(held))
    return counts


def _row(row: PriorArtRow, engine: str) -> Row:
    """Return one row of `prior_art_rows` as cells."""
    alone = row.share == 1
    words = {True: "yes", False: "no", None: "" if row.ratio is None or alone else "within noise"}
    ratio = TableCell(note="" if row.masks is None else "not timed in one run with MobileInst")
    if row.ratio is not None:
        ratio = number_cell(1) if alone and row.default else ratio_cell(row.ratio.value, row.ratio)
    return {
        "method": row.entry.method,
        "backbone": row.entry.backbone,
        "reading": ("" if row.default else "or: ") + row.entry.reading,
        "input": row.clock.size,
        "engine": engine,
        "published: 778G ms": number_cell(row.claim.value, ".0f"),
        "published: / MobileInst": number_cell(row.share, ".2f"),
        "published: MobileInst at half": "yes" if row.half_published else "no",
        "measured here: CPU ms with masks": record_cell(row.masks, row.reason),
        "measured here: / MobileInst [95 %]": ratio,
        "measured here: MobileInst at half": words[row.half_measured],
        "measured here: order holds": words[row.order_holds],
        "measured here: network ms": record_cell(row.network),
        "measured here: selection ms": record_cell(row.selection),
    }


def _half_notes(rows: Sequence[PriorArtRow]) -> list[str]:
    """Say against which rivals "half the latency" is claimed, and whether it holds here, reading by reading."""
    lines = []
    for prefix, title in (("table1", "COCO"), ("table2", "video")):
        words = []
        for row in rows:
            if row.claim.row_id.startswith(prefix) and row.half_published:
                outcome = {True: "holds", False: "does not hold", None: "not decided"}[row.half_measured]
                value = f" ({row.ratio.value:.2f} times)" if row.ratio else ""
                words.append(f"{display_name(row.entry.name)} at {row.clock.size}: {outcome}{value}")
        start = f"Half of the rival's latency, {title}, where the printed numbers give it"
        lines += [f"{start}: {'; '.join(words)}."] * bool(words)
    return lines


@table(12)
def prior_art(evidence: Evidence) -> Table:
    """Return one row per published latency, reading and engine that timed any of them; the main engine's always."""
    rows: list[Row] = []
    notes: list[str] = []
    for engine in ENGINES:
        if engine == MAIN_ENGINE or evidence.timings.clocked[engine]:
            found = prior_art_rows(evidence, engine)
            rows += [_row(row, engine) for row in found]
            counts = orderings(evidence, found, engine).items()
            held = ", ".join(f"{held} of {pairs} in {title}" for title, (held, pairs) in counts if pairs)
            notes += [f"Pairwise orderings of the default readings that hold here on {engine}: {held}."] * bool(held)
            notes += _half_notes(found)
    title = "Every latency row of Tables 1 and 2 re-measured on one core (fp32), in every reading"
    return make_table(title, rows, (*notes, *NOTES))
