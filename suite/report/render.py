"""Everything under ``reports/`` that is computed: rendered in memory first, then written or compared.

Tables and figures are pure functions of claims and records, so the same inputs give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from suite.errors import DataError, InputError
from suite.files import read_text, write_bytes
from suite.paths import reports_dir, results_readme
from suite.records.store import RunFile
from suite.report.evidence import Evidence
from suite.report.formats import csv_text, html, latex, markdown, templates
from suite.report.summary import highlights, ledger_page, results_block, with_block
from suite.report.table import Table
from suite.report.tables import discover
from suite.report.tables.ledger import judged_table, missing_table
from suite.report.verdicts import load_evidence

ANIMATED = "_animated"
"""Ending of an animation's name; the still that stands in for it has the name without this ending."""
Files = dict[str, bytes]
"""Path -> content; ``reports/`` stands for the folder of reports, whatever its name, all else lies beside it."""
PARTS = ("tables", "figures", "page")
"""What can be rendered alone; README's generated part goes with the tables of the repository's own folder."""


class Outcome(NamedTuple):
    """What a rendering did, or would do: files that were new or differed, that were right, that nothing renders.

    Those last ones are named and left alone: somebody may have put them there. ``left_out`` has a line for each reason
    why records or measurements are not used.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    stale: tuple[str, ...]
    left_out: tuple[str, ...]


def build_tables(evidence: Evidence) -> dict[str, Table]:
    """Return every table by name."""
    return {name: table.build(evidence) for name, table in discover().items()}


def render_tables(evidence: Evidence, built: Mapping[str, Table]) -> Files:
    """Render tables as Markdown and CSV, those of a paper as LaTeX, too; the ledger's Markdown opens with a summary."""
    files: Files = {}
    for name, table in built.items():
        stem = "reports/ledger" if name == "ledger" else f"reports/tables/{name}"
        files[f"{stem}.md"] = (ledger_page(evidence, table) if name == "ledger" else markdown(table)).encode()
        files[f"{stem}.csv"] = csv_text(table).encode()
        if discover()[name].in_paper:
            files[f"{stem}.tex"] = latex(table).encode()
    return files


def render_figures(evidence: Evidence) -> Files:
    """Render every figure as PNG, SVG and PDF; a figure without data is left out."""
    from suite.report import figures

    return {
        f"reports/figures/{name}.{suffix}": content
        for name in figures.FIGURES
        for suffix, content in figures.figure_bytes(figures.drawing(name), evidence).items()
    }


def _figures(rendered: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return name, caption and width in CSS pixels of the figures; matplotlib writes points."""
    from suite.report.figures import FIGURES, drawing

    shown = []
    for name in FIGURES:
        found = re.search(rb'<svg[^>]* width="([\d.]+)pt"', rendered.get(f"reports/figures/{name}.svg", b""))
        if found:
            caption = (drawing(name).__doc__ or "").partition("\n")[0]
            shown.append({"name": name, "width": round(float(found[1]) * 96 / 72), "caption": caption})
    return shown


def _digests(file: RunFile) -> str:
    """Return the data that a run measured on, with their digests."""
    data = [item.dataset for item in file.measurements if item.dataset]
    return "; ".join(sorted({f"{item.name} {item.split} {item.digest}" for item in data}))


def _pictures(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the newest pictures, whether each moves, and the still one that then stands in for motion."""
    found = [item for file in evidence.runs for item in file.artifacts]
    drawn = {item.name: item for item in found if re.fullmatch(r"reports/.+\.png", item.path)}
    paths = {name: item.path.removeprefix("reports/") for name, item in drawn.items()}
    stills = {name: paths.get(name.removesuffix(ANIMATED), "") for name in paths if name.endswith(ANIMATED)}
    return [
        {"path": path, "caption": drawn[name].caption, "moves": name in stills, "still": stills.get(name, "")}
        for name, path in paths.items()
    ]


def build_page(evidence: Evidence, tables: Mapping[str, Table], drawn: Mapping[str, bytes]) -> str:
    """Return the page ``reports/index.html``: it needs no script, and only the pictures and SVG figures beside it."""
    figures_shown = _figures(drawn)
    return (
        templates()
        .get_template("index.html.j2")
        .render(
            evidence=evidence,
            highlights=highlights(evidence),
            judged=html(judged_table(evidence)),
            missing=html(missing_table(evidence)),
            drawn={figure["name"] for figure in figures_shown},
            figures=figures_shown,
            pictures=_pictures(evidence),
            tables=[(table, html(table)) for table in tables.values() if table.rows],
            runs=[(file, _digests(file)) for file in reversed(evidence.runs)],
        )
    )


def render_report(reports: Path | None = None, parts: Collection[str] = PARTS, check: bool = False) -> Outcome:
    """Render parts of the report from the records in ``reports/records`` and write what differs.

    Args:
        reports: the folder ``reports``, the repository's own if None; README.md goes with that one alone.
        parts: of `PARTS`.
        check: only tell what differs. The page is not kept in git, so it is not compared.

    Raises:
        DataError: if a named folder has no records, so that a slip fills none, or they cannot be read.
        InputError: if README.md lacks its markers or a claims file is damaged.
    """
    if reports is not None and not (reports / "records").is_dir():
        raise DataError(f"{reports}: no such folder, or it has no records/; name the folder that holds records/")
    folder = reports or reports_dir()
    evidence = load_evidence(folder / "records")
    wanted = [part for part in parts if not (check and part == "page")]
    files: Files = {}
    built = build_tables(evidence) if {"page", "tables"} & set(wanted) else {}
    drawn = render_figures(evidence) if {"page", "figures"} & set(wanted) else {}
    if "tables" in wanted:
        files |= render_tables(evidence, built)
        if readme := results_readme(folder):
            files["README.md"] = with_block(read_text(readme, "README"), results_block(evidence)).encode()
    if "figures" in wanted:
        files |= drawn
    if "page" in wanted:
        files["reports/index.html"] = build_page(evidence, built, drawn).encode()
    return _write(files, folder, [part for part in wanted if part != "page"], evidence.left_out, check)


def _write(files: Files, reports: Path, owned: Collection[str], left_out: tuple[str, ...], check: bool) -> Outcome:
    """Write what differs, or with ``check`` only tell; in the owned folders no other files are expected."""
    home = reports.resolve()
    placed = {
        home / name.removeprefix("reports/") if "/" in name else home.parent / name: content
        for name, content in files.items()
    }
    for path in placed:
        if not path.resolve().is_relative_to(home if path.is_relative_to(home) else home.parent):
            raise InputError(
                f"{path}: is or lies behind a link that leads elsewhere, where nothing is written; remove it"
            )
    written = [path for path, content in sorted(placed.items()) if not path.is_file() or path.read_bytes() != content]
    found = (path for name in owned for path in sorted((home / name).glob("*")))
    stale = [path for path in found if path.is_file() and path not in placed]
    for path in written if not check else ():
        write_bytes(path, placed[path])
    right = sorted(set(placed) - set(written))
    names = [tuple(path.relative_to(home.parent).as_posix() for path in group) for group in (written, right, stale)]
    return Outcome(names[0], names[1], names[2], left_out)
