"""The accuracy gate tells better, worse and not measured apart, and its rules are checked data."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from suite.cli import main
from suite.errors import DataError, InputError
from suite.records.store import read_folder, read_run, writing
from suite.report.gate import load_rules
from tests.suite.report.synthetic import RunMaker

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def sides(tmp_path: Path) -> tuple[RunMaker, RunMaker]:
    makers = []
    for name in ("baseline", "new"):
        (tmp_path / name).mkdir()
        makers.append(RunMaker(tmp_path / name))
    for seed in range(2):
        makers[0].training(seed, 0.55)
    return makers[0], makers[1]


def gate(sides: tuple[RunMaker, RunMaker], *options: str) -> int:
    return main(["gate", "accuracy", str(sides[1].folder), "--baseline", str(sides[0].folder), *options])


@pytest.mark.parametrize(("mask_ap", "code"), [(0.55, 0), (0.60, 0), (0.5401, 0), (0.54, 0), (0.5399, 1), (0.53, 1)])
def test_only_more_than_the_tolerance_fails(sides, mask_ap: float, code: int):
    sides[1].training(0, mask_ap)
    assert gate(sides) == code


def test_a_drop_of_two_points_is_named(sides, capsys: pytest.CaptureFixture[str]):
    sides[1].training(0, 0.53)
    assert gate(sides) == 1
    shown = capsys.readouterr()
    assert "worse: mask AP of mobileinst_topformer_tiny_shapes on shapes: 55.0 -> 53.0 (-2.0, allowed -1)" in shown.out
    assert shown.err.count("\n") == 1


def test_only_shared_seeds_are_compared(sides, capsys: pytest.CaptureFixture[str]):
    sides[0].training(2, 0.90)
    sides[1].training(1, 0.55)
    assert gate(sides) == 0
    assert "seeds 1" in capsys.readouterr().out


def test_settings_of_one_rule_are_told_apart(sides, capsys: pytest.CaptureFixture[str]):
    for maker in sides:
        maker.training(0, 0.55)
        maker.training(0, 0.45, query_passing=False)
    assert gate(sides) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len({line.split(":")[1] for line in shown}) == len(shown)
    assert "on shapes, T = 3, query_passing = False: 32.0" in "".join(shown)


def test_a_folder_is_not_compared_with_itself(sides, capsys: pytest.CaptureFixture[str]):
    folder = sides[0].folder
    assert main(["gate", "accuracy", str(folder), "--baseline", f"{folder}/../{folder.name}"]) == 2
    assert "--baseline" in capsys.readouterr().err


def test_a_new_record_that_lies_in_the_baseline_too_is_not_its_own_baseline(sides):
    run = sides[0].training(0, 0.40)
    shutil.copy(sides[0].folder / f"{run.run_id}.jsonl", sides[1].folder)
    assert gate(sides) == 1


def test_an_estimate_is_no_measurement(sides):
    maker = sides[1]
    run = maker.training(0, 0.55)
    path = maker.folder / f"{run.run_id}.jsonl"
    lines = [msgspec.structs.replace(line, origin="estimated") for line in read_run(path).measurements]
    path.unlink()
    maker.write(run, *lines)
    assert gate(sides) == 3


def test_an_empty_run_compared_nothing(sides):
    assert gate(sides) == 3


def test_other_seeds_settings_or_data_compare_nothing(sides):
    sides[1].training(5, 0.55)
    assert gate(sides) == 3
    sides[1].training(0, 0.55, query_passing=False)
    assert gate(sides) == 3


def test_a_worse_number_outranks_a_missing_one(sides, tmp_path: Path):
    rules = tmp_path / "gates.toml"
    rule = '[[accuracy]]\nmetric = "mask_ap"\ndataset = "{}"\nprotocol = {{}}\ntolerance_points = 1\nreason = "r"\n'
    rules.write_text(rule.format("shapes") + rule.format("coco"))
    sides[1].training(0, 0.55)
    assert gate(sides, "--rules", str(rules)) == 3
    sides[1].training(0, 0.40)
    assert gate(sides, "--rules", str(rules)) == 1


def test_markdown_shows_what_is_worse_first(sides, capsys: pytest.CaptureFixture[str]):
    sides[1].training(0, 0.53)
    assert gate(sides, "--markdown") == 1
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert "| 55.0 | 53.0 | -2.0 | -1 | 0 | **worse**" in rows[0]
    assert [row.rsplit("|", 2)[1].strip()[:4] for row in rows].count("pass") == 0
    sides[1].training(0, 0.55)
    assert gate(sides, "--markdown") == 0


@pytest.mark.slow
@pytest.mark.parametrize(("mask_ap", "code"), [(0.55, 0), (0.53, 1), (None, 3)])
def test_the_session_ends_with_the_gates_own_exit_code(sides, mask_ap: float | None, code: int):
    if mask_ap is not None:
        sides[1].training(0, mask_ap)
    folders = [str(sides[1].folder), "--baseline", str(sides[0].folder)]
    words = [sys.executable, "-m", "nox", "-s", "gate_accuracy", "--", *folders]
    environment = {**os.environ, "MOBILEINST_SUITE_PYTHON": sys.executable}
    done = subprocess.run(words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr


def test_an_unchanged_tree_passes_against_the_committed_baseline(tmp_path: Path):
    records = REPOSITORY / "reports" / "records"
    if not list(records.glob("*.jsonl")):
        pytest.skip("no records are committed yet; make some with 'python -m suite reproduce'")
    for file in read_folder(records)[0]:
        again = msgspec.structs.replace(file.run, run_id=f"{file.run.run_id}-again")
        with writing(again, tmp_path) as writer:
            for line in (*file.measurements, *file.series, *file.artifacts):
                writer.add(line)
    assert main(["gate", "accuracy", str(tmp_path)]) == 0


def test_json_holds_every_comparison(sides, capsys: pytest.CaptureFixture[str]):
    sides[1].training(0, 0.56)
    assert gate(sides, "--json") == 0
    gates = json.loads(capsys.readouterr().out)["gates"]
    assert [line["word"] for line in gates] == ["pass"] * 3
    assert gates[0]["new"] == pytest.approx(56)


def test_spoiled_and_missing_records_are_refused(sides, capsys: pytest.CaptureFixture[str]):
    run = sides[1].training(0, 0.55)
    path = sides[1].folder / f"{run.run_id}.jsonl"
    path.write_text(path.read_text().replace("0.55", "0.99"))
    assert gate(sides) == 2
    assert run.run_id in capsys.readouterr().err
    assert main(["gate", "accuracy", str(sides[1].folder / "nowhere")]) == 4


@pytest.mark.parametrize(
    "text",
    [
        "accuracy = []",
        "[[accuracy]]\nmetric = 'mask_ap'",
        "[[accuracy]]\nmetric='speed'\ndataset='shapes'\nprotocol={}\ntolerance_points=1.0\nreason='r'",
        "[[accuracy]]\nmetric='mask_ap'\ndataset='shapes'\nprotocol={}\ntolerance_points=-1.0\nreason='r'",
        "[[accuracy]]\nmetric='mask_ap'\ndataset='shapes'\nprotocol={}\ntolerance_points=1.0\nreason='r'\nextra=1",
        "not toml",
    ],
)
def test_bad_rules_are_refused(tmp_path: Path, text: str):
    path = tmp_path / "gates.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"gates\.toml"):
        load_rules(path)
    with pytest.raises(DataError):
        load_rules(tmp_path / "nowhere.toml")


def test_shipped_rules_are_valid_and_say_why():
    assert all(rule.reason for rule in load_rules())
