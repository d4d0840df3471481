"""What association between key frames is worth: none, by each rule, with shuffled queries, and by ground truth."""

from __future__ import annotations

from suite.datasets.video_traits import TRAITS
from suite.records.schema import METRICS
from suite.report.ablation import DEFAULT_CELL, Trial, ablation_scores, described
from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.measured import SHAPES_CAUTION
from suite.report.table import Row, Table, make_table, record_cell
from suite.report.tables._parts import origin

NOT_RUN = "not run: python -m suite reproduce"
COLUMNS = ["linked_video_ap", "shuffled_video_ap", "track_links", "track_query_changes", "track_query_losses"]
COLUMNS += ["track_changes_followed", "identity_switches"]


def _row(evidence: Evidence, cell: Cell) -> Row:
    same = ((metric, evidence.find(metric, cell.model, dict(cell.protocol), "shapes")) for metric in COLUMNS)
    numbers = {METRICS[metric].label: record_cell(found[-1] if found else None, NOT_RUN) for metric, found in same}
    setting = {"training": str(cell.get("experiment") or "main job"), "T": str(cell.get("key_frame_interval"))}
    return {**setting, "rule": str(cell.get("associate_on")), **numbers}


def build(evidence: Evidence) -> Table:
    """Return one row per T and rule: video AP, the control with shuffled queries, and what became of identities."""
    rows = [_row(evidence, cell) for cell in evidence.find(COLUMNS[0], dataset="shapes")] or [{"T": NOT_RUN}]
    gains = ablation_scores(evidence).gain
    hard = (
        f"Ablation, kernels over none at T = 1 where {meaning}: "
        f"{described(gains(Trial(DEFAULT_CELL, 1, True, trait), Trial(DEFAULT_CELL, 1, False, trait)))}."
        for trait, meaning in TRAITS.items()
    )
    notes = ("Rows and columns: docs/tracking.md.", *hard, f"{SHAPES_CAUTION}.")
    return make_table("tracking", "Association between key frames, embedded set", rows, notes, origin=origin(evidence))
