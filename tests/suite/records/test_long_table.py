from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from suite.cli import main
from suite.records.provenance import start_run
from suite.records.schema import Measurement, Subject
from suite.records.store import writing
from tests.suite.records.test_store import write_one


def test_every_measurement_is_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_one(tmp_path)
    (tmp_path / "bad.jsonl").write_text("{}\n")
    assert main(["records", "--records", str(tmp_path), "--csv"]) == 0
    captured = capsys.readouterr()
    assert "left out: bad.jsonl line 1" in captured.err
    table = pd.read_csv(io.StringIO(captured.out))
    assert table["metric"].tolist() == ["mask_ap", "video_ap"]
    assert table["value"][0] == 0.5
    assert table["value"].isna().tolist() == [False, True]
    assert table["reason"][1] == "needs YouTube-VIS 2019"
    assert table["protocol.seed"][0] == 3
    assert table["interval_low"][0] == 0.4


def test_a_name_is_no_formula_of_a_spreadsheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with writing(start_run("test"), tmp_path) as record:
        record.add(Measurement("macs", 1.0, Subject("=cmd|' /C calc'!A0"), {"setting": "-x"}))
    assert main(["records", "--records", str(tmp_path), "--csv"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert (table["model"][0][0], table["protocol.setting"][0], table["value"][0]) == ("'", "'-x", 1.0)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--metric", "beauty"], 2, "unknown; known: mask_ap"),
        (["--records", "nowhere"], 2, "nowhere"),
        (["--records", "."], 3, "no measurement"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Any, words: list[str], code: int, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert text in refused(["records", *words], code)
