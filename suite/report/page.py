"""The page ``reports/index.html``: it needs no script, and nothing but the figures and pictures that lie beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suite.records.store import RunFile
from suite.report import figures
from suite.report.commands import cost_table
from suite.report.evidence import Evidence
from suite.report.findings import highlights
from suite.report.formats import html, templates
from suite.report.summary import judged_table
from suite.report.table import Table

ANIMATED = "_animated"
"""Ending of an animation's name; the still that stands in for it has the name without this ending."""
GIT_STATES = {True: "with uncommitted changes", False: "clean", None: "unknown"}


def _figures(rendered: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return name, caption and width in CSS pixels of the figures; matplotlib writes points."""
    drawn = {Path(path).stem: svg for path, svg in rendered.items() if path.endswith(".svg")}
    shown = []
    for name, svg in drawn.items():
        found = re.search(rb'<svg[^>]* width="([\d.]+)pt"', svg)
        width = round(float(found.group(1)) * 96 / 72) if found else 0
        caption = (figures.module(name).__doc__ or "").partition("\n")[0]
        shown.append({"name": name, "width": width, "caption": caption})
    return shown


def _digests(file: RunFile) -> str:
    """Return the data that a run measured on, with their digests."""
    data = [item.dataset for item in file.measurements if item.dataset]
    return "; ".join(sorted({f"{item.name} {item.split} {item.digest}" for item in data}))


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
        tables: every table by name.
        drawn: rendered figures by path; the page shows the SVG ones, which lie beside it.
    """
    figures_shown = _figures(drawn)
    page = templates().get_template("index.html.j2")
    return page.render(
        evidence=evidence,
        highlights=highlights(evidence),
        judged=html(judged_table(evidence)),
        missing=html(cost_table(evidence)),
        drawn={figure["name"] for figure in figures_shown},
        figures=figures_shown,
        pictures=_pictures(evidence),
        tables=[(table, html(table)) for table in tables.values() if table.rows],
        runs=[(file, GIT_STATES[file.run.git_dirty], _digests(file)) for file in reversed(evidence.runs)],
    )
