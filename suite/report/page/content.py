"""What the page shows, put together for its template."""

from __future__ import annotations

import base64
import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2

import suite.report.tables
from suite.records.store import RunFile
from suite.report.cell_ids import cell_ids
from suite.report.evidence import Evidence
from suite.report.folders import module_names
from suite.report.formats import html
from suite.report.labels import claim_label, published_text
from suite.report.ledger import LedgerRow, build_ledger, reading_order
from suite.report.measured import accuracy_cells, cautions, provenance_line, task_label
from suite.report.numbers import cell_text
from suite.report.readme import latest_artifacts
from suite.report.terminal import ours_text

TABLES = ("embedded", "ablation", "latency", "table1", "table2", "counts")
FIGURES = ("ap_latency", "gap_ladder", "ap_reuse", "training_curve", "latency_ratio", "latency_breakdown")
"""What comes first, in this order; every other table and figure follows by name."""

ANIMATED = "_animated"
"""Ending of an animation's name; the still that stands in for it has the name without this ending."""


def _ordered(found: Iterable[str], first: tuple[str, ...]) -> list[str]:
    """Return names in the page's order."""
    return sorted(found, key=lambda name: (first.index(name) if name in first else len(first), name))


def _caption(figure: str) -> str:
    """Return the first line of a figure module's docstring."""
    words = importlib.import_module(f"suite.report.figures.{figure}").__doc__ or ""
    return words.partition("\n")[0]


def _width_px(svg: bytes) -> int:
    """Return the natural width of a figure in CSS pixels; matplotlib writes points."""
    found = re.search(rb'<svg[^>]* width="([\d.]+)pt"', svg)
    return round(float(found.group(1)) * 96 / 72) if found else 0


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def ledger_rows(rows: tuple[LedgerRow, ...]) -> list[dict[str, Any]]:
    """Return the ledger's rows for the template, in `reading_order`."""
    return [
        {
            "id": row.claim.claim_id,
            "label": claim_label(row.claim),
            "published": published_text(row.claim),
            "value": repr(row.claim.value),
            "ours": ours_text(row),
            "ours_value": "" if row.ours is None else repr(row.ours),
            "run": html.run_anchor(row.run_ids[-1]) if row.run_ids else "",
            "verdict": row.verdict,
            "reason": row.reason,
            "rule": row.rule,
            "command": row.command,
            "source": row.claim.source,
            "protocol": row.claim.protocol,
            "doubts": row.claim.doubts,
        }
        for row in sorted(rows, key=reading_order)
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
    digests = sorted({f"{item.name} {item.split} {item.digest}" for item in data})
    return {
        "anchor": html.run_anchor(run.run_id),
        "run": run,
        "file": f"records/{file.path.name}",
        "state": {True: "with uncommitted changes", False: "clean", None: "unknown"}[run.git_dirty],
        "packages": ", ".join(f"{name} {version}" for name, version in sorted(run.packages.items())),
        "digests": digests,
        "measurements": len(file.measurements),
        "used": used,
    }


def _pictures(evidence: Evidence) -> list[dict[str, str | None]]:
    """Return the newest pictures; ``still`` is None for those that do not move, else what stands in for motion."""
    artifacts = latest_artifacts(evidence)
    paths = {name: item.path.removeprefix("reports/") for name, item in artifacts.items() if item.path.endswith(".png")}
    return [
        {
            "path": path,
            "caption": artifacts[name].caption,
            "still": paths.get(name.removesuffix(ANIMATED), "") if name.endswith(ANIMATED) else None,
        }
        for name, path in paths.items()
    ]


def _headline(evidence: Evidence) -> list[dict[str, str]]:
    """Return the few numbers a visitor looks for first."""
    tiles = []
    for metric in ("mask_ap", "video_ap"):
        shapes = [cell for cell in accuracy_cells(evidence, metric) if cell.dataset and cell.dataset.name == "shapes"]
        for cell in shapes[:1]:
            tiles.append({"value": cell_text(cell), "label": f"{task_label(cell)} on shapes, measured here"})
    return tiles


def build_page(evidence: Evidence, figures: Mapping[str, bytes]) -> str:
    """Return the page's HTML.

    Args:
        evidence: claims and records.
        figures: rendered files by path; the SVG ones become part of the page.
    """
    ledger = build_ledger(evidence)
    shown = []
    drawn = {Path(path).stem: svg for path, svg in figures.items() if path.endswith(".svg")}
    for name in _ordered(drawn, FIGURES):
        svg = drawn[name]
        shown.append({"name": name, "uri": _data_uri(svg), "width": _width_px(svg), "caption": _caption(name)})
    tables = []
    for name in _ordered(module_names(suite.report.tables), TABLES):
        module = importlib.import_module(f"suite.report.tables.{name}")
        table = module.build(evidence)
        # The ledger has a section of its own.
        if table.rows and getattr(module, "FOLDER", "") != ".":
            common = (ledger.coverage() + ".", provenance_line(evidence))
            notes = tuple(note for note in table.notes if note not in common)
            tables.append({"name": table.name, "html": html.render(replace(table, notes=notes))})
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("suite.report", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("index.html.j2").render(
        counts=ledger.counts(),
        total=len(ledger.rows),
        provenance=provenance_line(evidence),
        cautions=cautions(evidence),
        headline=_headline(evidence),
        rows=ledger_rows(ledger.rows),
        findings=ledger.findings,
        figures=shown,
        pictures=_pictures(evidence),
        tables=tables,
        runs=run_sections(evidence),
        left_out=evidence.left_out,
    )
