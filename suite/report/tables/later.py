"""Later segmenters beside MobileInst: what their authors publish, and what their graphs take on the same cores."""

from __future__ import annotations

import msgspec

from suite.claims.csv_rows import Digits, Points, read_rows
from suite.claims.loader import CLAIMS_FOLDER
from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.models import display_name
from suite.report.table import Row, Table, TableCell, make_table, number_cell, ratio_cell, record_cell

OWN = ("mobileinst_topformer_base_640", "mobileinst_topformer_base_512")
PHONE = "snapdragon_778g"
NOT_TIMED = "its graph is not timed yet: export it as docs/latency.md says"


class LaterRow(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A segmenter that came after the paper, as its authors describe it.

    ``model`` is its name in our records, given to ``latency host --onnx FILE:NAME``, ``size_px`` the side of the square
    input that the mask AP in points is published for, ``parameters_m`` in millions, ``gflops`` in thousand millions of
    operations, two per multiply-accumulate.
    """

    model: str
    method: str
    size_px: int
    ap: Points
    dataset_split: str
    parameters_m: Digits | None = None
    gflops: Digits | None = None
    source: str


def load_later() -> list[LaterRow]:
    """Return ``suite/claims/later.csv``; raises as `suite.claims.csv_rows.read_rows` does."""
    return [row for _, row in read_rows(CLAIMS_FOLDER / "later.csv", LaterRow)]


def _timed(evidence: Evidence, model: str) -> dict[str, TableCell | str]:
    """Return the columns with our times of a model, each empty with its reason."""

    def newest(metric: str, device: str, **protocol: str) -> Cell | None:
        return next(reversed(evidence.find(metric, model, {"device": device, "span": "network", **protocol})), None)

    host = newest("latency_cpu_ms", "host", runtime="onnxruntime")
    ratio = evidence.companion(host, "latency_ratio_cpu") if host else None
    return {
        "input": host.size if host else "",
        "CPU ms here": record_cell(host, NOT_TIMED),
        "ratio to MobileInst 640": ratio_cell(ratio.value, ratio.interval, ratio.run_ids) if ratio else "",
        "A78 ms fp32": record_cell(newest("latency_wall_ms", PHONE, precision="fp32"), NOT_TIMED),
        "A78 ms fp16": record_cell(newest("latency_wall_ms", PHONE, precision="fp16"), NOT_TIMED),
    }


def _row(evidence: Evidence, found: LaterRow) -> Row:
    """Return what is published of a model beside our times of it."""
    times = _timed(evidence, found.model)
    return {
        "method": found.method,
        "input": times.pop("input") or f"{found.size_px}x{found.size_px}",
        "published AP": number_cell(float(found.ap), ".1f"),
        "on": found.dataset_split,
        "parameters M": found.parameters_m or "",
        "published GFLOP": found.gflops or "",
        **times,
        "source": found.source,
    }


def _own_rows(evidence: Evidence) -> list[LaterRow]:
    """Return the published rows of MobileInst that the later ones are compared with."""
    rows = []
    for model in OWN:
        row = next((row for row, names in evidence.counterparts.items() if model in names), "")
        claim = evidence.claims.get(f"{row}/ap")
        if claim is not None:
            found = LaterRow(
                model=model,
                method=display_name(model),
                size_px=claim.short_side_px or 0,
                ap=claim.text,
                dataset_split=claim.dataset,
                source="the paper, table 1",
            )
            rows.append(found)
    return rows


def later(evidence: Evidence) -> Table:
    """Return one row per segmenter: MobileInst's first, then those of ``suite/claims/later.csv``."""
    notes = (
        "The clock covers the network alone. MobileInst's gives masks; YOLO's gives boxes, prototypes and "
        "coefficients: selecting among them and multiplying them into masks comes on top, and removing double boxes "
        "before YOLO26.",
        "Test-dev and val2017 are different images. MobileInst's AP is what its authors print and cannot be checked: "
        "they released no weights. All timed graphs have random weights, which do not change a network's time.",
    )
    rows = [_row(evidence, row) for row in (*_own_rows(evidence), *load_later())]
    return make_table("later", "What came after MobileInst, on the same cores", rows, notes, origin=evidence.origin)
