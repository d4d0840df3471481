"""A finished training becomes evidence: its sealed record and its model card, beside the weights."""

from __future__ import annotations

from pathlib import Path

from suite.files import file_digest, write_text
from suite.paths import records_dir, shown
from suite.records.provenance import start_run
from suite.records.schema import Artifact, Run
from suite.records.store import writing
from suite.training.model_card import model_card
from suite.training.recipe import Recipe
from suite.training.run import FinishedRun
from suite.training.start import How
from suite.training.state import StateFiles, write_errors

CARD = "MODEL_CARD.md"


def write_evidence(finished: FinishedRun, recipe: Recipe, run: Run, how: How, publish: bool = False) -> Path:
    """Write the record and the model card into the run's folder, then remove its states.

    Args:
        finished: the trained run.
        recipe: what it was trained by.
        run: the first line of the record, made when the training started.
        how: names the file it started from.
        publish: also put the record among the committed ones, from which the report is drawn.

    Returns:
        The record's path.

    Raises:
        InputError: if a file cannot be written; the states are intact.
    """
    folder, subject = finished.checkpoint.parent, finished.subject
    card = folder / CARD
    folders = [folder, *([records_dir()] if publish else [])]
    with write_errors(
        f"{shown(folder)}: card and record", "weights and states are intact; make room, then run the same command"
    ):
        write_text(card, model_card(finished, recipe, run, how.initial))
        for place in folders:
            with writing(run, place) as record:
                for line in finished.record_lines(finished.dataset):
                    record.add(line)
                for path, caption in ((finished.checkpoint, "weights"), (card, "model card")):
                    record.add(Artifact(path.stem.lower(), shown(path), file_digest(path), subject, caption))
    StateFiles(folder).remove()
    return folders[-1] / f"{run.run_id}.jsonl"


def begin(recipe: Recipe, seed: int) -> Run:
    """Return the first line of a training's record."""
    return start_run(f"train-{recipe.dataset}", seed=seed)
