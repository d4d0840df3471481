"""Two sides are compared under equal conditions only, and a verdict is given only where the records can carry it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from suite.cli import main
from suite.records.cells import select_cells
from suite.records.difference import difference
from suite.records.schema import Interval, Measurement, Scalar, Series, Subject
from suite.records.store import read_folder
from suite.report.compare import Comparison, Pair, compare, find_side, numbers_of
from tests.suite.accuracy.cases import random_coco, written
from tests.suite.report.synthetic import BASE_512, BASE_640, SHAPES, TINY, WEIGHTS, RunMaker


def compared(maker: RunMaker, first: str, second: str) -> Comparison:
    runs, _ = read_folder(maker.folder)
    return compare(find_side(first, runs), find_side(second, runs))


def pair(found: Comparison, cell_id: str) -> Pair:
    (match,) = [item for item in found.pairs if item.cell_id.startswith(cell_id)]
    return match


@pytest.mark.parametrize(
    ("gains", "word"),
    [([0.010, 0.012, 0.011], "better"), ([-0.02, -0.021, -0.019], "worse"), ([0.02, -0.02, 0.001], "undecided")],
)
def test_commits_are_paired_by_seed_whatever_the_seeds_differ_among_themselves(
    maker: RunMaker, gains: list[float], word: str
):
    for number, gain in enumerate(gains):
        maker.training(number, 0.5 + number / 50, git_sha="a" * 40)
        maker.training(number, 0.5 + number / 50 + gain, git_sha="b" * 40)
    delta = pair(compared(maker, "aaaaaaa", "bbbbbbb"), f"mask_ap/{TINY}").delta
    assert (delta.word, delta.value) == (word, pytest.approx(np.mean(gains)))
    expected = stats.ttest_rel(gains, [0, 0, 0]).confidence_interval()
    assert (delta.low, delta.high) == pytest.approx((expected.low, expected.high))
    assert delta.basis.startswith("paired by seed, 3 seeds")


def test_a_difference_is_that_of_the_numbers_beside_it_where_seeds_are_partly_shared(maker: RunMaker):
    for seed, value in enumerate((0.60, 0.50, 0.40)):
        maker.training(seed, value, git_sha="a" * 40)
    maker.training(0, 0.60, git_sha="b" * 40)
    found = pair(compared(maker, "aaaaaaa", "bbbbbbb"), f"mask_ap/{TINY}")
    assert found.delta.word == "equal"
    assert (found.first.value, found.second.value) == (0.60, 0.60)


def test_seeds_that_differ_on_both_sides_are_not_paired(maker: RunMaker):
    for seed, value in enumerate((0.50, 0.52, 0.60, 0.63)):
        maker.training(seed, value, git_sha="ab"[seed // 2] * 40)
    found = pair(compared(maker, "aaaaaaa", "bbbbbbb"), f"mask_ap/{TINY}").delta
    expected = stats.ttest_ind([0.60, 0.63], [0.50, 0.52], equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert "not paired" in found.basis


def single(maker: RunMaker, value: float, draws: list[float] | None, seed: int = 0, **changes: object) -> str:
    """Write a run with one mask AP, its interval and, where given, its draws; return its id."""
    fields: dict[str, Scalar] = {"seed": 0, "iterations": 1800}
    subject = Subject(TINY, WEIGHTS)
    reach = 1.96 * float(np.std(draws or 0.0))
    low, high = (reach, reach) if reach else (0.04, 0.03)
    interval = Interval(value - low, value + high, 0.95, "image sampling only", len(draws or ()), seed)
    lines: list[Measurement | Series] = [Measurement("mask_ap", value, subject, fields, SHAPES, interval)]
    if draws is not None:
        rows: list[list[Scalar]] = [[item] for item in draws]
        lines.append(Series("ap_draws", subject, ["mask_ap"], rows, fields | {"draw_seed": seed}, SHAPES))
    return maker.write(maker.run("single", **changes), *lines).run_id


def test_one_seed_is_compared_on_the_same_draws(maker: RunMaker):
    noise = np.random.default_rng(1)
    images = noise.normal(0, 0.03, 500)
    ids = [single(maker, value, (value + images + noise.normal(0, 0.002, 500)).tolist()) for value in (0.50, 0.52)]
    found = compared(maker, *ids).pairs[0].delta
    assert found.word == "better"
    assert found.low is not None
    assert found.low == pytest.approx(0.02 - 1.96 * 0.002 * 2**0.5, abs=0.001)
    assert found.basis.startswith("500 bootstrap draws of the same images")


@pytest.mark.parametrize(("draws", "seed"), [(None, 0), ([0.5, 0.5], 0), ([0.5] * 3, 7)])
def test_without_the_same_draws_both_intervals_are_joined(maker: RunMaker, draws: list[float] | None, seed: int):
    ids = [single(maker, 0.50, [0.5] * 3), single(maker, 0.52, draws, seed)]
    found = compared(maker, *ids).pairs[0].delta
    assert (found.low, found.high) == pytest.approx((0.02 - 0.05, 0.02 + 0.05))
    assert found.word == "undecided"
    assert "not paired" in found.basis


def test_real_draws_of_two_scores_give_the_interval_of_scoring_them_together(tmp_path: Path, maker: RunMaker):
    from suite.accuracy.mask_ap import score_coco
    from suite.accuracy.score import score_lines

    truth, results = random_coco(4)
    annotations, first = written(tmp_path, truth, results)
    paths = [first, tmp_path / "half.json"]
    paths[1].write_text(json.dumps(results[::2]))
    ids = []
    for path in paths:
        score = score_coco(annotations, path, "pycocotools", 200, 0)
        assert len(score.draws) == 200
        run = maker.run("scored")
        subject, fields = Subject(TINY, WEIGHTS), {"task": "coco"}
        maker.write(run, *score_lines(score, subject, SHAPES, fields))
        ids.append(run.run_id)
    together = score_coco(annotations, paths[1], "pycocotools", 200, 0, against=paths[0]).differences["AP"]
    found = compared(maker, *ids).pairs[0].delta
    assert together.interval is not None
    assert found.value == pytest.approx(together.value)
    assert (found.low, found.high) == pytest.approx((together.interval.low, together.interval.high), abs=2e-6)


def test_models_are_compared_each_at_its_own_size_by_rounds_of_one_run(filled: RunMaker):
    found = pair(compared(filled, BASE_640, BASE_512), "latency_cpu_ms/mobileinst_topformer_base_512/512x864/network")
    assert found.delta.value == pytest.approx(-20)
    assert found.delta.word == "better"
    assert found.delta.basis.startswith("paired")
    counts = pair(compared(filled, BASE_640, BASE_512), "macs/")
    assert (counts.delta.word, counts.delta.basis) == ("better", "exact")
    assert found.label == "latency_cpu_ms/network/onnxruntime", "neither side's name stands for both"


def test_times_of_two_runs_say_what_they_do_not_cover_and_of_two_machines_are_refused(maker: RunMaker, refused: Any):
    runs = [maker.latency({BASE_640: value}) for value in (100.0, 90.0)]
    found = pair(compared(maker, runs[0].run_id, runs[1].run_id), f"latency_cpu_ms/{BASE_640}/640x864/network")
    assert found.delta.word == "better"
    assert "machine" in found.delta.basis
    other = runs[0].machine.__class__("host", "Other CPU", "x86_64", 2, 24.0, "Linux", [])
    third = maker.latency({BASE_640: 50.0}, machine=other)
    refused(["compare", runs[0].run_id, third.run_id, "--records", maker.folder], 3)


def test_other_data_or_settings_are_not_compared(maker: RunMaker):
    maker.training(0, 0.5, git_sha="a" * 40)
    maker.training(0, 0.6, query_passing=False, git_sha="b" * 40)
    runs, _ = read_folder(maker.folder)
    assert main(["compare", "a" * 40, "b" * 40, "--records", str(maker.folder)]) == 3
    cells, _ = select_cells(runs)
    numbers = numbers_of(cells[0], runs)
    assert difference(numbers, numbers, higher_is_better=False).word == "equal"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["nonsense", TINY], 2, "nonsense"),
        (["reproduce", TINY], 2, "3"),
        (["HEAD", TINY], 3, "commits"),
        ([TINY, TINY, "--metric", "beauty"], 2, "beauty"),
        ([TINY, TINY, "--metric", "parity_max_abs"], 3, "parity_max_abs"),
    ],
)
def test_a_side_that_is_nothing_is_one_line(filled: RunMaker, refused: Any, words: list[str], code: int, text: str):
    assert text in refused(["compare", *words, "--records", filled.folder], code)


def test_every_output_has_interval_and_verdict(filled: RunMaker, capsys: pytest.CaptureFixture[str]):
    arguments = ["compare", BASE_640, BASE_512, "--metric", "latency_cpu_ms", "--records", str(filled.folder)]
    assert main(arguments) == 0
    plain = capsys.readouterr().out
    assert "-20.0 [-2" in plain
    assert main([*arguments, "--markdown"]) == 0
    assert "**better**<sup>1</sup>" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {item["word"] for item in document["pairs"]} == {"better"}
    assert document["pairs"][0]["low"] < document["pairs"][0]["value"] < document["pairs"][0]["high"]
