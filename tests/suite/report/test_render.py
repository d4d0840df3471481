"""What is on disk is what claims and records give: written once, unchanged twice, refused when it drifted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from suite.cli import main
from suite.errors import InputError
from suite.files import file_digest
from suite.records.store import read_folder
from suite.report.render import render_report
from suite.report.summary import BEGIN, END, with_block

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def reports(rendered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(rendered.parent, tmp_path / "copy")) / "reports"


def contents(reports: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(reports.parent.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("text", ["no markers", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_readme_without_its_markers_is_refused(text: str):
    with pytest.raises(InputError, match="README"):
        with_block(text, "block\n")


def test_check_writes_nothing_and_fails_on_any_difference(reports: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["--reports", str(reports)]
    ledger = reports / "ledger.md"
    ledger.write_text(ledger.read_text().replace("31.2", "31.3", 1))
    spoiled = contents(reports)
    assert main(["report", "--only", "tables", "--check", *arguments]) == 1
    assert contents(reports) == spoiled
    assert "differs reports/ledger.md" in capsys.readouterr().out
    assert main(["report", "--only", "tables", *arguments]) == 0
    assert main(["report", "--only", "tables", "--check", *arguments]) == 0


def test_only_a_checkouts_own_reports_change_its_readme(reports: Path, monkeypatch: pytest.MonkeyPatch):
    readme, old = reports.parent / "README.md", f"# Title\n\n{BEGIN}\nold\n{END}\n\nrest\n"
    other = Path(shutil.copytree(reports, reports.parent / "phone"))
    assert readme.read_text() == "somebody's\n"
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(reports.parent))
    assert main(["report", "--only", "tables"]) == 0
    assert readme.read_text() == "somebody's\n"

    shutil.copy(REPOSITORY / "datasets.dvc", reports.parent)
    assert main(["report", "--only", "tables"]) == 2
    readme.write_text(old)
    assert main(["report", "--only", "tables", "--reports", str(other)]) == 0
    assert readme.read_text() == old
    assert render_report(None, ["tables"]).written == ("README.md",)
    assert "published claims" in readme.read_text()
    assert readme.read_text().startswith("# Title")


def test_files_that_nothing_renders_are_named_and_left_alone(reports: Path):
    (reports / "tables" / "table9.md").write_text("somebody's")
    for check in (True, False):
        assert render_report(reports, ["tables"], check).stale == ("reports/tables/table9.md",)
    assert (reports / "tables" / "table9.md").read_text() == "somebody's"


def test_nothing_is_written_through_a_link(reports: Path, tmp_path_factory: pytest.TempPathFactory):
    kept = tmp_path_factory.mktemp("kept") / "ledger.md"
    kept.write_text("somebody's")
    (reports / "ledger.md").unlink()
    (reports / "ledger.md").symlink_to(kept)
    with pytest.raises(InputError, match=r"ledger\.md"):
        render_report(reports, ["tables"])
    assert kept.read_text() == "somebody's"


def test_a_folder_without_records_is_refused_and_left_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", "--reports", str(tmp_path)]) == 4
    assert "has no records/" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_redrawing_gives_the_same_bytes_without_torch_and_pycocotools(reports: Path):
    """Missing files are written again and the others left as they are."""
    before, page = contents(reports), (reports / "index.html").stat().st_mtime_ns
    assert {"ledger.md", "table1.tex", "ap_latency.svg"} <= {Path(name).name for name in before}
    for path in (*(reports / "tables").iterdir(), *(reports / "figures").iterdir()):
        assert b"<dc:date>" not in path.read_bytes()
        assert b"tEXtSoftware" not in path.read_bytes()
        path.unlink()
    script = (
        "import sys\n"
        "for name in ('torch', 'pycocotools', 'scipy', 'onnx', 'onnxruntime'): sys.modules[name] = None\n"
        "from suite.cli import main\n"
        f"sys.exit(main(['report', '--reports', {str(reports)!r}]))\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert contents(reports) == before
    assert (reports / "index.html").stat().st_mtime_ns == page


def test_the_committed_report_is_what_sound_records_and_claims_give():
    committed = REPOSITORY / "reports"
    runs, refused = read_folder(committed / "records")
    assert (refused, bool(runs)) == ([], True)
    outcome = render_report(committed, check=True)
    assert (outcome.written, outcome.stale) == ((), ()), "run: python -m suite report"
    newest = {item.path: item.sha256 for file in runs for item in file.artifacts if item.path.startswith("reports/")}
    for name, digest in newest.items():
        assert file_digest(REPOSITORY / name) == digest, name
