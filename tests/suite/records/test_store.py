from __future__ import annotations

import os
from pathlib import Path

import pytest

from suite.errors import DataError, InputError
from suite.records.provenance import describe_machine, start_run
from suite.records.schema import Artifact, Interval, Measurement, Series, Subject
from suite.records.store import read_folder, read_run, writing
from suite.report.render import render_report
from tests.suite.records.spoiled import SPOILED, write_spoiled

SUBJECT = Subject("mobileinst_topformer_tiny_shapes", "00" * 32)


def write_one(folder: Path) -> Path:
    run = start_run("test", seed=3, command="python -m suite reproduce --seed 3")
    with writing(run, folder) as record:
        interval = Interval(low=0.4, high=0.6, level=0.95, covers="image sampling only", resamples=100, seed=1)
        record.add(Measurement(metric="mask_ap", value=0.5, subject=SUBJECT, protocol={"seed": 3}, interval=interval))
        record.add(
            Measurement(metric="video_ap", value=None, subject=SUBJECT, protocol={}, reason="needs YouTube-VIS 2019")
        )
        columns = ["iteration", "loss", "mask_ap"]
        record.add(Series(name="training_curve", subject=SUBJECT, columns=columns, rows=[[1, 2.5, None]]))
        record.add(Artifact(name="masks", path="reports/x.png", sha256="0" * 64, subject=SUBJECT, caption="masks"))
    return folder / f"{run.run_id}.jsonl"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = write_one(tmp_path)
    found = read_run(path)
    assert found.run.seed == 3
    assert found.run.machine == describe_machine()
    assert [item.value for item in found.measurements] == [0.5, None]
    assert found.series[0].rows == [[1, 2.5, None]]
    assert found.artifacts[0].caption == "masks"
    assert [item.path for item in read_folder(tmp_path)[0]] == [path]
    assert not list(tmp_path.glob(".*")), "no temporary file is left"


def test_control_characters_are_not_written(tmp_path: Path) -> None:
    run = start_run("test")
    with writing(run, tmp_path) as record:
        record.add(
            Measurement(metric="mask_ap", value=0.5, subject=Subject("a\x1b[2Jb\u202e"), protocol={"x\n": "y\t"})
        )
    (line,) = read_run(tmp_path / f"{run.run_id}.jsonl").measurements
    assert (line.subject.model, line.protocol) == ("a[2Jb", {"x": "y"})


def test_a_folder_that_cannot_be_read_is_no_empty_one(tmp_path: Path) -> None:
    assert read_folder(tmp_path / "absent") == ([], [])
    (tmp_path / "records").write_text("a file in its place")
    with pytest.raises(DataError):
        read_folder(tmp_path / "records")


def test_nothing_is_written_when_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writing(start_run("test"), tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        Measurement(metric="mask_ap", value=float("nan"), subject=SUBJECT, protocol={}),
        Measurement(metric="mask_ap", value=0.5, subject=SUBJECT, protocol={}, reason="has one"),
        Series(name="anything", subject=SUBJECT, columns=["a"], rows=[[1, 2]]),
        *(Measurement(name, value, SUBJECT, {}) for name, value in (("mask_ap", 1.5), ("mask_ap", -0.1))),
        *(Measurement("latency_cpu_ms", value, SUBJECT, {}) for value in (0.0, -1.0, 1e308)),
        Measurement("mask_ap", 0.5, SUBJECT, {"seed": "x"}),
        Measurement("mask_ap", 0.5, SUBJECT, {}, interval=Interval(0.6, 0.4, 0.95, "x")),
        *(Series("module_macs", SUBJECT, ["module", "macs"], [["a", it]]) for it in (None, "x", 1e20)),
        Series("anything", SUBJECT, ["a", "a"], [[1, 2]]),
        Series("anything", SUBJECT, ["a"], [[1], ["x"]]),
    ],
)
def test_lines_that_break_the_schema_are_not_written(tmp_path: Path, line: Measurement | Series) -> None:
    with pytest.raises(ValueError, match=r".+"), writing(start_run("test"), tmp_path) as record:
        record.add(line)


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_records_are_refused_with_their_line(tmp_path: Path, name: str) -> None:
    _, line, why = SPOILED[name]
    good = write_one(tmp_path)
    bad = tmp_path / "bad.jsonl"
    write_spoiled(good, bad, name)
    with pytest.raises(InputError) as caught:
        read_run(bad)
    message = str(caught.value)
    assert message.startswith(f"bad.jsonl line {line}: ")
    assert why in message
    assert "\n" not in message
    runs, refused = read_folder(tmp_path)
    assert [run.path for run in runs] == [good], "the good record still counts"
    assert len(refused) == 1


def test_files_that_are_no_records_by_name_or_size_are_left_out(tmp_path: Path) -> None:
    good = write_one(tmp_path)
    (tmp_path / os.fsdecode(b"bad\xff.jsonl")).write_bytes(good.read_bytes())
    with (tmp_path / "large.jsonl").open("wb") as stream:
        stream.truncate(1 << 40)
    runs, refused = read_folder(tmp_path)
    assert ([run.path for run in runs], len(refused)) == ([good], 2)
    assert all(line.isprintable() for line in refused)


def test_the_report_renders_from_the_rest_and_names_every_spoiled_record(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    good = write_one(reports / "records")
    expected = []
    for number, name in enumerate(SPOILED):
        bad = reports / "records" / f"spoiled_{number}.jsonl"
        write_spoiled(good, bad, name)
        expected.append(f"{bad.name} line {SPOILED[name][1]}: ")
    outcome = render_report(reports, ["tables"])
    left_out = [line for line in outcome.left_out if line.startswith("spoiled_")]
    assert len(left_out) == len(expected)
    assert all(any(line.startswith(start) for line in left_out) for start in expected)
    assert "50.0" in (reports / "tables" / "embedded.md").read_text(), "the good record still counts"
