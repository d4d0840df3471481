"""``prior-art``: every latency row of the paper's tables, re-measured in one run."""

from __future__ import annotations

import click

from suite.command_options import core_option, json_option, seed_option, show


@click.command(name="prior-art")
@click.option(
    "--readings",
    type=click.Choice(["published", "table1", "table2", "alternatives"]),
    default="published",
    show_default=True,
    help="published: the default model of every row (9 GB of memory); table1, table2: one table's rows beside the "
    "anchor, in less; alternatives: the other readings of ambiguous rows beside their defaults.",
)
@click.option("--models", metavar="A,B,...", help="Further models beside the rows, e.g. of an installed package.")
@core_option()
@seed_option("Seed of random weights and synthetic inputs.")
@click.option("--runtime", default="onnxruntime_cpu", show_default=True, help="Inference engine of the networks.")
@json_option()
def command(readings: str, models: str | None, core: int | None, seed: int, runtime: str, as_json: bool) -> None:
    """Time MobileInst and all prior art of Tables 1 and 2 on one core, and record it.

    Random weights, one thread, fp32, interleaved rounds. Three clocks a row: network, network with the masks of 100
    instances, and selection. A row that the runtime cannot take is recorded with its reason. Exit code 3 if nothing
    valid was measured.
    """
    from suite.errors import InputError
    from suite.export.runtime import runtime_names
    from suite.latency.device import load_device
    from suite.latency.report import report_table
    from suite.latency.request import words_of
    from suite.models import get_entry
    from suite.reproduce.prior_art import alternative_rows, measure_rows, published_rows

    if runtime not in runtime_names():
        raise InputError(f"--runtime {runtime}: no such runtime; known: {', '.join(runtime_names())}")
    protocol = load_device("host").protocol("rows")
    if readings == "alternatives":
        rows = alternative_rows()
    else:
        rows = published_rows("" if readings == "published" else readings)
    rows += [row for name in words_of(models, "--models") if (row := get_entry(name)) not in rows] if models else []
    report, path = measure_rows(rows, f"prior-art-{readings}", protocol, core, seed, runtime)
    show(as_json, {**report.to_json(), "record": path.name}, report_table(report))
