"""The part of README.md that is generated: between two markers, so that no number in it is typed by hand."""

from __future__ import annotations

from dataclasses import replace

from suite.errors import InputError
from suite.records.schema import Artifact
from suite.report.evidence import Evidence
from suite.report.formats import markdown
from suite.report.labels import claim_label, published_text
from suite.report.ledger import build_ledger
from suite.report.measured import accuracy_rows, cautions, companion, network_cells, provenance_line, setting, size_text
from suite.report.numbers import cell_text, value_text
from suite.report.table import Column, Table, TableCell, text_cell
from suite.report.tables._parts import legend, number_column, record_cell

BEGIN, END = "<!-- begin: results -->", "<!-- end: results -->"
PICTURES = ("shapes_masks", "shapes_tracks")


def latest_artifacts(evidence: Evidence) -> dict[str, Artifact]:
    """Return the newest artifact of each name that lies under ``reports/``."""
    return {item.name: item for file in evidence.runs for item in file.artifacts if item.path.startswith("reports/")}


def accuracy_table(evidence: Evidence) -> Table:
    """Return the embedded set's headline accuracy: AP and AP50, mean over seeds."""
    columns = (
        Column("measured here"),
        number_column("AP, mean ± deviation"),
        number_column("AP50"),
        Column("trained with"),
        Column("seeds"),
    )
    rows = []
    for row in accuracy_rows(evidence):
        if row.ap.dataset is not None and row.ap.dataset.name == "shapes":
            seeds = ", ".join(str(sample.seed) for sample in row.ap.samples if sample.seed is not None)
            ap50 = record_cell(row.ap50) if row.ap50 else TableCell()
            what = f"{row.what} on {row.where}"
            rows.append((text_cell(what), record_cell(row.ap), ap50, text_cell(setting(row.ap)), text_cell(seeds)))
    return Table("readme-accuracy", "", columns, tuple(rows))


def latency_table(evidence: Evidence) -> Table:
    """Return the network latencies on this host's core."""
    columns = (Column("one core of the host"), Column("input"), number_column("CPU ms"), number_column("wall ms"))
    rows = []
    for cell in network_cells(evidence):
        wall = companion(evidence, cell, "latency_wall_ms")
        wall_cell = TableCell(cell_text(wall), wall.value) if wall else TableCell()
        rows.append((text_cell(cell.model), text_cell(size_text(cell)), record_cell(cell), wall_cell))
    return Table("readme-latency", "", columns, tuple(rows))


def claims_table(evidence: Evidence) -> Table:
    """Return the claims that have a verdict other than "not run"."""
    columns = (Column("the paper claims"), number_column("published"), number_column("here"), Column("verdict"))
    rows = []
    for row in build_ledger(evidence).rows:
        if row.verdict != "not run" and row.ours is not None:
            ours = value_text(row.ours, row.claim.unit)
            verdict = TableCell(row.verdict, bold=True, note=row.rule)
            published = TableCell(published_text(row.claim), row.claim.value)
            rows.append((text_cell(claim_label(row.claim)), published, TableCell(ours, row.ours), verdict))
    return Table("readme-claims", "", columns, tuple(rows))


def results_block(evidence: Evidence) -> str:
    """Return the generated part: coverage, pictures, what was measured, what it says about the paper."""
    ledger = build_ledger(evidence)
    parts = [f"**{ledger.coverage()}.** Each one, with the reason and the command: [ledger](reports/ledger.md)."]
    artifacts = latest_artifacts(evidence)
    for name in PICTURES:
        if name in artifacts:
            caption = artifacts[name].caption
            parts.append(f"![{caption}]({artifacts[name].path})\n\n*{markdown.escaped(caption)}*")
    for table in (accuracy_table(evidence), latency_table(evidence), claims_table(evidence)):
        if table.rows:
            body = markdown.render_body(table)
            noted = replace(table, notes=legend(table))
            parts.append(f"{body}\n{markdown.render_notes(noted)}".strip())
            if table.name == "readme-accuracy":
                parts.append("\n".join(f"{markdown.escaped(line)}." for line in cautions(evidence)))
    parts.append("![AP against latency](reports/figures/ap_latency.png)")
    parts.append(markdown.escaped(provenance_line(evidence)))
    return "\n\n".join(parts) + "\n"


def with_block(readme: str, block: str, name: str = "README.md") -> str:
    """Return README's text with the generated part replaced.

    Raises:
        InputError: if the two markers are not there exactly once and in order.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise InputError(f"{name}: needs one line {BEGIN} and, after it, one line {END}; put them back")
    head, rest = readme.split(BEGIN)
    return f"{head}{BEGIN}\n{block}{END}{rest.split(END)[1]}"
