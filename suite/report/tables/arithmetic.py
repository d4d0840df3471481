"""Arithmetic of the graphs: parameters, multiply-accumulates and operators, and the least time that one core needs.

The least time, in fp32 and fp16, tells which published phone latencies were not fp32.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import pandas as pd

from suite.claims.claim import Claim
from suite.claims.latency_bound import (
    CLOCK_GHZ,
    MACS_PER_CYCLE,
    MORE_CONVOLUTIONS,
    OUR_CONVOLUTIONS,
    Precision,
    Reading,
    load_readings,
    never_fp32,
)
from suite.records.schema import Series
from suite.report.evidence import Evidence
from suite.report.models import display_name, entries
from suite.report.table import Row, Table, make_table, milliseconds, number_cell, record_cell
from suite.report.tables import table

SHOWN_OPERATORS = 6
METHOD = (
    "This is inference from printed latencies and counted graphs, not a measurement. Least ms: a quarter of the dense "
    "3x3 GMACs (Winograd's F(4x4, 3x3), the largest that TNN has) and all other GMACs, over the peak of one "
    f"{CLOCK_GHZ} GHz Cortex-A78, {MACS_PER_CYCLE['fp32']} multiply-adds a cycle in fp32 and {MACS_PER_CYCLE['fp16']} "
    "in fp16. Memory, transforms and everything that is not multiplied are free here, so no program is as fast. MACs "
    "are those of the graphs of suite/models, masks of 100 instances in: `python -m suite latency count-readings`"
)


def _scaled(value: float, unit: float) -> str:
    """Print a count in units of ``unit`` (1e6, 1e9) with three significant digits or more."""
    number = value / unit
    return f"{number:.1f}" if number >= 100 else f"{number:.2f}" if number >= 10 else f"{number:.3f}"


def _graph_rows(evidence: Evidence, model: str, run_id: str, series: Series) -> list[Row]:
    """Return one row per exported graph of a model: nodes, operators, largest difference from PyTorch."""
    rows: list[Row] = []
    for graph, operators in pd.DataFrame(series.rows, columns=series.columns).groupby("graph", sort=False):
        first = operators.head(SHOWN_OPERATORS)
        shown = [f"{name} {nodes}" for name, nodes in zip(first["operator"], first["nodes"], strict=True)]
        rest = len(operators) - len(shown)
        parity = evidence.newest("parity_max_abs", model, {"graph": str(graph)})
        rows.append(
            {
                "model": display_name(model),
                "graph": "network" if graph == "whole" else str(graph).replace("_", " "),
                "nodes": number_cell(int(operators["nodes"].sum()), runs=(run_id,)),
                "operators, most frequent first": ", ".join(shown) + (f", {rest} more kinds" if rest > 0 else ""),
                "largest difference from PyTorch": number_cell(parity.value, ".1e") if parity else "",
            }
        )
    return rows


@table(8)
def counts(evidence: Evidence) -> Table:
    """Return one row per model and input size, then one per graph of prior art as it was timed."""
    rows: list[Row] = []
    for cell in sorted(evidence.find("macs"), key=lambda cell: (cell.model, -cell.value)):
        parameters = evidence.newest("parameters", cell.model)
        rows.append(
            {
                "model": display_name(cell.model),
                "input": cell.size,
                "params M": record_cell(parameters, text=_scaled(parameters.value, 1e6)) if parameters else "",
                "MACs G": record_cell(cell, text=_scaled(cell.value, 1e9)),
            }
        )
    newest = {series.subject.model: (run.run_id, series) for run, series in evidence.series("graph_operators")}
    for model, (run_id, series) in sorted(newest.items()):
        rows += _graph_rows(evidence, model, run_id, series) if model in entries() else []
    notes = (
        "MACs are those of convolutions, linear layers and matrix products for one image; the paper prints neither.",
        "Differences are absolute, of any element of any output, and include the magnitude of outputs under random "
        "weights; every graph passed a relative limit of 1e-3 when it was exported.",
    )
    return make_table("Parameters, multiply-accumulates and timed graphs of the models here", rows, notes)


def _shares(readings: Sequence[Reading], precision: Precision) -> str:
    found = [100 * reading.peak_share(precision) for reading in readings]
    return f"{min(found):.0f} to {max(found):.0f} %"


def _prior_note(readings: list[Reading], names: dict[str, str]) -> str:
    """Say which rows were not timed in fp32, and which graphs not even fp16 allows at their smallest input."""
    never = never_fp32(readings)
    certain, inferred = (", ".join(names[row] for row in never if never[row] is known) for known in (True, False))
    total = len({reading.row_id for reading in readings})
    smallest = {item.model: item for item in sorted(readings, key=lambda item: -item.least_ms("fp16"))}
    lighter = "".join(
        f"; {display_name(item.model)}, needs {milliseconds(item.least_ms('fp16'))} ms even in fp16 at "
        f"{item.height_px}x{item.width_px} px, so the {milliseconds(item.published_ms)} ms printed show a lighter graph"
        for item in smallest.values()
        if not item.possible
    )
    return (
        f"{len(never)} of {total} latencies of prior art are impossible in fp32 with every graph and input shape "
        f"listed: {certain} (input shape certain), {inferred} (shapes inferred). In fp16 the readings timed here ask "
        f"for {_shares([reading for reading in readings if reading.default], 'fp16')} of the peak{lighter}"
    )


def _own_note(prior: list[Reading], own: list[Reading]) -> str:
    """Say what the bound leaves of MobileInst's own latencies, and what follows for "half the latency of prior art"."""
    timed = {(reading.row_id, reading.height_px, reading.width_px) for reading in own if reading.default}
    same_input = [reading for reading in own if (reading.row_id, reading.height_px, reading.width_px) in timed]
    few, many = (
        [reading for reading in same_input if reading.convolutions == number]
        for number in (OUR_CONVOLUTIONS, MORE_CONVOLUTIONS)
    )
    median = statistics.median(100 * reading.peak_share("fp16") for reading in prior if reading.default)
    return (
        f"MobileInst's own latencies are possible in fp32 with the {OUR_CONVOLUTIONS} 3x3 convolutions of its figure "
        f"({_shares(few, 'fp32')} of the peak); in fp16 these use {_shares(few, 'fp16')}, {MORE_CONVOLUTIONS} of them "
        f"{_shares(many, 'fp16')} ({_shares(many, 'fp32')} of the fp32 peak), prior art's median {median:.0f} %. So "
        "either MobileInst was timed in fp32 and prior art in fp16, and at one precision its advantage is larger than "
        'the printed "half the latency of prior art", or all were fp16 and its network did more than its figure '
        "shows. The printed numbers do not tell which"
    )


def _reading_row(reading: Reading, claim: Claim) -> Row:
    graph = display_name(reading.model) + (f", {reading.convolutions} convolutions" if reading.convolutions else "")
    return {
        "method": claim.method,
        "backbone": claim.backbone,
        "read as": graph + ("" if reading.default else " (alternative)"),
        "input": f"{reading.height_px}x{reading.width_px}",
        "shape": "certain" if reading.shape_certain == "yes" else "inferred",
        "dense 3x3 GMACs": number_cell(reading.gmacs_dense3x3, ".2f"),
        "other GMACs": number_cell(reading.gmacs_other, ".2f"),
        "published ms": number_cell(reading.published_ms, "ms"),
        **{f"least ms {name}": number_cell(reading.least_ms(name), "ms") for name in MACS_PER_CYCLE},
        **{f"% of {name} peak": number_cell(100 * reading.peak_share(name), ".0f") for name in MACS_PER_CYCLE},
        "possible in": " or ".join(reading.possible) or "neither",
    }


@table(9)
def bound(evidence: Evidence) -> Table:
    """Return one row per reading of each published phone latency."""
    readings = load_readings(evidence.claims.values())
    claims = {claim.row_id: claim for claim in evidence.claims.values()}
    names = {row: f"{claim.method} {claim.backbone}" for row, claim in claims.items()}
    prior = [reading for reading in readings if not reading.convolutions]
    own = [reading for reading in readings if reading.convolutions]
    notes = [METHOD, *([_prior_note(prior, names), _own_note(prior, own)] if prior and own else [])]
    title = "The least time that one phone core needs for each published latency (inference)"
    rows = [_reading_row(reading, claims[reading.row_id]) for reading in readings]
    return make_table(title, rows, [f"{note}." for note in notes])
