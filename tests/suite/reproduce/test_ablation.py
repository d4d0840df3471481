from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
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

    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 75)):
        with monkeypatch.context() as patched:
            patched.setattr(held_out, "score_videos", lambda *_, number=number: os.kill(os.getpid(), number))
            assert main(["ablation", *SHORT]) == code
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


WORKER = """#!/bin/sh
cd "{folder}"
if [ -n "{first}" ] && mkdir first 2> first.txt; then
    [ "{first}" = 4 ] || until ls ready.* > listed.txt 2>&1; do sleep 0.05; done
    exit {first}
fi
[ "{first}" = 4 ] && exit 0
trap 'mkdir saved.$$; exit 75' TERM
mkdir ready.$$
while true; do sleep 0.05; done
"""


@pytest.mark.parametrize(
    ("sent", "first", "code"),
    [(signal.SIGTERM, "", 75), (signal.SIGUSR1, "", 75), (signal.SIGINT, "", 130), (0, "75", 75), (0, "4", 4)],
)
def test_what_stops_the_ablation_or_a_worker_stops_the_others(
    small_root: Path, monkeypatch: pytest.MonkeyPatch, sent: int, first: str, code: int
) -> None:
    """Workers that only wait stand for trainings; the first one of them may end with a code of its own."""
    folder = small_root / "workers"
    folder.mkdir()
    worker = small_root / "worker"
    worker.write_text(WORKER.format(folder=folder, first=first))
    worker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(worker))

    def stop() -> None:
        while len(list(folder.glob("ready.*"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), sent)

    if sent:
        threading.Thread(target=stop, daemon=True).start()
    assert main(["ablation", *SHORT, "--workers", "2", "--no-report"]) == code
    ready = [path.suffix for path in folder.glob("ready.*")]
    assert sorted(ready) == sorted(path.suffix for path in folder.glob("saved.*"))
    assert len(ready) == (2 if sent else 1 if first == "75" else 0)


@pytest.mark.slow
@pytest.mark.parametrize(("stopped", "code"), [("main", 75), ("worker", 75), ("group", 75), ("Ctrl-C", 130)])
def test_trainings_side_by_side_are_saved_when_they_are_stopped(small_root: Path, stopped: str, code: int) -> None:
    words = [*SHORT, "--workers", "2", "--iterations", "2000", "--no-report"]
    command = [sys.executable, "-m", "suite", "ablation", *words]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0)
    assert running.stderr is not None
    training: set[str] = set()
    while len(training) < 2:
        found = re.match(r"\((\d)\) train seed", running.stderr.readline())
        training |= {found[1]} if found else set()
    if stopped in ("main", "worker"):
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        os.kill(running.pid if stopped == "main" else int(children[0]), signal.SIGTERM)
    else:
        os.killpg(running.pid, signal.SIGTERM if stopped == "group" else signal.SIGINT)
    running.communicate()  # until the last worker, which writes to the same standard output, has ended
    assert running.returncode == code
    assert len({path.parent for path in (small_root / "runs").rglob("state-*.safetensors")}) == 2


def test_every_cell_differs_in_one_choice_from_its_neighbour() -> None:
    by_name = {cell.name: cell for cell in CELLS}
    for cell in CELLS:
        if cell.compared_with:
            recipe, neighbour = cell_recipe(cell), cell_recipe(by_name[cell.compared_with])
            model = set(recipe.model_options.items()) ^ set(neighbour.model_options.items())
            assert len(model) + (recipe.query_passing != neighbour.query_passing) == 1, cell.name
    assert {trial.cell for trend in TRENDS for trial in (trend.better, trend.worse)} == set(by_name)
