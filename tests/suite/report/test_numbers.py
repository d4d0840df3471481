"""No number of the report is typed: `report --check` shows that files are what the code renders."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import suite.report
from suite.claims.consistency import check_consistency
from suite.claims.loader import load_claims

TYPED = {
    "95": "level of every interval",
    "100": "percent",
    "50": "AP50, a metric's name",
    "2017": "COCO 2017, a dataset's name",
    "2019": "YouTube-VIS 2019, a dataset's name",
    "2021": "YouTube-VIS 2021, a dataset's name",
    "2080": "RTX 2080 Ti, a device's name",
    "0.1": "IoU from which a wrong prediction counts as near an object, by definition of the kinds of error",
    "0.5": "IoU from which a prediction counts as right, by definition of the kinds of error",
    "96": "upper side of a medium object of COCO, px, by definition",
    "128": "upper side of a small object of YouTube-VIS, px, by definition",
    "256": "upper side of a medium object of YouTube-VIS, px, by definition",
}
SMALL = 12
"""Whole numbers up to it may be typed: T = 1, two abstracts, three seeds."""
# A number is a run of digits that is no part of a name, version, date, size or digest: 640x864, val2017, 1.26.4, T3.
NUMBER = re.compile(r"(?<![\w.,/#@:-])[+\u2212-]?(\d+(?:\.\d+)?)(?![\w/@:]|\.\d|-\d)")


def numbers(texts: Iterable[str]) -> set[str]:
    """Return the numbers of some texts without their signs, as printed."""
    return {match.group(1) for text in texts for match in NUMBER.finditer(text)}


def typed_words(path: Path) -> list[str]:
    """Return a module's string literals, docstrings and formats left out: the words that somebody typed."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    formats = [node.format_spec for node in nodes if isinstance(node, ast.FormattedValue) and node.format_spec]
    skipped = {id(part) for spec in formats for part in ast.walk(spec)}
    skipped |= {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    words = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in skipped]
    return [node.value for node in words if isinstance(node.value, str)]


def test_no_number_is_typed_into_the_code_that_draws_the_report():
    claims = load_claims()
    published = numbers(
        text
        for claim in claims
        for text in (claim.text, claim.statement, claim.dataset, *claim.doubts, str(claim.short_side_px))
    )
    published |= numbers(finding.sentence for finding in check_consistency(claims))
    typed = {}
    for path in sorted(Path(suite.report.__path__[0]).rglob("*.py")):
        found = numbers(typed_words(path)) - published - set(TYPED)
        unknown = sorted(text for text in found if "." in text or int(text) > SMALL)
        typed |= {path.name: unknown} if unknown else {}
    assert typed == {}
