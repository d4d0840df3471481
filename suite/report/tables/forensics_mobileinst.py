"""Which reconstructions of MobileInst fit its five published latencies, ours among them or not; inference."""

from __future__ import annotations

from dataclasses import dataclass, replace

from suite.claims.latency_fit import (
    OUR_CONVOLUTIONS,
    Fit,
    Reconstruction,
    fit_constants,
    load_readings,
    load_reconstructions,
)
from suite.report.evidence import Evidence
from suite.report.table import Column, Table, TableCell, text_cell
from suite.report.tables._parts import closing_notes, number_column
from suite.report.tables.forensics import INFERENCE, PRECISION, percent

ROWS = {
    "table1/mobileinst-topformer-base-640": "TopFormer 640",
    "table1/mobileinst-topformer-base-512": "TopFormer 512",
    "table2/2019/mobileinst-topformer-base": "TopFormer video",
    "table1/mobileinst-mobilenetv2-640": "MobileNetV2 640",
    "table1/mobileinst-seaformer-640": "SeaFormer 640",
}
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


def build(evidence: Evidence) -> Table:
    """Return ours and every reconstruction that fits at least one published latency, the best fitting first."""
    columns = (
        Column("backbone size"),
        number_column("width"),
        Column("pyramid"),
        number_column("3x3 convolutions"),
        Column("shapes"),
        *(number_column(label, "published / predicted") for label in ROWS.values()),
        number_column("rows that fit"),
        Column("ours"),
    )
    title = "Published latencies of MobileInst against those of ways to reconstruct it (inference)"
    readings = load_readings(evidence.claims)
    known = hypotheses(load_reconstructions(evidence.claims))
    if len([reading for reading in readings if reading.certain]) < 3 or not known:
        note = "Nothing to show: too few claims have a latency and a certain input shape."
        return Table("forensics_mobileinst", title, columns, (), closing_notes(evidence, note))
    fit = fit_constants(readings)

    def order(key: Hypothesis) -> tuple[float, ...]:
        errors = [abs(fit.predict(one.reading) / one.reading.published_ms - 1) for one in known[key].values()]
        return (-fitting(fit, known[key]), max(errors), sum(errors))

    rows = []
    for key in sorted(known, key=order):
        count = fitting(fit, known[key])
        if not count and not key.ours:
            continue
        cells = []
        for row_id in ROWS:
            one = known[key].get(row_id)
            quotient = one.reading.published_ms / fit.predict(one.reading) if one else None
            fits = one is not None and fit.compatible(one.reading)
            cells.append(TableCell() if quotient is None else TableCell(f"{quotient:.2f}", quotient, bold=fits))
        rows.append(
            (
                text_cell(key.size),
                TableCell(str(key.width), key.width),
                text_cell(key.pyramid),
                TableCell(str(key.convolutions), key.convolutions),
                text_cell(SHAPE_RULES[key.shape_rule]),
                *cells,
                TableCell(f"{count} of {len(known[key])}", count),
                text_cell("ours" if key.ours else ""),
            )
        )
    notes = (
        f"{INFERENCE}.",
        f"{conclusion(fit, known)}.",
        f"Bold: within {percent(fit.tolerance)}, what the constants of table forensics are trusted to. They know "
        "arithmetic only: a reconstruction may also be slower than predicted by resizes, sums and attention, so a "
        "common factor on all rows can be missing convolutions as well as work that is no arithmetic.",
        "Convolutions come in sets of three, one for each of the levels 1/8, 1/16 and 1/32; as much arithmetic "
        "elsewhere (such as more of them at 1/8) fits as well.",
        "MobileNetV2 has one size and no injection; SeaFormer takes TopFormer's size.",
        f"{PRECISION}. The paper's arXiv v1 prints 176 ms for a row it does not name; the five latencies here are the "
        "AAAI version's.",
    )
    return replace(Table("forensics_mobileinst", title, columns, tuple(rows)), notes=closing_notes(evidence, *notes))
