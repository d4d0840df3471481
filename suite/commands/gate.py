"""``gate``: fail when a measured number got worse than its rule allows."""

from __future__ import annotations

from pathlib import Path

import click

from suite.command_options import PATH, CommandGroup, json_option, show


@click.group(name="gate", cls=CommandGroup)
def command() -> None:
    """Compare new records with baseline records; exit 1 if worse, 3 if nothing was compared.

    The latency gate times both sides itself: python -m suite latency gate.
    """


@command.command(name="accuracy")
@click.argument("new", type=PATH)
@click.option("--baseline", type=PATH, help="Folder of baseline records; default: reports/records.")
@click.option("--rules", type=PATH, help="Rules file; default: suite/report/gate.toml.")
@json_option()
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a Markdown table, for the summary of a CI job.")
def accuracy(new: Path, baseline: Path | None, rules: Path | None, as_json: bool, as_markdown: bool) -> None:
    """Compare the AP in the records of the folder NEW with the baseline's, seed by seed."""
    import msgspec

    from suite.paths import records_dir
    from suite.report.formats import markdown, plain
    from suite.report.gate import GATES_FILE, check_accuracy, enforce, gate_table, load_rules, read_sides

    wanted = load_rules(rules or GATES_FILE)
    lines = check_accuracy(*read_sides(baseline or records_dir(), new), wanted)
    document = {"gates": [msgspec.to_builtins(line._asdict()) for line in lines]}
    show(as_json, document, (markdown if as_markdown else plain)(gate_table(lines)))
    enforce(lines)
