"""Kernel association off and on, over all held-out videos and over those where it could matter."""

from __future__ import annotations

from dataclasses import replace

from suite.datasets.video_traits import TRAITS
from suite.report.ablation import ablation_scores, described
from suite.report.evidence import Evidence
from suite.report.measured import SHAPES_CAUTION
from suite.report.table import Column, Table, TableCell, missing, text_cell
from suite.report.tables._parts import closing_notes, legend, number_column, record_cell
from suite.reproduce.ablation_cells import DEFAULT_CELL, Trial
from suite.reproduce.video_settings import KEY_FRAME_INTERVALS

NOT_RUN = "not run: python -m suite ablation"


def build(evidence: Evidence) -> Table:
    """Return one row per kind of video and T: video AP without and with association, and the gain paired by seed."""
    scores = ablation_scores(evidence)
    columns = (
        Column("videos"),
        number_column("number"),
        number_column("T"),
        number_column("off", "video AP, mean ± standard deviation over seeds"),
        number_column("on", "video AP, mean ± standard deviation over seeds"),
        Column("gain of association, AP points"),
    )
    rows = []
    for trait in ("", *TRAITS):
        for interval in KEY_FRAME_INTERVALS:
            trials = [Trial(DEFAULT_CELL, interval, association, trait) for association in (False, True)]
            found = [scores.found.get(trial) for trial in trials]
            dataset = next((cell.dataset for cell in found if cell is not None), None)
            rows.append(
                (
                    text_cell(trait.replace("_", " ") or "all"),
                    TableCell(str(dataset.videos)) if dataset is not None else missing(NOT_RUN),
                    TableCell(str(interval)),
                    *(missing(NOT_RUN) if cell is None else record_cell(cell) for cell in found),
                    text_cell(described(scores.gain(trials[1], trials[0]))),
                )
            )
    title = f"Kernel association between key frames, embedded set, {scores.iterations} training iterations"
    table = Table("association", title, columns, tuple(rows))
    notes = (
        *(f"{trait.replace('_', ' ')}: {meaning}." for trait, meaning in TRAITS.items()),
        "Off: the instances of a key frame keep the numbers of the queries they come from. On: kernels are matched "
        "with those of the previous key frame by cosine similarity. Both are of the same trained weights.",
        f"{SHAPES_CAUTION}.",
        *legend(table),
    )
    return replace(table, notes=closing_notes(evidence, *notes))
