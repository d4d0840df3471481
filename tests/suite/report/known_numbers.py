"""Numbers as a reader sees them, and all numbers that records and claims can account for at printed rounding."""

from __future__ import annotations

import ast
import csv
import dataclasses
import html
import io
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from suite.models import discover
from suite.records.schema import METRICS
from suite.report.ablation import AblationScores, Trial
from suite.report.commands import cost_table
from suite.report.evidence import Evidence
from suite.report.render import build_tables

DECIMALS = range(6)
SCALES = {"fraction": (1.0, 100.0), "count": (1.0, 1e-6, 1e-9)}
"""Unit -> factors by which the report prints it: AP as points, counts in millions or billions."""

COUNTED = ("graph_operators",)
"""Series whose rows the report prints as they are."""

# A number is a run of digits that is no part of a name, version, date, size or digest: 640x864, val2017, 1.26.4, T3.
NUMBER = re.compile(r"(?<![\w.,/#@:-])[+\u2212-]?(\d+(?:\.\d+)?)(?![\w/@:]|\.\d|-\d)")


def numbers(text: str) -> list[str]:
    """Return the numbers of a text without their signs, as printed."""
    return [match.group(1) for match in NUMBER.finditer(text)]


def readable_markdown(text: str) -> str:
    """Return Markdown without code, link targets, comments, raised footnote numbers and escapes."""
    text = re.sub(r"```.*?```", " ", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->|`[^`]*`|<sup>.*?</sup>", " ", text, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "] ", text).replace("\\", "")


def readable_latex(text: str) -> str:
    """Return LaTeX without comments, layout commands and raised footnote numbers."""
    text = re.sub(r"^(%|\\begin\{tabular|\\fontsize|\\providecommand).*$", "", text, flags=re.MULTILINE)
    text = re.sub(
        r"\\par\\smallskip\\fontsize\{7\}\{8.4\}|\\suitemark\{[^{}]*(\{\})?[^{}]*\}|\\cmidrule\(lr\)\{[^}]*\}|\\multicolumn\{\d+\}",
        " ",
        text,
    )
    return re.sub(r"\\[a-z]+", " ", text.replace("\\_", "_").replace("\\%", "%")).translate(
        str.maketrans("{}$&", "    ")
    )


def readable_html(text: str) -> str:
    """Return the words of a page: no scripts, styles, attributes, code and raised footnote numbers."""
    for tag in ("script", "style", "code", "sup"):
        text = re.sub(rf"<{tag}\b.*?</{tag}>", " ", text, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", " ", text))


def readable_csv(text: str) -> str:
    """Return the cells of a CSV file, a line each."""
    return "\n".join(cell for row in csv.reader(io.StringIO(text)) for cell in row)


READABLE = {".md": readable_markdown, ".tex": readable_latex, ".html": readable_html, ".csv": readable_csv}


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


class Known:
    """A set of numbers at every rounding in which the report may print them."""

    def __init__(self) -> None:
        self.texts: set[str] = set()

    def add(self, value: float | None, unit: str = "") -> None:
        """Add a number in its metric's unit."""
        if value is not None and math.isfinite(value):
            for scale in SCALES.get(unit, (1.0,)):
                self.texts |= {f"{abs(value) * scale:.{decimals}f}" for decimals in DECIMALS}

    def add_all(self, found: Any, unit: str = "") -> None:
        """Add the numbers in plain nested values, and those in words as they stand there."""
        for leaf in _leaves(found):
            if isinstance(leaf, str):
                self.texts |= set(numbers(leaf))
            elif isinstance(leaf, int | float) and not isinstance(leaf, bool):
                self.add(leaf, unit)

    def missing(self, found: Iterable[str]) -> list[str]:
        """Return those printed numbers that nothing accounts for."""
        return sorted({text for text in found if text not in self.texts})


def _differences(evidence: Evidence) -> Iterator[tuple[float, str]]:
    """Yield what the report computes from several records: means, spreads, gains by seed and their errors."""
    by_metric: dict[tuple[object, ...], list[Any]] = {}
    for cell in evidence.cells:
        unit = METRICS[cell.metric].unit
        yield cell.value, unit
        yield len(cell.samples), ""
        if cell.deviation is not None:
            yield cell.deviation, unit
        if METRICS[cell.metric].higher_is_better:
            by_metric.setdefault((cell.metric, cell.model, cell.dataset), []).append(cell)
    for cells in by_metric.values():
        for first in cells:
            for second in cells:
                gain = AblationScores(None, {Trial("a"): first, Trial("b"): second}).gain(Trial("a"), Trial("b"))
                if first is not second and gain is not None:
                    yield from ((value, "") for value in (gain.value, *gain.by_seed.values()))
                    if gain.deviation is not None and gain.standard_error is not None:
                        spread = (gain.deviation, gain.standard_error, 2 * gain.standard_error)
                        yield from ((value, "") for value in spread)


def accounted(evidence: Evidence) -> Known:
    """Return every number that records and claims hold, and those computed from them."""
    known = Known()
    for claim in evidence.claims.values():
        known.add_all(dataclasses.asdict(claim))
    for file in evidence.runs:
        known.add_all(msgspec.to_builtins(file.run))
        known.add_all([msgspec.to_builtins(item) for item in file.artifacts])
        known.add(len(file.measurements))
        known.add_all([series.rows for series in file.series if series.name in COUNTED])
        for item in file.measurements:
            known.add_all(msgspec.to_builtins(item), METRICS[item.metric].unit)
    known.add_all(list(evidence.left_out))  # counted, not typed (see `typed_numbers`)
    for entry in discover().values():
        # How a model is built is part of what it is: channels, input sizes, readings of a published row.
        known.add_all([entry.description, entry.reading, entry.input_shapes])
    for value, unit in _differences(evidence):
        known.add(value, unit)
    for row in evidence.verdicts.values():
        known.add_all(row.to_json())
        if row.ours is not None:
            known.add(100 * (row.ours / row.claim.value - 1))
            known.add(row.ours - row.claim.value)
    known.add_all([finding.sentence for finding in evidence.findings])
    known.add_all([[cell.text for cell in row] for row in cost_table(evidence).rows])  # recipes, sizes of archives
    known.add_all([list(evidence.counts.values()), len(evidence.verdicts), evidence.coverage])
    for table in build_tables(evidence).values():
        # A cell with a value was computed by its spec: so were the interval and the spread beside it.
        known.add_all([[cell.value, cell.text] for row in table.rows for cell in row if cell.value is not None])
        known.add(len(table.rows))
        # Nothing is typed there (see `typed_numbers`): lengths of trainings, fits of published numbers.
        known.add_all([table.title, *table.notes])
    return known


def typed_numbers(path: Path) -> list[str]:
    """Return the numbers in a module's string literals, docstrings left out: numbers that somebody typed."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.Constant)]
    statements = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    formats = [node.format_spec for node in ast.walk(tree) if isinstance(node, ast.FormattedValue) and node.format_spec]
    skipped = {id(part) for spec in formats for part in ast.walk(spec)} | {id(node) for node in statements}
    words = [
        node.value
        for node in inside
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped
    ]
    return [number for text in words for number in numbers(text)]
