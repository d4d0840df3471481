"""Answers of evaluation servers: read in the forms they come in, stored with their receipt, never taken for ours."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suite.accuracy.score import STATS
from suite.accuracy.server_answer import official_name
from suite.cli import main
from suite.records.schema import Dataset, Measurement
from suite.records.store import read_folder
from suite.report.evidence import load_evidence
from suite.report.ledger import LedgerRow, build_ledger
from suite.report.measured import accuracy_rows, cautions
from suite.report.tables import embedded
from tests.suite.report.synthetic import RunMaker

VALUES = dict(zip(STATS, [0.312, 0.514, 0.321, 0.104, 0.313, 0.491, 0.28, 0.43, 0.45, 0.2, 0.48, 0.66], strict=True))
MODEL = "mobileinst_topformer_base_640"
CLAIM = "table1/mobileinst-topformer-base-640/ap"


def twelve_lines(values: dict[str, float]) -> str:
    """Return what COCOeval prints."""
    rows = []
    ious = {"AP50": "0.50", "AP75": "0.75"}
    areas = {"s": "small", "m": "medium", "l": "large"}
    for name, value in values.items():
        title, kind = ("Average Precision", "(AP)") if name.startswith("AP") else ("Average Recall", "(AR)")
        cap = {"AR1": 1, "AR10": 10}.get(name, 100)
        area = areas.get(name[-1], "all")
        iou = ious.get(name, "0.50:0.95")
        rows.append(f" {title:<18} {kind} @[ IoU={iou:<9} | area={area:>6s} | maxDets={cap:>3d} ] = {value:0.3f}")
    return "\n".join(rows) + "\n"


STDOUT = (
    "Loading and preparing results...\nEvaluate annotation type *segm*\n"
    f"evaluate category: person\n{twelve_lines(dict.fromkeys(STATS, 0.9))}"
    f"evaluate category: bicycle\n{twelve_lines(dict.fromkeys(STATS, 0.1))}"
    f"overall performance\n{twelve_lines(VALUES)}"
)


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., int]:
    """Return a function that writes an answer and imports it; options replace the usual ones, None leaves one out."""
    package = tmp_path / "detections_test-dev2017_x_results.zip"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("detections_test-dev2017_x_results.json", "[]")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "records").mkdir()

    def run(given: str | bytes, name: str = "stdout.txt", *more: str, **options: str | None) -> int:
        path = tmp_path / name
        path.write_bytes(given if isinstance(given, bytes) else given.encode())
        usual: dict[str, str | None] = {
            "answer": str(path),
            "submission": str(package),
            "dataset": "coco",
            "split": "test-dev2017",
            "model": MODEL,
            "server": "Example Server",
            "date": "2026-03-01",
            "checkpoint": str(tmp_path / "model.safetensors"),
            "records": str(tmp_path / "records"),
        }
        words = [word for key, value in (usual | options).items() if value is not None for word in (f"--{key}", value)]
        return main(["import-score", *words, *more])

    return run


def stored(tmp_path: Path) -> Any:
    (run,), refused = read_folder(tmp_path / "records")
    assert not refused
    return run


def row_of(records: Path, claim: str) -> LedgerRow:
    return next(row for row in build_ledger(load_evidence(records)).rows if row.claim.claim_id == claim)


VIDEO: dict[str, str | None] = {"dataset": "youtube-vis-2021", "split": "valid"}


@pytest.mark.parametrize(
    ("answer", "name", "options"),
    [
        (STDOUT, "stdout.txt", {}),
        (twelve_lines(VALUES), "stdout.txt", {}),
        (json.dumps(VALUES), "scores.json", {}),
        (json.dumps([{"test-dev": {"AP": 0.312, "AP_50": "0.514", "AP_75": 0.321, "rank": 3}}]), "scores.json", {}),
        ("AP: 0.312\nAP50: 0.514\nAP75: 0.321\nAR1: 0.280\nAR10: 0.430\n", "scores.txt", VIDEO),
        ("mAP: 0.312\nAP_50: 0.514\nAP_75: 0.321\nAR_max_1: 0.280\n\nDuration: 12\n", "scores.txt", VIDEO),
    ],
)
def test_every_usual_form_is_read(
    tmp_path: Path, imported: Callable[..., int], answer: str, name: str, options: dict[str, str | None]
) -> None:
    assert imported(answer, name, **options) == 0
    run = stored(tmp_path)
    family = "video" if options else "mask"
    values = {line.metric: line.value for line in run.measurements}
    assert [values[f"{family}_ap{suffix}"] for suffix in ("", "50", "75")] == [0.312, 0.514, 0.321]
    if options:
        assert values["video_ar1"] == 0.28
    assert {line.origin for line in run.measurements} == {"server"}


def test_record_holds_what_was_scored_and_the_receipt(
    tmp_path: Path, imported: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(STDOUT, url="https://example.org/leaderboard") == 0
    assert "origin server" in capsys.readouterr().out
    run = stored(tmp_path)
    (receipt,) = run.artifacts
    kept = tmp_path / "records" / "receipts" / Path(receipt.path).name
    assert kept.read_text() == STDOUT
    assert receipt.sha256 == hashlib.sha256(STDOUT.encode()).hexdigest()
    line = run.measurements[0]
    assert (line.dataset.name, line.dataset.split, line.dataset.images) == ("coco", "test-dev2017", 20288)
    assert line.subject.weights_sha256 == hashlib.sha256(b"weights").hexdigest()
    package = tmp_path / "detections_test-dev2017_x_results.zip"
    assert line.protocol["submission_sha256"] == hashlib.sha256(package.read_bytes()).hexdigest()
    assert (line.protocol["server"], line.protocol["answered_on"]) == ("Example Server", "2026-03-01")
    assert line.protocol["server_url"] == "https://example.org/leaderboard"
    assert {item.metric for item in run.measurements} >= {"mask_ap", "mask_ap_small", "mask_ap_large"}


def test_ledger_shows_origin_server_on_the_claims_own_split(tmp_path: Path, imported: Callable[..., int]) -> None:
    assert imported(STDOUT) == 0
    row = row_of(tmp_path / "records", CLAIM)
    assert (row.origin, row.verdict) == ("server", "reproduced")
    assert row.ours == pytest.approx(31.2)
    assert (row.splits.published, row.splits.ours, row.splits.note) == (
        "coco test-dev",
        "coco test-dev2017 (by a server)",
        "",
    )


def test_server_and_own_scores_are_never_mixed(tmp_path: Path, imported: Callable[..., int]) -> None:
    records = tmp_path / "records"
    assert imported(STDOUT) == 0
    run = stored(tmp_path)
    # A later measurement of ours on val2017, by the same model.
    maker = RunMaker(records)
    val = Dataset("coco", "val2017", "0" * 32, pinned=True, images=5000)
    measured = Measurement("mask_ap", 0.9, run.measurements[0].subject, {}, val)
    late = maker.run("real-coco", started_utc="2030-01-01T00:00:00Z")
    maker.write(late, measured)
    evidence = load_evidence(records)
    cells = evidence.find("mask_ap")
    assert sorted((cell.origin, cell.value) for cell in cells) == [("measured", 0.9), ("server", 0.312)]
    row = row_of(records, CLAIM)
    assert row.origin == "server"
    assert row.ours == pytest.approx(31.2)
    assert [item.ap.origin for item in accuracy_rows(evidence)] == ["measured"]
    assert cautions(evidence) == []
    table = embedded.build(evidence)
    marked = [[cell.mark for cell in cells if cell.mark] for cells in table.rows]
    assert sum("s" in marks for row_marks in marked for marks in row_marks) == 6
    assert any("evaluation server" in note for note in table.notes)


def test_without_weights_the_ledger_does_not_use_it(
    tmp_path: Path, imported: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(STDOUT, checkpoint=None) == 0
    assert "ledger does not use" in capsys.readouterr().err
    assert row_of(tmp_path / "records", CLAIM).verdict == "not run"


def test_altered_or_lost_receipt_takes_the_record_away(tmp_path: Path, imported: Callable[..., int]) -> None:
    assert imported(STDOUT) == 0
    receipt = next((tmp_path / "records" / "receipts").iterdir())
    receipt.write_text(STDOUT.replace("0.312", "0.999"))
    runs, refused = read_folder(tmp_path / "records")
    assert not runs
    assert "is not the one it was written for" in refused[0]
    receipt.unlink()
    assert "is gone" in read_folder(tmp_path / "records")[1][0]


def test_typed_numbers_need_a_receipt_too(tmp_path: Path, imported: Callable[..., int]) -> None:
    assert imported(b"\x89PNG not text \xff", "mail.png", "--metric", "AP=31.2%", "--metric", "AP_50=0.514") == 0
    run = stored(tmp_path)
    assert {line.metric: line.value for line in run.measurements} == {"mask_ap": 0.312, "mask_ap50": 0.514}
    assert run.measurements[0].protocol["answer_form"] == "typed in"
    assert run.artifacts[0].path.endswith(".bin")


def test_undefined_numbers_become_null_with_a_reason(tmp_path: Path, imported: Callable[..., int]) -> None:
    assert imported(twelve_lines(VALUES | {"APs": -1.0})) == 0
    line = next(line for line in stored(tmp_path).measurements if line.metric == "mask_ap_small")
    assert line.value is None
    assert "server" in line.reason


def test_protocol_of_the_prediction_goes_on_record(tmp_path: Path, imported: Callable[..., int]) -> None:
    protocol = tmp_path / "results.protocol.json"
    protocol.write_text(json.dumps({"protocol": {"key_frame_interval": 3}}))
    assert imported("AP: 0.3\n", "scores.txt", protocol=str(protocol), **VIDEO) == 0
    assert stored(tmp_path).measurements[0].protocol["key_frame_interval"] == 3
    assert row_of(tmp_path / "records", "table2/2021/mobileinst-topformer-base/ap").splits.published == (
        "youtube-vis-2021 valid"
    )


BAD: list[tuple[str, str | bytes, str, tuple[str, ...], dict[str, str | None], str]] = [
    ("empty", "", "stdout.txt", (), {}, "in no known form"),
    ("prose", "Your score is good.\n", "a.txt", (), {}, "in no known form"),
    ("binary", b"\xff\xfe\x00", "a.txt", (), {}, "in no known form"),
    ("zip", b"PK\x03\x04rest", "a.zip", (), {}, "is a zip; unpack it"),
    ("boxes", STDOUT.replace("*segm*", "*bbox*"), "stdout.txt", (), {}, "AP of boxes"),
    ("two evaluations", twelve_lines(VALUES) * 2, "stdout.txt", (), {}, "line 13: a second AP"),
    ("eleven lines", "\n".join(twelve_lines(VALUES).splitlines()[:-1]), "a.txt", (), {}, "ARl is missing"),
    ("another evaluator", STDOUT.replace("0.50:0.95", "0.50:0.90"), "a.txt", (), {}, "no line of the official"),
    ("percentages", json.dumps({"AP": 31.2}), "a.json", (), {}, "31.2 is no fraction"),
    ("truncated JSON", '{"AP": 0.3', "a.json", (), {}, "not valid JSON"),
    ("NaN", '{"AP": NaN}', "a.json", (), {}, "not valid JSON"),
    ("two tables", '[{"AP": 0.3}, {"AP": 0.4}]', "a.json", (), {}, "2 tables with an AP"),
    ("no AP", "AP50: 0.3\n", "a.txt", (), VIDEO, "holds no AP"),
    ("two AP", "AP: 0.3\nmAP: 0.4\n", "a.txt", (), VIDEO, "line 2: a second AP"),
    ("val numbers of test-dev's scores.txt", "AP: 0.312\n", "scores.txt", (), {}, "held the numbers of val2017"),
    ("unknown split", STDOUT, "a.txt", (), {"split": "minival"}, "--split minival: no official split"),
    ("future", STDOUT, "a.txt", (), {"date": "2999-01-01"}, "lies in the future"),
    ("no date", STDOUT, "a.txt", (), {"date": "yesterday"}, "--date yesterday: no day"),
    ("no address", STDOUT, "a.txt", (), {"url": "example"}, "--url example"),
    ("other package", STDOUT, "a.txt", (), {"split": "val2017"}, "which is not for val2017"),
    ("unknown metric", STDOUT, "a.txt", ("--metric", "F1=0.3"), {}, "--metric F1=0.3: unknown"),
    ("metric twice", STDOUT, "a.txt", ("--metric", "AP=0.3", "--metric", "mAP=0.3"), {}, "given twice"),
    ("no number", STDOUT, "a.txt", ("--metric", "AP=high%"), {}, "high is no fraction"),
]


@pytest.mark.parametrize(
    ("answer", "name", "more", "options", "message"), [c[1:] for c in BAD], ids=[c[0] for c in BAD]
)
def test_what_cannot_be_trusted_is_refused_in_one_line(
    tmp_path: Path,
    imported: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    answer: str | bytes,
    name: str,
    more: tuple[str, ...],
    options: dict[str, str | None],
    message: str,
) -> None:
    assert imported(answer, name, *more, **options) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert not list((tmp_path / "records").iterdir())


def test_an_answer_is_stored_once(
    tmp_path: Path, imported: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(STDOUT) == 0
    assert imported(STDOUT) == 2
    assert "stored already" in capsys.readouterr().err
    assert len(list((tmp_path / "records" / "receipts").iterdir())) == 1


@pytest.mark.parametrize("option", ["answer", "submission", "checkpoint"])
def test_absent_files_end_in_data_missing(tmp_path: Path, imported: Callable[..., int], option: str) -> None:
    assert imported(STDOUT, **{option: str(tmp_path / "absent")}) == 4


@pytest.mark.parametrize(
    ("key", "name"),
    [
        *(("AP", "AP"), ("mAP", "AP"), ("ap_50", "AP50"), ("AP@0.5", "AP50"), ("AP0.75", "AP75"), ("ap 75", "AP75")),
        *(("AP_small", "APs"), ("AR_max_100", "AR100"), ("AR_large", "ARl"), ("F1", None), ("AP90", None)),
    ],
)
def test_spellings(key: str, name: str | None) -> None:
    assert official_name(key) == name
