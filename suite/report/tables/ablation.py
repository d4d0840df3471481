"""What each choice of the model is worth on the embedded set: cells of the ablation, and rules of association."""

from __future__ import annotations

from suite.datasets.video_traits import TRAITS
from suite.records.schema import METRICS
from suite.report.ablation import (
    CELLS,
    DATASET,
    DEFAULT_CELL,
    KEY_FRAME_INTERVALS,
    TRENDS,
    AblationCell,
    AblationScores,
    Trial,
    ablation_scores,
    described,
    trend_sentence,
)
from suite.report.evidence import SHAPES_CAUTION, Evidence
from suite.report.table import Row, Table, TableCell, make_table, number_cell, record_cell
from suite.report.tables import table

NOT_RUN = "not run: python -m suite ablation"
MEASURED = "AP points, mean ± standard deviation over seeds"
GAIN = "gain of the cell it differs from in one choice, AP points"
ASSOCIATION_METRICS = (
    *("linked_video_ap", "shuffled_video_ap", "track_links", "track_query_changes", "track_query_losses"),
    *("track_changes_followed", "identity_switches"),
)
"""Metrics of the table on association."""


def _gain_cell(scores: AblationScores, cell: AblationCell, interval: int | None) -> TableCell:
    """Return how much better the neighbouring cell is, paired by seed."""
    if not cell.compared_with:
        return TableCell()
    better, worse = Trial(cell.compared_with, interval), Trial(cell.name, interval)
    gain = scores.gain(better, worse)
    if gain is None:
        return TableCell(note=NOT_RUN if worse not in scores.found else f"no seed in common with {cell.compared_with}")
    spread = "" if gain.deviation is None else f" ± {gain.deviation:.1f}"
    return TableCell(f"{gain.value:+z.1f}{spread}", gain.value, runs=scores.runs(better, worse))


def _published_gain(evidence: Evidence, cell: AblationCell) -> TableCell:
    """Return the paper's gain over this cell, where it prints one."""
    for trend in TRENDS:
        claim = evidence.claims.get(trend.claim_id)
        if claim is not None and not trend.caution and trend.worse.cell == cell.name:
            metric = "mask AP" if trend.better.metric == "mask_ap" else "video AP"
            return TableCell(claim.text, claim.value, note=f"{metric} on {claim.dataset}")
    return TableCell(note="not printed in the paper") if cell.compared_with else TableCell()


@table(3, in_paper=True)
def ablation(evidence: Evidence) -> Table:
    """Return one row per cell, its paired difference and the paper's, and below one sentence per trend."""
    scores = ablation_scores(evidence)
    rows: list[Row] = []
    for cell in CELLS:
        trials = {"mask": Trial(cell.name)}
        trials |= {f"video T = {interval}": Trial(cell.name, interval) for interval in KEY_FRAME_INTERVALS}
        found = {title: scores.found.get(trial) for title, trial in trials.items()}
        seeds = {sample.seed for measured in found.values() if measured for sample in measured.samples}
        rows.append(
            {
                "cell": cell.title,
                "seeds": number_cell(len(seeds)),
                **{f"{MEASURED}: {title}": record_cell(measured, NOT_RUN) for title, measured in found.items()},
                f"{GAIN}: mask": _gain_cell(scores, cell, None),
                f"{GAIN}: video T = 1": _gain_cell(scores, cell, 1),
                f"{GAIN}: published": _published_gain(evidence, cell),
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
    return make_table(f"Ablation on the embedded set{length}", rows, notes)


@table(13)
def tracking(evidence: Evidence) -> Table:
    """Return what association is worth, a row for each T and rule: video AP, shuffled queries, identities' fate."""
    absent = "not run: python -m suite reproduce"
    rows: list[Row] = []
    for cell in evidence.find(ASSOCIATION_METRICS[0], dataset=DATASET):
        found = {name: evidence.newest(name, cell.model, cell.protocol, DATASET) for name in ASSOCIATION_METRICS}
        rows.append(
            {
                "training": str(cell.get("experiment") or "main job"),
                "T": str(cell.get("key_frame_interval")),
                "rule": str(cell.get("associate_on")),
                **{METRICS[name].label: record_cell(last, absent) for name, last in found.items()},
            }
        )
    gains = ablation_scores(evidence).gain
    hard = (
        f"Ablation, association over none at T = 1 where {meaning}: "
        f"{described(gains(Trial(DEFAULT_CELL, 1, True, trait), Trial(DEFAULT_CELL, 1, False, trait)))}."
        for trait, meaning in TRAITS.items()
    )
    notes = ("Rows and columns: docs/tracking.md.", *hard, f"{SHAPES_CAUTION}.")
    return make_table("Association between key frames, embedded set", rows or [{"T": absent}], notes)
