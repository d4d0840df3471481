"""Latency on one core of the named host: every span of the models here, and the network of later segmenters."""

from __future__ import annotations

from dataclasses import replace

from suite.claims.loader import LaterRow, load_later
from suite.records.cells import Cell, short_cpu
from suite.report.evidence import Evidence
from suite.report.models import display_name, entries
from suite.report.table import Row, Table, TableCell, make_table, number_cell, ratio_cell, record_cell
from suite.report.tables import table

ANCHOR = "mobileinst_topformer_base_640"
"""MobileInst's main row, which comes first."""
COMPARED_WITH_LATER = (ANCHOR, "mobileinst_topformer_base_512")
NOT_TIMED = "its graph is not timed yet: export it as docs/latency.md says"
SPAN_LABELS = {
    "network": "network",
    "with_masks": "network with masks",
    "preprocess": "preprocess",
    "postprocess": "postprocess",
    "selection": "selection of detections",
    "end_to_end": "end to end",
}


def _host_cells(evidence: Evidence) -> list[Cell]:
    """Return the CPU latencies of all spans on the host, the anchor's first, then by model, size, span and T.

    Prior art and later segmenters have tables of their own.
    """
    spans = list(SPAN_LABELS)

    def order(cell: Cell) -> tuple[object, ...]:
        span = str(cell.get("span"))
        place = spans.index(span) if span in spans else len(spans)
        size = tuple(-side for side in (cell.get("height_px"), cell.get("width_px")) if isinstance(side, int))
        return cell.model != ANCHOR, cell.model, size, place, span, cell.frames

    elsewhere = {name for name, entry in entries().items() if entry.reading} | {row.model for row in load_later()}
    cells = evidence.find("latency_cpu_ms", protocol={"device": "host"})
    return sorted((cell for cell in cells if cell.model not in elsewhere), key=order)


def _ratio(evidence: Evidence, cell: Cell | None) -> TableCell:
    """Return a timing's ratio to the anchor of its run, empty where there is none."""
    ratio = evidence.companion(cell, "latency_ratio_cpu") if cell else None
    return ratio_cell(ratio.value, ratio.interval, ratio.run_ids) if ratio else TableCell()


def _row(evidence: Evidence, cell: Cell) -> Row:
    span = str(cell.get("span"))
    return {
        "model": display_name(cell.model),
        "input": cell.size,
        "clock covers": SPAN_LABELS.get(span, span) + (f", T = {cell.frames}" if cell.frames else ""),
        "CPU median ms": record_cell(cell),
        # The row's first number carries the marks for all.
        "wall median ms": replace(record_cell(evidence.companion(cell, "latency_wall_ms")), mark=""),
        "wall p90 ms": replace(record_cell(evidence.companion(cell, "latency_p90_wall_ms")), mark=""),
        "CPU ratio to anchor [95 %]": _ratio(evidence, cell),
        "weights": "trained" if cell.samples[0].measurement.subject.weights_sha256 else "random",
        "engine": f"{cell.get('runtime')} {cell.get('precision')}",
        "core": short_cpu(cell.cpu),
    }


@table(4, in_paper=True)
def latency(evidence: Evidence) -> Table:
    """Return one row per model, input size and span; milliseconds are per image, or per frame of a video."""
    notes = (
        "Ratios are CPU time over that of the same span of the anchor, the first model, timed in interleaved rounds of "
        "the same run (with masks: over the anchor's network, which makes them in any case; with T: over T = 1); their "
        "intervals cover timing noise of that run only.",
        "T = key-frame interval: mean per frame of a video whose kernels are computed on every T-th frame.",
        "A network's time does not depend on the values of its weights; paper-size models are timed with random ones. "
        "Postprocess does: random weights let almost every query through, which makes it long.",
        "These are milliseconds of this host; they say nothing about milliseconds of a phone.",
    )
    rows = [_row(evidence, cell) for cell in _host_cells(evidence)]
    return make_table("Latency measured here: one pinned core, one thread, batch 1", rows, notes)


def _own_rows(evidence: Evidence) -> list[LaterRow]:
    """Return the published rows of MobileInst that the later ones are compared with."""
    rows = []
    for model in COMPARED_WITH_LATER:
        claim = evidence.claims[f"{entries()[model].published_rows[0]}/ap"]
        method, size_px, source = display_name(model), claim.short_side_px or 0, "the paper, table 1"
        row = LaterRow(
            model=model, method=method, size_px=size_px, ap=claim.text, dataset_split=claim.dataset, source=source
        )
        rows.append(row)
    return rows


def _later_row(evidence: Evidence, found: LaterRow) -> Row:
    """Return what is published of a model beside our times of its network, each empty with its reason."""

    def timed(metric: str, **wanted: str) -> Cell | None:
        return evidence.newest(metric, found.model, {"span": "network", **wanted})

    host = timed("latency_cpu_ms", device="host", runtime="onnxruntime")
    on_phone = {name: timed("latency_wall_ms", device="snapdragon_778g", precision=name) for name in ("fp32", "fp16")}
    return {
        "method": found.method,
        "input": host.size if host else f"{found.size_px}x{found.size_px}",
        "published AP": number_cell(float(found.ap), ".1f"),
        "on": found.dataset_split,
        "parameters M": found.parameters_m or "",
        "published GFLOP": found.gflops or "",
        "CPU ms here": record_cell(host, NOT_TIMED),
        "ratio to MobileInst 640": _ratio(evidence, host),
        **{f"A78 ms {name}": record_cell(cell, NOT_TIMED) for name, cell in on_phone.items()},
        "source": found.source,
    }


@table(5)
def later(evidence: Evidence) -> Table:
    """Return one row per segmenter: MobileInst's first, then those of ``suite/claims/later.csv``."""
    notes = (
        "The clock covers the network alone. MobileInst's gives masks; YOLO's gives boxes, prototypes and "
        "coefficients: selecting among them and multiplying them into masks comes on top, and removing double boxes "
        "before YOLO26.",
        "Test-dev and val2017 are different images. MobileInst's AP is what its authors print and cannot be checked: "
        "they released no weights. All timed graphs have random weights, which do not change a network's time.",
    )
    rows = [_later_row(evidence, row) for row in (*_own_rows(evidence), *load_later())]
    return make_table("What came after MobileInst, on the same cores", rows, notes)
