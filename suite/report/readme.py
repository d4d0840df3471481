"""The part of README.md that is generated: between two markers, so that no number in it is typed by hand."""

from __future__ import annotations

from suite.errors import InputError
from suite.report.evidence import Evidence
from suite.report.formats import escape_markdown, markdown_body, markdown_notes
from suite.report.measured import (
    cautions,
    companion,
    headline_cells,
    network_cells,
    provenance_line,
    setting,
    task_label,
)
from suite.report.numbers import claim_label, published_text, value_text
from suite.report.table import Row, Table, TableCell, make_table, record_cell

BEGIN, END = "<!-- begin: results -->", "<!-- end: results -->"
PICTURES = ("shapes_masks", "shapes_tracks")


def accuracy_table(evidence: Evidence) -> Table:
    """Return the embedded set's headline accuracy: AP and AP50, mean over seeds."""
    rows: list[Row] = []
    for cell, ap50 in headline_cells(evidence):
        if cell.dataset is not None and cell.dataset.name == "shapes":
            rows.append(
                {
                    "measured here": f"{task_label(cell)} on {cell.where}",
                    "AP, mean ± deviation": record_cell(cell),
                    "AP50": record_cell(ap50),
                    "trained with": setting(cell),
                    "seeds": ", ".join(str(sample.seed) for sample in cell.samples if sample.seed is not None),
                }
            )
    return make_table("readme-accuracy", "", rows)


def latency_table(evidence: Evidence) -> Table:
    """Return the network latencies on this host's core."""
    rows: list[Row] = [
        {
            "one core of the host": cell.model,
            "input": cell.size,
            "CPU ms": record_cell(cell),
            "wall ms": record_cell(companion(evidence, cell, "latency_wall_ms")),
        }
        for cell in network_cells(evidence)
    ]
    return make_table("readme-latency", "", rows)


def claims_table(evidence: Evidence) -> Table:
    """Return the claims that have a verdict other than "not run"."""
    rows: list[Row] = [
        {
            "the paper claims": claim_label(verdict.claim),
            "published": TableCell(published_text(verdict.claim), verdict.claim.value),
            "here": TableCell(value_text(verdict.ours, verdict.claim.unit), verdict.ours),
            "verdict": TableCell(verdict.word, bold=True, note=verdict.rule),
        }
        for verdict in evidence.verdicts
        if verdict.word != "not run" and verdict.ours is not None
    ]
    return make_table("readme-claims", "", rows)


def results_block(evidence: Evidence) -> str:
    """Return the generated part: coverage, pictures, what was measured, what it says about the paper."""
    parts = [f"**{evidence.coverage}.** Each one, with the reason and the command: [ledger](reports/ledger.md)."]
    artifacts = evidence.artifacts
    for name in PICTURES:
        if name in artifacts:
            caption = escape_markdown(artifacts[name].caption)
            parts.append(f"![{caption}]({artifacts[name].path})\n\n*{caption}*")
    for table in (accuracy_table(evidence), latency_table(evidence), claims_table(evidence)):
        if table.rows:
            parts += [markdown_body(table).strip(), markdown_notes(table)]
            if table.name == "readme-accuracy":
                parts.append("\n".join(escape_markdown(line) for line in cautions(evidence)))
    parts += ["![AP against latency](reports/figures/ap_latency.png)", escape_markdown(provenance_line(evidence))]
    return "\n\n".join(part for part in parts if part) + "\n"


def with_block(readme: str, block: str, name: str = "README.md") -> str:
    """Return README's text with the generated part replaced.

    Raises:
        InputError: if the two markers are not there exactly once and in order.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise InputError(f"{name}: needs one line {BEGIN} and, after it, one line {END}; put them back")
    head, rest = readme.split(BEGIN)
    return f"{head}{BEGIN}\n{block}{END}{rest.split(END)[1]}"
