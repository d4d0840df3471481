"""``python -m suite release``."""

from __future__ import annotations

import json
from pathlib import Path

import click

FILE = click.Path(path_type=Path)


@click.command(name="release")
@click.argument("folder", type=FILE)
@click.option(
    "--scored",
    type=(FILE, FILE),
    multiple=True,
    metavar="RESULTS ANNOTATIONS",
    help="A results file of these weights and the ground truth to score it with; may be repeated.",
)
@click.option(
    "--results", type=FILE, multiple=True, help="A results file without public ground truth; may be repeated."
)
@click.option("--split-ids", type=FILE, help="List of the held-out videos that scored results were predicted for.")
@click.option("--out", type=FILE, required=True, help="Archive to write, e.g. mobileinst_topformer_base_640.tar.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    folder: Path,
    scored: tuple[tuple[Path, Path], ...],
    results: tuple[Path, ...],
    split_ids: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Pack a finished run's FOLDER for publication: weights, model card, record, scored results and their digests.

    Results files are those of 'python -m suite predict'; one of other weights, or changed since, is refused.
    """
    from suite.progress import say
    from suite.training.release import ScoredResults, pack

    items = [ScoredResults(*pair, split_ids) for pair in scored] + [ScoredResults(path, None) for path in results]
    made = pack(folder, items, out)
    for caution in made.cautions:
        say(f"caution: {caution}")
    if as_json:
        click.echo(
            json.dumps({"archive": str(made.path), "sha256": made.sha256, "files": made.files, "scores": made.scores})
        )
        return
    click.echo(f"archive {made.path}")
    click.echo(f"sha256  {made.sha256}")
    for name, score in made.scores.items():
        click.echo(f"AP {100 * score:.2f}  {name}")
