"""Kernel association off and on, over all held-out videos and over those where it could matter."""

from __future__ import annotations

from suite.datasets.video_traits import TRAITS
from suite.report.ablation import DEFAULT_CELL, KEY_FRAME_INTERVALS, Trial, ablation_scores, described
from suite.report.evidence import Evidence
from suite.report.measured import SHAPES_CAUTION
from suite.report.table import Row, Table, TableCell, make_table, missing, record_cell
from suite.report.tables._parts import closing_notes

NOT_RUN = "not run: python -m suite ablation"
GROUP = "video AP, mean ± standard deviation over seeds"


def build(evidence: Evidence) -> Table:
    """Return one row per kind of video and T: video AP without and with association, and the gain paired by seed."""
    scores = ablation_scores(evidence)
    rows: list[Row] = []
    for trait in ("", *TRAITS):
        for interval in KEY_FRAME_INTERVALS:
            off, on = (Trial(DEFAULT_CELL, interval, association, trait) for association in (False, True))
            found = [scores.found.get(trial) for trial in (off, on)]
            videos = next((cell.dataset.videos for cell in found if cell is not None and cell.dataset), None)
            rows.append(
                {
                    "videos": trait.replace("_", " ") or "all",
                    "number": missing(NOT_RUN) if videos is None else TableCell(str(videos), videos),
                    "T": TableCell(str(interval), interval),
                    f"{GROUP}: off": record_cell(found[0], NOT_RUN),
                    f"{GROUP}: on": record_cell(found[1], NOT_RUN),
                    "gain of association, AP points": described(scores.gain(on, off)),
                }
            )
    length = "" if scores.iterations is None else f", {scores.iterations} training iterations"
    notes = (
        *(f"{trait.replace('_', ' ')}: {meaning}." for trait, meaning in TRAITS.items()),
        "Off: the instances of a key frame keep the numbers of the queries they come from. On: kernels are matched "
        "with those of the previous key frame by cosine similarity. Both are of the same trained weights.",
        f"{SHAPES_CAUTION}.",
    )
    title = f"Kernel association between key frames, embedded set{length}"
    return make_table("tracking", title, rows, closing_notes(evidence, *notes))
