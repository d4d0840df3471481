"""Every number in README.md and reports/ is found in a record or a claim; none is typed into the report's code."""

import re
from pathlib import Path

import pytest

import suite.report
from suite.claims.consistency import check_consistency
from suite.claims.loader import load_claims
from suite.report.render import render_report
from suite.report.summary import BEGIN, END
from suite.report.verdicts import load_evidence
from tests.suite.report.known_numbers import READABLE, Known, accounted, numbers, readable_markdown, typed_numbers
from tests.suite.report.synthetic import RunMaker

REPOSITORY = Path(__file__).resolve().parents[3]
IN_REPORTS = {"95": "level of every interval, % (records hold 0.95)", "2024": "year of the paper"}
IN_README = {
    "3.11": "version of Python",
    "10": "minutes the main job takes, as a whole number",
    "2": "cores it takes them on; an exit code",
    "2024": "year of the paper",
    "2303.17594": "number of the paper on arXiv",
    "16": "photographs that the overfit check learns by heart",
    "70": "exit code of an unexpected error, as in suite/errors.py",
    "75": "exit code of a run the system stopped, as in suite/errors.py",
    "130": "exit code of an interrupted command, as in suite/errors.py",
    **{str(code): "exit code, as in suite/errors.py" for code in (0, 1, 3, 4)},
    **{str(interval): "kernel-reuse length T that the main job scores" for interval in (1, 3, 6)},
}
"""Numbers of README.md outside its generated part that are no results."""
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


def unaccounted(root: Path, known: Known) -> dict[str, list[str]]:
    """Return the numbers of each readable file that nothing accounts for."""
    files = [root / "README.md", *sorted((root / "reports").rglob("*"))]
    found = {}
    for path in files:
        if path.suffix in READABLE and path.is_file():
            text = path.read_text(encoding="utf-8")
            if path.name == "README.md":
                text = text.split(BEGIN)[1].split(END)[0]
            missing = [
                number for number in known.missing(numbers(READABLE[path.suffix](text))) if number not in IN_REPORTS
            ]
            found |= {path.relative_to(root).as_posix(): missing} if missing else {}
    return found


def test_every_committed_number_is_found_in_a_record_or_a_claim():
    assert list((REPOSITORY / "reports" / "records").glob("*.jsonl"))
    assert unaccounted(REPOSITORY, accounted(load_evidence(REPOSITORY / "reports" / "records"))) == {}


def test_readmes_own_words_hold_no_results():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    outside = readable_markdown(text.split(BEGIN)[0] + text.split(END)[1])
    assert sorted(set(numbers(outside)) - set(IN_README)) == []


def test_no_number_is_typed_into_the_code_that_draws_the_report():
    published = Known()
    claims = load_claims()
    published.add_all(
        [[claim.text, claim.statement, claim.dataset, *claim.doubts, claim.short_side_px] for claim in claims]
    )
    published.add_all([finding.sentence for finding in check_consistency(claims)])
    typed = {}
    for path in sorted(Path(suite.report.__path__[0]).rglob("*.py")):
        found = published.missing(typed_numbers(path))
        unknown = [text for text in found if text not in TYPED and ("." in text or int(text) > SMALL)]
        typed |= {path.name: unknown} if unknown else {}
    assert typed == {}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("numbers")
    maker = RunMaker(root / "reports" / "records")
    maker.folder.mkdir(parents=True)
    maker.everything()
    (root / "README.md").write_text(f"# Title\n\n{BEGIN}\n{END}\n")
    render_report(maker.folder.parent)
    return root


@pytest.fixture(scope="module")
def known(rendered: Path) -> Known:
    return accounted(load_evidence(rendered / "reports" / "records"))


def test_a_report_of_made_up_records_is_accounted_for(rendered: Path, known: Known):
    assert unaccounted(rendered, known) == {}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("README.md", "214 published", "98765 published"),
        ("reports/tables/embedded.md", "54.7", "63.91"),
        ("reports/tables/table1.tex", "31.2", "31.27"),
        ("reports/tables/table1.csv", "31.2", "31.27"),
        ("reports/index.html", ">31.2", ">31.27"),
    ],
)
def test_a_typed_number_is_found_in_every_format(rendered: Path, known: Known, name: str, old: str, new: str):
    path = rendered / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    try:
        assert unaccounted(rendered, known) == {name: [re.sub(r"[^\d.]", "", new)]}
    finally:
        path.write_text(text)
