from __future__ import annotations

import re
from pathlib import Path

import pytest

from suite.cli import main
from suite.records.store import read_folder
from suite.report.ablation import CELLS, TRENDS
from suite.report.tables.ablation import ablation
from suite.report.verdicts import load_evidence
from suite.reproduce.ablation import cell_recipe

SHORT = ["--workers", "1", "--seeds", "1", "--iterations", "2", "--cell", "no_query_passing", "--cell", "single_global"]


def counts(shown: str) -> list[int]:
    """Return how many trainings a plan's last line names in all, as done and as left."""
    return [int(number) for number in re.findall(r"\d+", shown.splitlines()[-1])]


def test_two_cells_run_are_told_apart_and_never_repeated(
    small_root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["ablation", *SHORT, "--plan"]) == 0
    assert counts(capsys.readouterr().out) == [2, 0, 2]
    assert not (small_root / "reports").exists()

    from suite.reproduce import held_out

    monkeypatch.setattr(held_out, "RESAMPLES", 20)

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(held_out, "score_videos", interrupted)
        assert main(["ablation", *SHORT]) == 130
    records = small_root / "reports" / "records"
    assert not list(records.glob("*"))

    assert main(["ablation", *SHORT]) == 0
    captured = capsys.readouterr()
    assert counts(captured.out) == [2, 2, 0]
    runs, refused = read_folder(records)
    assert (len(runs), refused) == (2, [])
    assert [{item.protocol.get("decoder") for item in run.measurements} for run in runs] == [{None}, {"single_global"}]
    table = ablation(load_evidence(records))
    by_title = {row[0].text: row for row in table.rows}
    single = by_title["single global decoder, without query passing"]
    assert single[1].text == "1"
    assert all(cell.text for cell in single[2:8])
    assert by_title["average pooling"][2].note.startswith("not run")
    assert (small_root / "reports" / "tables" / "ablation.md").exists()

    written = sorted(records.iterdir())
    assert main(["ablation", *SHORT, "--no-report"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("skipped") == 2
    assert "with uncommitted changes" in captured.err
    assert sorted(records.iterdir()) == written
    assert main(["ablation", *SHORT, "--iterations", "3", "--plan"]) == 0
    assert counts(capsys.readouterr().out) == [2, 0, 2]
    written[0].write_bytes(written[0].read_bytes()[:-20])
    assert main(["ablation", *SHORT, "--plan"]) == 0
    assert counts(capsys.readouterr().out) == [2, 1, 1]


def test_every_cell_differs_in_one_choice_from_its_neighbour() -> None:
    by_name = {cell.name: cell for cell in CELLS}
    for cell in CELLS:
        if cell.compared_with:
            recipe, neighbour = cell_recipe(cell), cell_recipe(by_name[cell.compared_with])
            model = set(recipe.model_options.items()) ^ set(neighbour.model_options.items())
            assert len(model) + (recipe.query_passing != neighbour.query_passing) == 1, cell.name
    assert {trial.cell for trend in TRENDS for trial in (trend.better, trend.worse)} == set(by_name)
