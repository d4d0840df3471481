"""The page ``reports/index.html``: it needs no script, and nothing but the figures and pictures that lie beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2

from suite.records.store import RunFile
from suite.report import figures
from suite.report.cells import cell_ids
from suite.report.evidence import Evidence
from suite.report.explain import GIT_STATES
from suite.report.formats import html, run_anchor
from suite.report.highlights import highlights
from suite.report.measured import cautions, provenance_line
from suite.report.numbers import cell_text, claim_label, ours_text, published_text
from suite.report.readme import missing_rows
from suite.report.table import Table

TABLES = ("embedded", "ablation", "latency", "table1", "table2", "counts")
FIGURES = ("ap_latency", "ap_reuse", "training_curve", "latency_ratio")
"""What comes first, in this order; every other table and figure follows by name."""
ANIMATED = "_animated"
"""Ending of an animation's name; the still that stands in for it has the name without this ending."""


def _ordered(found: Iterable[str], first: tuple[str, ...]) -> list[str]:
    """Return names in the page's order."""
    return sorted(found, key=lambda name: (first.index(name) if name in first else len(first), name))


def _figures(rendered: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return name, caption and width in CSS pixels of the figures; matplotlib writes points."""
    captions = {name: (module.__doc__ or "").partition("\n")[0] for name, module in figures.modules().items()}
    drawn = {Path(path).stem: svg for path, svg in rendered.items() if path.endswith(".svg")}
    shown = []
    for name in _ordered(drawn, FIGURES):
        found = re.search(rb'<svg[^>]* width="([\d.]+)pt"', drawn[name])
        width = round(float(found.group(1)) * 96 / 72) if found else 0
        shown.append({"name": name, "width": width, "caption": captions[name]})
    return shown


def ledger_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the ledger's rows for the template, in reading order."""
    return [
        {
            "id": verdict.claim.claim_id,
            "label": claim_label(verdict.claim),
            "published": published_text(verdict.claim),
            "ours": ours_text(verdict),
            "run": run_anchor(verdict.run_ids[-1]) if verdict.run_ids else "",
            "verdict": verdict.word,
            "reason": verdict.reason,
            "rule": verdict.rule,
            "command": verdict.command,
            "source": verdict.claim.source,
            "protocol": verdict.claim.protocol,
            "doubts": verdict.claim.doubts,
        }
        for verdict in sorted(evidence.verdicts, key=lambda verdict: verdict.reading_order)
    ]


def run_sections(evidence: Evidence) -> list[dict[str, Any]]:
    """Return one section per run, newest first: provenance and what the report uses of it."""
    used: dict[str, list[tuple[str, str]]] = {}
    for name, cell in cell_ids(evidence.cells).items():
        for run_id in cell.run_ids:
            used.setdefault(run_id, []).append((name, cell_text(cell)))
    return [_run_section(file, used.get(file.run.run_id, [])) for file in reversed(evidence.runs)]


def _run_section(file: RunFile, used: list[tuple[str, str]]) -> dict[str, Any]:
    run = file.run
    data = [item.dataset for item in file.measurements if item.dataset]
    return {
        "anchor": run_anchor(run.run_id),
        "run": run,
        "file": f"records/{file.path.name}",
        "state": GIT_STATES[run.git_dirty],
        "packages": ", ".join(f"{name} {version}" for name, version in sorted(run.packages.items())),
        "digests": sorted({f"{item.name} {item.split} {item.digest}" for item in data}),
        "measurements": len(file.measurements),
        "used": used,
    }


def _pictures(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the newest pictures, whether each moves, and the still one that then stands in for motion."""
    artifacts = evidence.artifacts
    paths = {name: item.path.removeprefix("reports/") for name, item in artifacts.items() if item.path.endswith(".png")}
    return [
        {
            "path": path,
            "caption": artifacts[name].caption,
            "moves": name.endswith(ANIMATED),
            "still": paths.get(name.removesuffix(ANIMATED), ""),
        }
        for name, path in paths.items()
    ]


def build_page(evidence: Evidence, tables: Mapping[str, Table], drawn: Mapping[str, bytes]) -> str:
    """Return the page's HTML.

    Args:
        evidence: claims and records.
        tables: every table by name; the ledger has a section of its own.
        drawn: rendered figures by path; the page shows the SVG ones, which lie beside it.
    """
    common = (f"{evidence.coverage}.", provenance_line(evidence))
    shown = []
    for name in _ordered(tables, TABLES):
        table = tables[name]
        if table.rows and name != "ledger":
            notes = tuple(note for note in table.notes if note not in common)
            shown.append({"name": table.name, "title": table.title, "html": html(replace(table, notes=notes))})
    shown_figures = _figures(drawn)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("suite.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("index.html.j2").render(
        counts=evidence.counts,
        total=len(evidence.verdicts),
        provenance=provenance_line(evidence),
        cautions=cautions(evidence),
        highlights=highlights(evidence),
        missing=missing_rows(evidence),
        drawn={figure["name"] for figure in shown_figures},
        rows=ledger_rows(evidence),
        findings=evidence.findings,
        figures=shown_figures,
        pictures=_pictures(evidence),
        tables=shown,
        runs=run_sections(evidence),
        left_out=evidence.left_out,
    )
