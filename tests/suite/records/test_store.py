from __future__ import annotations

import json
from pathlib import Path

import pytest

from suite.errors import InputError
from suite.records.provenance import describe_machine, start_run
from suite.records.schema import Artifact, Interval, Measurement, Series, Subject
from suite.records.store import read_folder, read_run, writing

SUBJECT = Subject("mobileinst_topformer_tiny_shapes", "00" * 32)


def write_one(folder: Path) -> Path:
    run = start_run("test", seed=3, command="python -m suite reproduce --seed 3")
    with writing(run, folder) as record:
        interval = Interval(low=0.4, high=0.6, level=0.95, covers="image sampling only", resamples=100, seed=1)
        record.add(Measurement(metric="mask_ap", value=0.5, subject=SUBJECT, protocol={"seed": 3}, interval=interval))
        record.add(
            Measurement(metric="video_ap", value=None, subject=SUBJECT, protocol={}, reason="needs YouTube-VIS 2019")
        )
        record.add(Series(name="training_curve", subject=SUBJECT, columns=["iteration", "loss"], rows=[[1, 2.5]]))
        record.add(Artifact(name="masks", path="reports/x.png", sha256="0" * 64, subject=SUBJECT, caption="masks"))
    return folder / f"{run.run_id}.jsonl"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = write_one(tmp_path)
    found = read_run(path)
    assert found.run.seed == 3
    assert found.run.machine == describe_machine()
    assert [item.value for item in found.measurements] == [0.5, None]
    assert found.series[0].rows == [[1, 2.5]]
    assert found.artifacts[0].caption == "masks"
    assert [item.path for item in read_folder(tmp_path)[0]] == [path]
    assert not list(tmp_path.glob(".*")), "no temporary file is left"


def test_nothing_is_written_when_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writing(start_run("test"), tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        Measurement(metric="mask_ap", value=float("nan"), subject=SUBJECT, protocol={}),
        Measurement(metric="mask_ap", value=0.5, subject=SUBJECT, protocol={"x": float("inf")}),
        Measurement(metric="beauty", value=0.5, subject=SUBJECT, protocol={}),
        Measurement(metric="mask_ap", value=None, subject=SUBJECT, protocol={}),
        Measurement(metric="mask_ap", value=0.5, subject=SUBJECT, protocol={}, reason="has one"),
        Series(name="training_curve", subject=SUBJECT, columns=["a"], rows=[[1, 2]]),
    ],
)
def test_lines_that_break_the_schema_are_not_written(tmp_path: Path, line: Measurement | Series) -> None:
    with (
        pytest.raises(ValueError, match=r"NaN|unknown metric|value or a reason|length"),
        writing(start_run("test"), tmp_path) as record,
    ):
        record.add(line)


def edit(number: int, **changes: object) -> object:
    def spoil(lines: list[str]) -> list[str]:
        value = json.loads(lines[number])
        for key, change in changes.items():
            if change is ...:
                del value[key]
            else:
                value[key] = change
        lines[number] = json.dumps(value)
        return lines

    return spoil


SPOILED = {
    "unknown field": (edit(1, colour="red"), 2, "colour"),
    "unknown kind": (edit(1, kind="guess"), 2, "guess"),
    "unknown metric": (edit(1, metric="beauty"), 2, "beauty"),
    "value is text": (edit(1, value="0.5"), 2, "value"),
    "missing subject": (edit(1, subject=...), 2, "subject"),
    "no value, no reason": (edit(1, value=None), 2, "reason"),
    "unknown origin": (edit(1, origin="hearsay"), 2, "origin"),
    "NaN": (lambda lines: [line.replace("0.5", "NaN", 1) for line in lines], 2, "JSON"),
    "edited byte": (lambda lines: [line.replace('"value":0.5', '"value":0.6') for line in lines], 6, "bytes before"),
    "edited closing digest": (edit(-1, sha256="0" * 64), 6, "bytes before"),
    "wrong line count": (edit(-1, lines=4), 6, "bytes before"),
    "missing closing line": (lambda lines: lines[:-1], 5, "interrupted"),
    "truncated line": (lambda lines: [*lines[:-1], lines[-1][:20]], 6, ""),
    "missing first line": (lambda lines: lines[1:], 1, "run line"),
    "two run lines": (lambda lines: [lines[0], *lines], 2, "run line"),
    "line after the end": (lambda lines: [*lines, lines[1]], 6, "not the last"),
    "lines swapped": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 6, "bytes before"),
    "other schema version": (edit(0, schema_version=2), 1, "schema version"),
    "schema version is text": (edit(0, schema_version="1"), 1, "schema_version"),
    "missing machine": (edit(0, machine=...), 1, "machine"),
    "blank line": (lambda lines: [lines[0], "", *lines[1:]], 2, ""),
    "not an object": (lambda lines: [lines[0], "[1]", *lines[1:]], 2, ""),
    "ragged series": (edit(3, rows=[[1]]), 4, "length"),
    "nested too deeply": (lambda lines: [lines[0], '{"a":' * 100_000, *lines[1:]], 2, ""),
    "not UTF-8 text": (lambda lines: [lines[0], "\udcff", *lines[1:]], 2, ""),
    "empty file": (lambda lines: [], 0, "interrupted"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_records_are_refused_with_their_line(tmp_path: Path, name: str) -> None:
    spoil, line, why = SPOILED[name]
    good = write_one(tmp_path)
    bad = tmp_path / "bad.jsonl"
    lines = spoil(good.read_text().splitlines())  # type: ignore[operator]
    bad.write_bytes("".join(f"{text}\n" for text in lines).encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as caught:
        read_run(bad)
    message = str(caught.value)
    assert message.startswith(f"bad.jsonl line {line}: ")
    assert why in message
    assert "\n" not in message
    runs, refused = read_folder(tmp_path)
    assert [run.path for run in runs] == [good], "the good record still counts"
    assert len(refused) == 1
