"""The ablation on the embedded set: every cell's mean and spread over seeds, its paired difference, the paper's."""

from __future__ import annotations

from suite.report.ablation import (
    CELLS,
    KEY_FRAME_INTERVALS,
    TRENDS,
    AblationCell,
    AblationScores,
    Trial,
    ablation_scores,
    trend_sentence,
)
from suite.report.evidence import Evidence
from suite.report.measured import SHAPES_CAUTION
from suite.report.table import Row, Table, TableCell, make_table, missing, record_cell
from suite.report.tables._parts import origin

IN_PAPER = True
NOT_RUN = "not run: python -m suite ablation"
MEASURED = "AP points, mean ± standard deviation over seeds"
GAIN = "gain of the cell it differs from in one choice, AP points"


def _gain(scores: AblationScores, cell: AblationCell, interval: int | None) -> TableCell:
    """Return how much better the neighbouring cell is, paired by seed."""
    if not cell.compared_with:
        return TableCell()
    better, worse = Trial(cell.compared_with, interval), Trial(cell.name, interval)
    gain = scores.gain(better, worse)
    if gain is None:
        return missing(NOT_RUN if worse not in scores.found else f"no seed in common with {cell.compared_with}")
    spread = "" if gain.deviation is None else f" ± {gain.deviation:.1f}"
    runs = (*scores.found[better].run_ids, *scores.found[worse].run_ids)
    return TableCell(f"{gain.value:+.1f}{spread}", gain.value, runs=tuple(dict.fromkeys(runs)))


def _published(evidence: Evidence, cell: AblationCell) -> TableCell:
    """Return the paper's gain over this cell, where it prints one."""
    for trend in TRENDS:
        decides = trend.claim_id and not trend.caution and trend.worse.cell == cell.name
        claim = evidence.claim(trend.claim_id) if decides else None
        if claim is not None:
            metric = "mask AP" if trend.better.metric == "mask_ap" else "video AP"
            return TableCell(claim.text, claim.value, note=f"{metric} on {claim.dataset}")
    return TableCell() if not cell.compared_with else missing("not printed in the paper")


def build(evidence: Evidence) -> Table:
    """Return one row per cell, and below the table one sentence per trend."""
    scores = ablation_scores(evidence)
    rows: list[Row] = []
    for cell in CELLS:
        trials = {"mask": Trial(cell.name)}
        trials |= {f"video T = {interval}": Trial(cell.name, interval) for interval in KEY_FRAME_INTERVALS}
        found = [scores.found[trial] for trial in trials.values() if trial in scores.found]
        seeds = {sample.seed for measured in found for sample in measured.samples}
        rows.append(
            {
                "cell": cell.title,
                "seeds": TableCell(str(len(seeds)), float(len(seeds))),
                **{
                    f"{MEASURED}: {title}": record_cell(scores.found.get(trial), NOT_RUN)
                    for title, trial in trials.items()
                },
                f"{GAIN}: mask": _gain(scores, cell, None),
                f"{GAIN}: video T = 1": _gain(scores, cell, 1),
                f"{GAIN}: published": _published(evidence, cell),
            }
        )
    notes = (
        *(trend_sentence(evidence, scores, trend) for trend in TRENDS),
        "Gains are paired by seed. Each cell is compared with the default, those with a single decoder with the cell "
        "without query passing: one decoder has nothing to pass queries on to.",
        "Seeds vary initial weights, order and augmentation; the held-out videos are the same, so their sampling error "
        "comes on top.",
        f"{SHAPES_CAUTION}.",
    )
    length = "" if scores.iterations is None else f", {scores.iterations} training iterations"
    return make_table("ablation", f"Ablation on the embedded set{length}", rows, notes, origin=origin(evidence))
