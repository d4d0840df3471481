"""A finished run and its model card: what the weights are, what they were made from, what they may be used for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from suite.records.schema import Dataset, Measurement, Run, Scalar, Series, Subject
from suite.training.initial import How, warning
from suite.training.loop import CURVE_COLUMNS, TrainResult
from suite.training.recipe import Recipe


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
    result, dataset, recipe = finished.result, finished.dataset, finished.recipe
    pinned = "the pinned archive" if dataset.pinned else "files named by the user, not compared with a pinned digest"
    start = f"`{how.initial.name}`, SHA-256 `{finished.initial_sha256}`" if how.initial else "random weights"
    units = "videos" if result.metric == "video_ap" else "images"
    processes, device = finished.protocol.get("processes", 1), finished.protocol.get("device", run.machine.cpu)
    together = f", {processes} processes" if processes != 1 else ""
    score = "none: there was nothing with ground truth to score"
    if finished.last_score is not None:
        label = result.metric.replace("_ap", " AP")
        score = f"{label} {100 * finished.last_score:.1f} on a part of the held-out data ({recipe.evaluation_images} "
        score += f"{units} at most), which guides training and settles no claim"
    return "\n".join(
        [
            f"# {recipe.model}, trained on {dataset.name}",
            "",
            "A reference implementation of MobileInst (Zhang et al., AAAI 2024), written from the paper: these are not",
            "the authors' weights, and no weights of theirs are public.",
            "",
            "| | |",
            "|---|---|",
            f"| weights | `{finished.checkpoint.name}`, SHA-256 `{finished.subject.weights_sha256}` |",
            f"| parameters | {sum(item.numel() for item in result.model.parameters())} |",
            f"| trained on | {dataset.name} {dataset.split}, {pinned}, digest `{dataset.digest}` |",
            f"| started from | {start} |",
            f"| command | `{run.command}` |",
            f"| code | {run.git_sha or 'unknown'}{', with uncommitted changes' if run.git_dirty else ''} |",
            f"| seed | {finished.protocol['seed']} |",
            f"| score at the end | {score} |",
            f"| training time | {result.train_time_s / 3600:.2f} h{together} on {device} |",
            "",
            "## Use and limits",
            "",
            "- For checking the paper's claims and for research; not tested for anything that people depend on.",
            "- It knows the classes of its dataset only, and inherits what is over- and under-represented there.",
            *(["- **It was trained without the pre-training that its recipe wants.**"] if warning(recipe, how) else []),
            *(
                ["- The embedded shapes are drawings: its AP says that the path works, and nothing about photographs."]
                if dataset.name == "shapes"
                else []
            ),
            "- The licences of the dataset and of the initial weights apply to what is made from them.",
            "",
            "## Recipe",
            "",
            "| field | value |",
            "|---|---|",
            *(f"| `{name}` | {value} |" for name, value in sorted(msgspec.to_builtins(recipe).items())),
            "",
        ]
    )
