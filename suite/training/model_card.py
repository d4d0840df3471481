"""The model card of a trained checkpoint: what it is, what it was made from, what it may and may not be used for."""

from __future__ import annotations

import msgspec

from suite.records.schema import Run
from suite.training.recipe import Recipe
from suite.training.run import FinishedRun


def _options(recipe: Recipe) -> list[str]:
    fields = msgspec.to_builtins(recipe)
    return [f"| `{name}` | {value} |" for name, value in sorted(fields.items())]


def model_card(
    finished: FinishedRun, recipe: Recipe, run: Run, initial_file: str | None = None, initial_digest: str = ""
) -> str:
    """Return the model card as Markdown.

    Args:
        finished: the trained run.
        recipe: what it was trained by.
        run: the first line of its record: command, code, machine.
        initial_file: name of the file it started from, None for random weights.
        initial_digest: SHA-256 of that file.
    """
    result, dataset = finished.result, finished.dataset
    scores = [(row[0], row[-1]) for row in result.curve if row[-1] is not None]
    pinned = "the pinned archive" if dataset.pinned else "files named by the user, not compared with a pinned digest"
    start = f"`{initial_file}`, SHA-256 `{initial_digest}`" if initial_file else "random weights"
    warned = recipe.initial_weights and not initial_file
    label = result.metric.replace("_", " ").replace(" ap", " AP")
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
            f"| training time | {result.train_time_s / 3600:.2f} h on {run.machine.cpu} |",
            "",
            "## Scores during training",
            "",
            *(
                [
                    f"| iteration | {label} |",
                    "|---|---|",
                    *(f"| {iteration} | {100 * float(score or 0):.1f} |" for iteration, score in scores),
                    "",
                    f"On a part of the held-out data ({recipe.evaluation_images} images at most): they guide training",
                    "and settle no claim. `python -m suite reproduce --checkpoint FILE` scores the whole split.",
                ]
                if scores
                else ["None: there was nothing with ground truth to score."]
            ),
            "",
            "## Use and limits",
            "",
            "- For checking the paper's claims and for research; not tested for anything that people depend on.",
            "- It knows the classes of its dataset only, and inherits what is over- and under-represented there.",
            *(["- **It was trained without the pre-training that its recipe wants.**"] if warned else []),
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
            *_options(recipe),
            "",
        ]
    )
