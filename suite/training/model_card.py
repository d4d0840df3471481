"""A finished run and its model card: what the weights are, what they were made from, what they may be used for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2
import msgspec

from suite.records.schema import Dataset, Measurement, Run, Scalar, Series, Subject
from suite.training.initial import How, warning
from suite.training.loop import CURVE_COLUMNS, TrainResult
from suite.training.recipe import Recipe

TEMPLATE = Path(__file__).with_name("model_card.md.j2")


@dataclass(frozen=True)
class FinishedRun:
    """A trained checkpoint and what its record says.

    Attributes:
        checkpoint: the safetensors file.
        subject: model name and weights digest.
        protocol: what defines the run: seed, iterations, query passing, model options, several processes, a GPU.
        result: model, configuration, curve and time.
        dataset: what it was trained on.
        recipe: what it was trained by.
        first: whether this is the process that writes files.
        initial_sha256: of the file it started from, when it started: days later the file may be gone. ``""``: none.
    """

    checkpoint: Path
    subject: Subject
    protocol: dict[str, Scalar]
    result: TrainResult
    dataset: Dataset
    recipe: Recipe
    first: bool = True
    initial_sha256: str = ""

    @property
    def last_score(self) -> float | None:
        """The last score of the curve, in [0, 1]; None where nothing was scored."""
        scores = [float(row[-1]) for row in self.result.curve if row[-1] is not None]
        return scores[-1] if scores else None

    def record_lines(self) -> list[Measurement | Series]:
        """Return the training curve and the training time as record lines."""
        result = self.result
        rows: list[list[Scalar]] = [list(row) for row in result.curve]
        columns = [*CURVE_COLUMNS[:-1], result.metric]
        curve = Series("training_curve", self.subject, columns, rows, self.protocol, self.dataset)
        time_s = Measurement("train_time_s", result.train_time_s, self.subject, self.protocol, self.dataset)
        return [curve, time_s]


def model_card(finished: FinishedRun, run: Run, how: How) -> str:
    """Return the model card as Markdown.

    Args:
        finished: the trained run, with the digest of what it started from.
        run: the first line of its record: command, code, machine.
        how: names the file it started from, if there is one.
    """
    template = jinja2.Template(TEMPLATE.read_text(encoding="utf-8"), trim_blocks=True, keep_trailing_newline=True)
    text: str = template.render(
        finished=finished,
        run=run,
        how=how,
        recipe=finished.recipe,
        dataset=finished.dataset,
        parameters=sum(item.numel() for item in finished.result.model.parameters()),
        warned=bool(warning(finished.recipe, how)),
        fields=sorted(msgspec.to_builtins(finished.recipe).items()),
    )
    return text
