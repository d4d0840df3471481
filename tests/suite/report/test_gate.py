"""The accuracy gate tells better, worse and not measured apart, and its rules are checked data."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from suite.cli import main
from suite.errors import DataError, InputError
from suite.records.schema import Measurement
from suite.records.store import read_run
from suite.report.gate import load_rules
from tests.suite.report.synthetic import RunMaker


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


def test_only_shared_seeds_are_compared(sides, capsys: pytest.CaptureFixture[str]):
    sides[0].training(2, 0.50)
    sides[1].training(1, 0.55)
    sides[1].training(5, 0.30)
    assert gate(sides, "--json") == 0
    gates = json.loads(capsys.readouterr().out)["gates"]
    assert [(line["word"], line["seeds"]) for line in gates] == [("pass", [1])] * 3
    assert (gates[0]["baseline"], gates[0]["new"]) == pytest.approx((55, 55))


@pytest.mark.parametrize("options", [(), ("--markdown",)])
def test_a_worse_number_is_shown_with_its_change(sides, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]):
    sides[1].training(0, 0.53)
    assert gate(sides, *options) == 1
    row = next(line for line in capsys.readouterr().out.splitlines() if "worse" in line)
    assert row.index("55.0") < row.index("53.0") < row.index("-2.0")


def test_a_folder_is_not_compared_with_itself(sides, capsys: pytest.CaptureFixture[str]):
    folder = sides[0].folder
    assert main(["gate", "accuracy", str(folder), "--baseline", f"{folder}/../{folder.name}"]) == 2
    assert "--baseline" in capsys.readouterr().err


def test_a_new_record_that_lies_in_the_baseline_too_is_not_its_own_baseline(sides):
    run = sides[0].training(0, 0.40)
    shutil.copy(sides[0].folder / f"{run.run_id}.jsonl", sides[1].folder)
    assert gate(sides) == 1


def changed_training(maker: RunMaker, change: Callable[[Measurement], Measurement]) -> None:
    """Write a training run of seed 0 whose measurements are changed."""
    run = maker.training(0, 0.55)
    path = maker.folder / f"{run.run_id}.jsonl"
    lines = [change(line) for line in read_run(path).measurements]
    path.unlink()
    maker.write(run, *lines)


def test_an_estimate_is_no_measurement(sides):
    changed_training(sides[1], lambda line: msgspec.structs.replace(line, origin="estimated"))
    assert gate(sides) == 3


def test_a_number_of_the_ablation_is_none_of_the_main_job(sides, tmp_path: Path):
    for maker in sides:
        changed_training(
            maker,
            lambda line: msgspec.structs.replace(line, protocol=line.protocol | {"experiment": "ablation"}),
        )
    assert gate(sides) == 3
    rules = tmp_path / "gates.toml"
    rule = '[[accuracy]]\nmetric = "mask_ap"\ndataset = "shapes"\ntolerance_points = 1\nreason = "r"\n'
    rules.write_text(rule + 'protocol = { experiment = "ablation" }')
    assert gate(sides, "--rules", str(rules)) == 0


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
        "[[accuracy]]\nmetric='mask_ap'\ndataset='shapes'\nprotocol={}\ntolerance_points=nan\nreason='r'",
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
