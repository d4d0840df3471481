"""Which graph and which input shape fit each published latency: two constants, fitted where the shape is certain."""

from __future__ import annotations

from dataclasses import replace

from suite.claims.latency_fit import CLOSE, Fit, Reading, fit_constants, load_readings
from suite.report.evidence import Evidence
from suite.report.numbers import milliseconds
from suite.report.table import Column, Table, TableCell, text_cell
from suite.report.tables._parts import closing_notes, number_column

INFERENCE = "This is inference from printed latencies and counted graphs, not a measurement"
PRECISION = (
    "TNN, precision not stated: its default on ARM prefers fp16, and the fitted speeds exceed what one 2.4 GHz "
    "Cortex-A78 can do in fp32 (19.2 GMAC/s)"
)


def percent(share: float) -> str:
    """Print a share as whole percent: ``10 %``."""
    return f"{100 * share:.0f} %"


def verdict(fit: Fit, reading: Reading) -> str:
    """Say how a reading goes with its published latency."""
    off = abs(fit.predict(reading) / reading.published_ms - 1)
    if reading.certain:
        return "fitted"
    if off <= CLOSE:
        return "fits within 5 %"
    return f"fits within {percent(fit.tolerance)}" if off <= fit.tolerance else "does not fit"


def constants_note(fit: Fit, readings: list[Reading]) -> str:
    """Return the constants with their uncertainty as one sentence."""
    certain = [reading for reading in readings if reading.certain]
    worst = max(abs(share - 1) for share in fit.left_out.values())
    inside = max(abs(fit.predict(reading) / reading.published_ms - 1) for reading in certain)
    return (
        f"Fitted on {len(certain)} rows of certain shape: {fit.dense:.1f} ms per GMAC of dense 3x3 convolutions of "
        f"stride 1 [{fit.dense_range[0]:.1f}, {fit.dense_range[1]:.1f}] and {fit.other:.1f} ms per GMAC of everything "
        f"else [{fit.other_range[0]:.1f}, {fit.other_range[1]:.1f}] (95 %, exact bootstrap over these rows); largest "
        f"error {percent(inside)} on them, {percent(worst)} on a row left out of the fit"
    )


def reproduced_note(fit: Fit, readings: list[Reading]) -> str:
    """Count the rows whose best, and whose default, reading is within 5 %."""
    rows = dict.fromkeys(reading.row_id for reading in readings)

    def close(chosen: list[Reading]) -> bool:
        return any(abs(fit.predict(reading) / reading.published_ms - 1) <= CLOSE for reading in chosen)

    best = sum(close([reading for reading in readings if reading.row_id == row]) for row in rows)
    default = sum(close([reading for reading in readings if reading.row_id == row and reading.default]) for row in rows)
    return (
        f"{best} of {len(rows)} published latencies are within 5 % of a reading's prediction, {default} of them of the "
        "reading that this suite times"
    )


def build(evidence: Evidence) -> Table:
    """Return one row per reading of each published row of prior art, the reading timed here first."""
    columns = (
        Column("method"),
        Column("backbone"),
        Column("read as"),
        number_column("input"),
        number_column("dense 3x3 GMACs"),
        number_column("other GMACs"),
        number_column("published ms"),
        number_column("predicted ms [95 %]"),
        number_column("published / predicted"),
        Column("reading"),
    )
    readings = load_readings(evidence.claims)
    certain = [reading for reading in readings if reading.certain]
    title = "Published latencies of prior art against the latency of each way to read their row (inference)"
    if len(certain) < 3:
        reason = "Nothing to show: fewer than three claims have a latency and a certain input shape."
        return Table("forensics", title, columns, (), closing_notes(evidence, reason))
    fit = fit_constants(readings)
    named = {claim.row_id: claim for claim in evidence.claims}
    rows = []
    for reading in readings:
        claim = named[reading.row_id]
        predicted, (low, high) = fit.predict(reading), fit.interval(reading)
        quotient = reading.published_ms / predicted
        span = f"{milliseconds(predicted)} [{milliseconds(low)}, {milliseconds(high)}]"
        rows.append(
            (
                text_cell(claim.method),
                text_cell(claim.backbone),
                text_cell(reading.what + ("" if reading.default else " (alternative)")),
                text_cell(reading.size),
                TableCell(f"{reading.dense:.2f}", reading.dense),
                TableCell(f"{reading.other:.2f}", reading.other),
                TableCell(milliseconds(reading.published_ms), reading.published_ms),
                TableCell(span, predicted),
                TableCell(f"{quotient:.2f}", quotient),
                text_cell(verdict(fit, reading)),
            )
        )
    notes = (
        f"{INFERENCE}.",
        f"{constants_note(fit, readings)}.",
        f"{reproduced_note(fit, readings)}.",
        "Intervals cover the choice of fitted rows only, not what two constants leave out (normalisation, resizes, "
        f"sampling, memory): a prediction is trusted to {percent(fit.tolerance)}.",
        f"{PRECISION}.",
        "MACs are counted from the graphs of suite/models, masks of 100 instances in.",
    )
    return replace(Table("forensics", title, columns, tuple(rows)), notes=closing_notes(evidence, *notes))
