"""The ablation on the embedded set: every cell's mean and spread over seeds, its paired difference, the paper's."""

from __future__ import annotations

from dataclasses import replace

from suite.report.ablation import AblationScores, ablation_scores, trend_sentence
from suite.report.evidence import Evidence
from suite.report.measured import SHAPES_CAUTION
from suite.report.table import Column, Table, TableCell, missing, text_cell
from suite.report.tables._parts import closing_notes, legend, number_column, record_cell
from suite.reproduce.ablation_cells import CELLS, TRENDS, AblationCell, Trial
from suite.reproduce.video_settings import KEY_FRAME_INTERVALS

NOT_RUN = "not run: python -m suite ablation"
MEASURED = "AP points, mean ± standard deviation over seeds"
GAIN = "gain of the cell it differs from in one choice, AP points"


def _trials(cell: str) -> list[tuple[str, Trial]]:
    """Return the scored settings of a cell with their column titles."""
    videos = [(f"video T = {interval}", Trial(cell, interval)) for interval in KEY_FRAME_INTERVALS]
    return [("mask", Trial(cell)), *videos]


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
        claim = evidence.claim(trend.claim_id) if trend.claim_id and trend.worse.cell == cell.name else None
        if claim is not None:
            metric = "mask AP" if trend.better.metric == "mask_ap" else "video AP"
            return TableCell(claim.text, claim.value, note=f"{metric} on {claim.dataset}")
    return TableCell() if not cell.compared_with else missing("not printed in the paper")


def build(evidence: Evidence) -> Table:
    """Return one row per cell, and below the table one sentence per trend."""
    scores = ablation_scores(evidence)
    columns = (
        Column("cell"),
        number_column("seeds"),
        *(number_column(title, MEASURED) for title, _ in _trials("")),
        number_column("mask", GAIN),
        number_column("video T = 1", GAIN),
        number_column("published", GAIN),
    )
    rows = []
    for cell in CELLS:
        measured = [scores.found.get(trial) for _, trial in _trials(cell.name)]
        seeds = {sample.seed for found in measured if found is not None for sample in found.samples}
        rows.append(
            (
                text_cell(cell.title),
                TableCell(str(len(seeds)), float(len(seeds))),
                *(missing(NOT_RUN) if found is None else record_cell(found) for found in measured),
                _gain(scores, cell, None),
                _gain(scores, cell, 1),
                _published(evidence, cell),
            )
        )
    title = f"Ablation on the embedded set, {scores.iterations} training iterations"
    table = Table("ablation", title, columns, tuple(rows))
    notes = (
        *(trend_sentence(evidence, scores, trend) for trend in TRENDS),
        "Gains are paired by seed. Each cell is compared with the default, those with a single decoder with the cell "
        "without query passing: one decoder has nothing to pass queries on to.",
        "Seeds vary initial weights, order and augmentation; the held-out videos are the same, so their sampling error "
        "comes on top.",
        f"{SHAPES_CAUTION}.",
        *legend(table),
    )
    return replace(table, notes=closing_notes(evidence, *notes))
