"""Which graph and which input shape fit each published latency: two constants, fitted where the shape is certain."""

from __future__ import annotations

from dataclasses import dataclass

from suite.claims.claim import Claim
from suite.claims.latency_fit import (
    CLOSE,
    OUR_CONVOLUTIONS,
    Fit,
    Reading,
    Reconstruction,
    fit_constants,
    load_readings,
    load_reconstructions,
)
from suite.report.evidence import Evidence
from suite.report.models import display_name
from suite.report.numbers import milliseconds
from suite.report.table import Row, Table, TableCell, make_table
from suite.report.tables._parts import closing_notes

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


SHAPE_RULES = ("long side 864, video 384x640", "squares")
COMPARED = ("size", "width", "pyramid", "convolutions", "shape_rule")


@dataclass(frozen=True)
class Hypothesis:
    """One way to build all five rows: backbone size, width, pyramid, number of 3x3 convolutions, shape rule."""

    size: str
    width: int
    pyramid: str
    convolutions: int
    shape_rule: int

    @property
    def ours(self) -> bool:
        """Whether it is the reference model's."""
        return self == Hypothesis("base", 256, "raw", OUR_CONVOLUTIONS, 0)


def hypotheses(reconstructions: list[Reconstruction]) -> dict[Hypothesis, dict[str, Reconstruction]]:
    """Return, for every hypothesis, its reconstruction of each published row.

    MobileNetV2 has one size, and only TopFormer injects: those rows are the same for all sizes, or both pyramids.
    SeaFormer takes the size that TopFormer has.
    """
    found: dict[Hypothesis, dict[str, Reconstruction]] = {}
    for one in reconstructions:
        family, _, size = one.backbone.partition("_")
        sizes = (size,) if size else ("tiny", "small", "base")
        pyramids = (one.pyramid,) if family == "topformer" else ("raw", "injected")
        for named in sizes:
            if named == "large":
                continue
            for pyramid in pyramids:
                key = Hypothesis(named, one.width, pyramid, one.convolutions, one.shape_rule)
                found.setdefault(key, {})[one.reading.row_id] = one
    return found


def fitting(fit: Fit, rows: dict[str, Reconstruction]) -> int:
    """Return how many published latencies a hypothesis may have been timed at."""
    return sum(fit.compatible(one.reading) for one in rows.values())


def conclusion(fit: Fit, known: dict[Hypothesis, dict[str, Reconstruction]]) -> str:
    """Say which hypotheses fit all rows, what they share, and where ours stands."""
    total = max(len(rows) for rows in known.values())
    whole = [key for key, rows in known.items() if fitting(fit, rows) == total]
    mine = next((rows for key, rows in known.items() if key.ours), {})
    quotients = [one.reading.published_ms / fit.predict(one.reading) for one in mine.values()]
    words = f"{len(whole)} of {len(known)} reconstructions fit all {total} latencies within {percent(fit.tolerance)}"
    if whole:
        shared = []
        for name in COMPARED:
            values = sorted({getattr(key, name) for key in whole})
            texts = [SHAPE_RULES[value] if name == "shape_rule" else str(value) for value in values]
            label = {"size": "backbone", "shape_rule": "shapes", "convolutions": "3x3 convolutions"}.get(name, name)
            shared.append(f"{label} {' or '.join(texts)}")
        words += f": {'; '.join(shared)}"
    if quotients:
        place = "among them" if any(key.ours for key in whole) else "not among them"
        words += (
            f". Ours is {place}: the published latencies are {min(quotients):.2f} to {max(quotients):.2f} times what "
            f"it should take, on {fitting(fit, mine)} of {len(mine)} rows within the tolerance"
        )
    return words


def _row(fit: Fit, reading: Reading, claim: Claim) -> Row:
    predicted, (low, high) = fit.predict(reading), fit.interval(reading)
    quotient = reading.published_ms / predicted
    return {
        "method": claim.method,
        "backbone": claim.backbone,
        "read as": display_name(reading.what) + ("" if reading.default else " (alternative)"),
        "input": reading.size,
        "dense 3x3 GMACs": TableCell(f"{reading.dense:.2f}", reading.dense),
        "other GMACs": TableCell(f"{reading.other:.2f}", reading.other),
        "published ms": TableCell(milliseconds(reading.published_ms), reading.published_ms),
        "predicted ms [95 %]": TableCell(
            f"{milliseconds(predicted)} [{milliseconds(low)}, {milliseconds(high)}]", predicted
        ),
        "published / predicted": TableCell(f"{quotient:.2f}", quotient),
        "reading": verdict(fit, reading),
    }


def build(evidence: Evidence) -> Table:
    """Return one row per reading of each published row of prior art, the reading timed here first."""
    readings = load_readings(evidence.claims)
    title = "Published latencies of prior art against the latency of each way to read their row (inference)"
    if len([reading for reading in readings if reading.certain]) < 3:
        reason = "Nothing to show: fewer than three claims have a latency and a certain input shape."
        return make_table("forensics", title, (), closing_notes(evidence, reason))
    fit = fit_constants(readings)
    named = {claim.row_id: claim for claim in evidence.claims}
    rebuilt = hypotheses(load_reconstructions(evidence.claims))
    notes = (
        f"{INFERENCE}.",
        f"{constants_note(fit, readings)}.",
        f"{reproduced_note(fit, readings)}.",
        "Intervals cover the choice of fitted rows only, not what two constants leave out (normalisation, resizes, "
        f"sampling, memory): a prediction is trusted to {percent(fit.tolerance)}.",
        f"{PRECISION}.",
        *([f"MobileInst itself, rebuilt as its paper leaves open: {conclusion(fit, rebuilt)}."] if rebuilt else []),
        "A reconstruction may also be slower than predicted by resizes, sums and attention: a common factor on all "
        "rows can be missing convolutions as well as work that is no arithmetic.",
        "MACs are counted from the graphs of suite/models, masks of 100 instances in.",
    )
    rows = [_row(fit, reading, named[reading.row_id]) for reading in readings]
    return make_table("forensics", title, rows, closing_notes(evidence, *notes))
