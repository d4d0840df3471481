"""``import-score``: the answer of an evaluation server, as a record with its receipt."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

FILE = click.Path(path_type=Path)


@click.command(name="import-score")
@click.option("--answer", type=FILE, required=True, help="The server's answer; kept byte for byte as the receipt.")
@click.option("--submission", type=FILE, required=True, help="The package that was handed in; its digest is recorded.")
@click.option("--dataset", required=True, help="coco, youtube-vis-2019 or youtube-vis-2021.")
@click.option("--split", required=True, help="test-dev2017, valid, test ...")
@click.option("--model", required=True, help="Name of the scored model, as 'model' lists it.")
@click.option("--server", required=True, help="Name of the server.")
@click.option("--url", help="Address of the server or of the answer.")
@click.option("--date", required=True, help="Day of the answer, YYYY-MM-DD.")
@click.option("--checkpoint", type=FILE, help="Weights of the model; without them the ledger does not use the score.")
@click.option("--protocol", type=FILE, help="The .protocol.json that 'predict' wrote beside the results.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME=VALUE",
    help="A number of an answer in no known form: AP=0.312 or AP=31.2%; may be repeated.",
)
@click.option("--records", type=FILE, help="Folder of record files; default: reports/records.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(
    answer: Path,
    submission: Path,
    dataset: str,
    split: str,
    model: str,
    server: str,
    url: str | None,
    date: str,
    checkpoint: Path | None,
    protocol: Path | None,
    metrics: tuple[str, ...],
    records: Path | None,
    as_json: bool,
) -> None:
    """Store a server's answer as a record of origin "server", never to be mixed with what was measured here.

    Known forms: the twelve lines of COCO's stdout.txt, scores.json, and lines like 'AP: 0.303' as YouTube-VIS gives.
    """
    from suite.accuracy.server_score import ServerScore, import_score, summary
    from suite.paths import records_dir
    from suite.progress import say

    given = ServerScore(dataset, split, model, server, date, submission, answer, url, checkpoint, protocol, metrics)
    stored = import_score(given, records or records_dir())
    click.echo(json.dumps(asdict(stored)) if as_json else summary(stored))
    for line in stored.cautions:
        say(f"caution: {line}")
