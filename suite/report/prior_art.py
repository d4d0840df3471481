"""Prior art beside MobileInst: published and measured latencies, row by row, in every reading that was timed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from suite.claims.claim import LATENCY_METRICS
from suite.records.difference import RatioInterval
from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.models import entries, masks_span
from suite.report.timings import Clock, rounds_of

ANCHOR_ROWS = {"table1": "table1/mobileinst-topformer-base-640", "table2": "table2/2019/mobileinst-topformer-base"}
PUBLISHED = next(metric for metric, device in LATENCY_METRICS.items() if device == "snapdragon-778g")
SELECTION_ENGINE = "numpy"
HALF = 2.0
"""A rival needs this many times MobileInst's time for MobileInst to need half of the rival's."""


def records(frame: pd.DataFrame) -> Iterator[Any]:
    """Yield a frame's rows with a field a column; pandas gives such rows no types."""
    yield from frame.itertuples(index=False)


def why_missing(evidence: Evidence, clock: Clock, engine: str) -> str:
    """Return the reason that the newest record gives for having no time of a clock."""
    for file in reversed(evidence.runs):
        for item in file.measurements:
            fields = item.protocol
            found = Clock(item.subject.model, *(fields.get(key) for key in ("span", "height_px", "width_px")))  # type: ignore[arg-type]
            if item.reason and item.metric == "latency_cpu_ms" and found == clock and fields.get("runtime") == engine:
                return item.reason
    return "not timed here yet"


def _beyond(ratio: RatioInterval | None, limit: float) -> bool | None:
    """Tell whether a ratio is above a limit; None if it was not measured or timing noise decides."""
    return None if ratio is None or ratio.low < limit < ratio.high else ratio.value >= limit


def prior_art_rows(evidence: Evidence, engine: str) -> pd.DataFrame:
    """Return every published latency of Tables 1 and 2 in print order, further readings below their default.

    Columns: ``row_id``, ``table``, ``entry`` (the model), ``clock`` (up to its masks), ``reading``, ``default``
    (whether it stands for the row elsewhere), ``published_ms``, ``published_ratio`` (to MobileInst's latency of the
    same table); CPU times as cells or None: ``network``, ``masks`` (up to the masks of 100 instances), ``selection``
    (of detections), with ``reason`` where there is no ``masks``; ``ratio`` (of ``masks`` to MobileInst's, in one run),
    ``order_holds`` and ``half_measured``: whether order and "at most half" hold here, None where noise decides.

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
        published = evidence.claim(f"{ANCHOR_ROWS[table]}/{PUBLISHED}")
        anchors = evidence.counterparts.get(ANCHOR_ROWS[table], ())
        if published is None or not anchors:
            continue
        anchor, default = entries()[anchors[0]], entries()[models[0]]
        below = Clock(anchor.name, masks_span(anchor.name), *anchor.input_shapes[0])
        for entry in (default, *(other for other in entries().values() if other.alternative_to == default.name)):
            clock = Clock(entry.name, masks_span(entry.name), *entry.input_shapes[0])
            masks, beside = _cell(evidence, clock, engine), evidence.timings.between(engine, clock, below)
            ratio, share = beside.interval if beside else None, claim.value / published.value
            slower = None if share == 1 else _beyond(ratio, 1.0)
            rows.append(
                {
                    "row_id": claim.row_id,
                    "table": table,
                    "entry": entry,
                    "clock": clock,
                    "reading": entry.reading,
                    "default": entry is default,
                    "published_ms": claim.value,
                    "published_ratio": share,
                    "network": _cell(evidence, clock._replace(span="network"), engine),
                    "masks": masks,
                    "selection": _cell(evidence, clock._replace(span="selection"), SELECTION_ENGINE),
                    "reason": "" if masks else why_missing(evidence, clock, engine),
                    "ratio": ratio,
                    "half_published": share >= HALF,
                    "half_measured": _beyond(ratio, HALF),
                    "order_holds": None if slower is None else slower == (share > 1),
                }
            )
    return pd.DataFrame(rows, dtype=object)


def _cell(evidence: Evidence, clock: Clock, engine: str) -> Cell | None:
    size = {"height_px": clock.height_px, "width_px": clock.width_px}
    wanted = {"span": clock.span, "runtime": engine, "device": "host", "key_frame_interval": None, **size}
    return next(reversed(evidence.find("latency_cpu_ms", clock.model, wanted)), None)


def orderings(evidence: Evidence, rows: pd.DataFrame, engine: str) -> pd.DataFrame:
    """Count pairs of default readings in published order, in the run that timed most of them (the newest of several).

    Args:
        evidence: claims and records.
        rows: as `prior_art_rows` returns them.
        engine: the same runtime.

    Returns:
        ``title``, ``held`` and ``pairs`` of Table 1, Table 2 and both together; pairs of equal published latency are
        left out.
    """
    defaults = rows[rows["default"].astype(bool)] if len(rows) else rows
    best: dict[str, float] = {}
    for clocks in evidence.timings.clocked(engine):
        medians = {
            row.row_id: float(np.median(rounds_of(clocks[row.clock][1])))
            for row in records(defaults)
            if row.clock in clocks
        }
        if medians and len(medians) >= len(best):
            best = medians
    timed = [(row.row_id, row.published_ms, best[row.row_id]) for row in records(defaults) if row.row_id in best]
    counts = []
    for title, prefix in (("Table 1", "table1/"), ("Table 2", "table2/"), ("both tables", "table")):
        pairs = [(a, b) for a, b in combinations(timed, 2) if a[0].startswith(prefix) and b[0].startswith(prefix)]
        apart = [(a, b) for a, b in pairs if a[1] != b[1]]
        held = sum((a[1] < b[1]) == (a[2] < b[2]) for a, b in apart)
        counts.append({"title": title, "held": held, "pairs": len(apart)})
    return pd.DataFrame(counts)
