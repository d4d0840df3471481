"""Everything under ``reports/`` that is computed: rendered in memory first, then written or compared.

Tables and figures are pure functions of claims and records, so the same inputs give the same bytes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from suite.files import write_bytes
from suite.paths import reports_dir
from suite.report import figures, tables
from suite.report.evidence import Evidence, load_evidence
from suite.report.folders import module_names
from suite.report.formats import csv_file, latex, markdown
from suite.report.readme import results_block, with_block
from suite.report.table import Table

TABLE_FORMATS: dict[str, Callable[[Table], str]] = {"md": markdown.render, "tex": latex.render, "csv": csv_file.render}
Files = dict[str, bytes]
"""Path -> content; ``reports/`` stands for the folder of reports, whatever its name, all else lies beside it."""


@dataclass(frozen=True)
class Outcome:
    """What a rendering did, or would do.

    Attributes:
        written: files that were new or differed (with ``--check``: files that differ).
        unchanged: files that were already right.
        stale: generated files that nothing renders any more; removed, or with ``--check`` only named.
        left_out: one line per record or measurement not used.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    stale: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether anything on disk was not what the records and claims give."""
        return bool(self.written or self.stale)

    def joined(self, other: Outcome) -> Outcome:
        """Return both outcomes as one."""
        return Outcome(
            self.written + other.written, self.unchanged + other.unchanged, self.stale + other.stale, self.left_out
        )


def render_tables(evidence: Evidence, readme: str | None = None) -> Files:
    """Render every table of ``suite/report/tables`` in every format, and README's generated part.

    Args:
        evidence: claims and records.
        readme: README.md's present text; None leaves it out.
    """
    files: Files = {}
    for name in module_names(tables):
        module = importlib.import_module(f"{tables.__name__}.{name}")
        table: Table = module.build(evidence)
        folder = "reports" if getattr(module, "FOLDER", "tables") == "." else "reports/tables"
        for suffix, render in TABLE_FORMATS.items():
            files[f"{folder}/{table.name}.{suffix}"] = render(table).encode()
    if readme is not None:
        files["README.md"] = with_block(readme, results_block(evidence)).encode()
    return files


def render_figures(evidence: Evidence) -> Files:
    """Render every figure of ``suite/report/figures`` as PNG and SVG; a figure without data is left out."""
    from suite.report.drawing import figure_bytes

    files: Files = {}
    for name in module_names(figures):
        module = importlib.import_module(f"{figures.__name__}.{name}")
        for suffix, content in figure_bytes(module.draw, evidence).items():
            files[f"reports/figures/{name}.{suffix}"] = content
    return files


def settle(
    files: Mapping[str, bytes], reports: Path, owned: str | None, left_out: tuple[str, ...], check: bool
) -> Outcome:
    """Write what differs, or with ``check`` only tell.

    Args:
        files: rendered content by path.
        reports: the folder that ``reports/`` in a path stands for.
        owned: the folder in ``reports`` in which every file is generated, e.g. ``"tables"``; None for none.
        left_out: lines on records not used, passed through.
        check: compare instead of writing.
    """
    home = reports.resolve()
    root, own = home.parent, f"{home.name}/"
    placed = {name.replace("reports/", own, 1) if "/" in name else name: text for name, text in files.items()}
    written, unchanged = [], []
    for name, content in sorted(placed.items()):
        path = root / name
        if path.is_file() and path.read_bytes() == content:
            unchanged.append(name)
            continue
        written.append(name)
        if not check:
            write_bytes(path, content)
    found = sorted((home / owned).glob("*")) if owned else []
    present = [path.relative_to(root).as_posix() for path in found if path.is_file()]
    stale = [name for name in present if name not in placed]
    if not check:
        for name in stale:
            (root / name).unlink()
    return Outcome(tuple(written), tuple(unchanged), tuple(stale), left_out)


def update_tables(reports: Path, check: bool = False) -> Outcome:
    """Render the tables and README's part from the records in ``reports/records``.

    Args:
        reports: the folder ``reports``; README.md is looked for beside it.
        check: compare instead of writing.

    Raises:
        InputError: if README.md lacks its markers or a claims file is damaged.
    """
    evidence = load_evidence(reports / "records")
    readme = reports.resolve().parent / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else None
    return settle(render_tables(evidence, text), reports, "tables", evidence.left_out, check)


def update_figures(reports: Path, check: bool = False) -> Outcome:
    """Render the figures from the records in ``reports/records``; arguments as `update_tables`."""
    evidence = load_evidence(reports / "records")
    return settle(render_figures(evidence), reports, "figures", evidence.left_out, check)


def render_page(evidence: Evidence, drawn: Mapping[str, bytes]) -> Files:
    """Render ``index.html`` with the figures that `render_figures` drew."""
    from suite.report.page.content import build_page

    return {"reports/index.html": build_page(evidence, drawn).encode()}


def render_all(reports: Path | None = None, check: bool = False) -> Outcome:
    """Render tables, README's part, figures and page; ``reports`` is the repository's own folder if None.

    The page is not kept in git, so ``check`` leaves it out.
    """
    folder = reports or reports_dir()
    outcome = update_tables(folder, check)
    evidence = load_evidence(folder / "records")
    drawn = render_figures(evidence)
    outcome = outcome.joined(settle(drawn, folder, "figures", evidence.left_out, check))
    if check:
        return outcome
    return outcome.joined(settle(render_page(evidence, drawn), folder, None, evidence.left_out, check))
