"""Scores, pictures and the best checkpoint in the course of a run."""

from __future__ import annotations

from pathlib import Path

from reference_model.mobileinst import MobileInst
from reference_model.weights import save_checkpoint
from suite.training.processes import Processes
from suite.training.recipe import Recipe
from suite.training.source import Evaluation
from suite.training.state import Progress, write_errors

REMEDY = "the last state is intact; make room, then run the same command"


class Scoring:
    """Evaluates at the iterations that a recipe says.

    Args:
        recipe: gives their number, and how often pages of predictions are drawn between them.
        evaluation: what is predicted and scored; None: nothing ever.
        folder: of the run, for pictures and the best checkpoint.
        processes: all of them predict, process 0 scores.
        model: whose weights are evaluated: the trained or the averaged one.
    """

    def __init__(
        self, recipe: Recipe, evaluation: Evaluation | None, folder: Path, processes: Processes, model: MobileInst
    ) -> None:
        self.evaluation, self.folder, self.processes, self.model = evaluation, folder, processes, model
        count, total = recipe.evaluations, recipe.iterations
        self.at = {round(total * (n + 1) / count) for n in range(count)} if evaluation else set()
        self.pictures_every = recipe.picture_every if evaluation else 0

    def draws(self, done: int) -> bool:
        """Return whether a page of predictions is due after an iteration."""
        return bool(self.pictures_every) and done % self.pictures_every == 0

    def __call__(self, done: int, progress: Progress) -> float | None:
        """Predict, draw, and on an iteration of the schedule also score; returns the score in every process."""
        assert self.evaluation is not None
        training = self.model.training
        self.model.eval()
        # Processes with their own batch statistics predict with those of process 0.
        self.processes.copy_model(self.model)
        self.evaluation.predict(self.model, self.model.config)
        score: float | None = None
        if self.processes.first:
            if self.draws(done) or (self.pictures_every and done in self.at):
                picture = self.folder / "pictures" / f"iteration-{done:08d}.png"
                with write_errors(str(picture), REMEDY):
                    self.evaluation.draw(picture)
            score = self.evaluation.score() if done in self.at else None
        score = self.processes.share(score)
        if score is not None and (progress.best is None or score > progress.best):
            progress.best = score
            if self.processes.first and len(self.at) > 1:
                path = self.folder / "best.safetensors"
                with write_errors(str(path), REMEDY):
                    save_checkpoint(path, self.model, self.model.config, {"iteration": str(done)})
        self.model.train(training)
        return score
