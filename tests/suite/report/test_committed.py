"""The committed report is what the committed records and claims give, and no measured number is typed by hand."""

from pathlib import Path

import pytest

from suite.records.store import read_folder
from suite.report.render import render_report

REPOSITORY = Path(__file__).resolve().parents[3]
REPORTS = REPOSITORY / "reports"


@pytest.fixture(scope="module")
def committed() -> Path:
    if not list((REPORTS / "records").glob("*.jsonl")):
        pytest.skip("no records are committed yet; make some with 'python -m suite reproduce'")
    return REPORTS


def test_reports_and_readme_are_what_records_and_claims_give(committed: Path):
    outcome = render_report(committed, check=True)
    assert outcome.written == (), "run: python -m suite report"
    assert outcome.stale == ()


def test_every_committed_record_is_sound(committed: Path):
    runs, refused = read_folder(committed / "records")
    assert refused == []
    assert runs


def test_every_picture_is_the_one_its_record_describes(committed: Path):
    import hashlib

    runs, _ = read_folder(committed / "records")
    newest = {item.path: item.sha256 for file in runs for item in file.artifacts if item.path.startswith("reports/")}
    for name, digest in newest.items():
        assert hashlib.sha256((REPOSITORY / name).read_bytes()).hexdigest() == digest, name
