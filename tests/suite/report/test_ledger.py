"""Verdicts follow from claims and records by the stated rules, and from nothing else."""

import dataclasses
import io
import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from suite.cli import entry
from suite.records.schema import Dataset, Measurement, Origin, Scalar, Series, Subject
from suite.report.evidence import VERDICTS, Evidence, Verdict
from suite.report.highlights import highlights
from suite.report.tables import table1
from suite.report.terminal import print_ledger
from suite.report.verdicts import TREND_SETTINGS, load_evidence
from tests.suite.report.synthetic import BASE_512, BASE_640, SHAPES, WEIGHTS, RunMaker

AP = "table1/mobileinst-topformer-base-640/ap"
MS = "table1/mobileinst-topformer-base-640/latency_snapdragon_778g_ms"
RATIO = "ratio/coco-latency-512-vs-640"
TREND = "trend/query-passing-helps-video-ap"


def ledger_of(maker: RunMaker) -> Evidence:
    return load_evidence(maker.folder)


def row_of(maker: RunMaker, claim_id: str) -> Verdict:
    found = ledger_of(maker).verdict(claim_id)
    assert found is not None
    return found


def test_without_records_every_claim_is_not_run_with_its_reason(maker: RunMaker):
    ledger = ledger_of(maker)
    assert ledger.counts == {word: (len(ledger.verdicts) if word == "not run" else 0) for word in VERDICTS}
    assert "COCO 2017" in row_of(maker, AP).reason
    assert row_of(maker, MS).reason == "needs a Snapdragon 778G"
    assert sum(len(rows) for rows in ledger.not_run.values()) == len(ledger.verdicts)
    assert ledger.coverage.startswith(f"{len(ledger.verdicts)} published claims")


def test_a_third_party_value_is_shown_but_decides_nothing(maker: RunMaker):
    row = row_of(maker, AP)
    assert (row.word, row.origin) == ("not run", "third-party")
    assert row.ours == pytest.approx(27.178)
    assert not any(row.claim.origin == "third-party" for row in ledger_of(maker).verdicts)


def test_a_ratio_on_another_core_is_at_most_partly(filled: RunMaker):
    row = row_of(filled, RATIO)
    assert row.word == "partly"
    assert row.ours == pytest.approx(0.8, abs=0.01)
    assert row.interval is not None
    assert row.interval[0] < row.ours < row.interval[1]
    assert "another core (Test CPU)" in row.rule
    assert row.run_ids


@pytest.mark.parametrize(("base_512_ms", "verdict"), [(79.0, "partly"), (55.0, "partly"), (104.0, "not reproduced")])
def test_ratio_rule(maker: RunMaker, base_512_ms: float, verdict: str):
    maker.latency({BASE_640: 100.0, BASE_512: base_512_ms})
    assert row_of(maker, RATIO).word == verdict


@pytest.mark.parametrize(("seaformer_ms", "verdict"), [(97.0, "partly"), (85.0, "not reproduced")])
def test_a_claim_of_equal_speed_may_fall_on_either_side(maker: RunMaker, seaformer_ms: float, verdict: str):
    maker.latency({BASE_640: 100.0, "mobileinst_seaformer_base_640": seaformer_ms})
    assert row_of(maker, "ratio/coco-latency-seaformer-vs-topformer").word == verdict


def test_a_claim_of_more_speed_is_not_met_by_less(maker: RunMaker):
    maker.latency({BASE_640: 100.0, "mobileinst_mobilenetv2_640": 113.0})
    assert row_of(maker, "ratio/coco-latency-mobilenetv2-vs-topformer").word == "not reproduced"


def test_a_ratio_names_the_run_it_is_of_and_no_newer_one(maker: RunMaker):
    both = maker.latency({BASE_640: 100.0, BASE_512: 80.0})
    maker.latency({BASE_640: 90.0})
    row = row_of(maker, RATIO)
    assert row.run_ids == (both.run_id,)
    table = table1.build(load_evidence(maker.folder))
    linked = {cell.runs for cells in table.rows for cell in cells if cell.text.startswith("0.8") and cell.runs}
    assert linked == {(both.run_id,)}


def test_a_ratio_on_a_device_that_is_no_host_is_not_called_the_hosts(maker: RunMaker):
    maker.latency({BASE_640: 100.0, BASE_512: 80.0})
    maker.latency({BASE_640: 100.0, BASE_512: 40.0}, device="board")
    assert row_of(maker, RATIO).ours == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("rows", [[], [[0, 100.0, 100.0], [0, 101.0, 101.0], [1, 100.0, 100.0]]])
def test_a_run_without_samples_or_with_a_short_round_stops_no_ledger(maker: RunMaker, rows: list[list[Scalar]]):
    fields: dict[str, Scalar] = {"span": "network", "device": "host", "runtime": "onnxruntime"}
    lines = [
        Series("latency_samples", Subject(model), ["round", "wall_ms", "cpu_ms"], rows, fields | size)
        for model, size in (
            (BASE_640, {"height_px": 640, "width_px": 864}),
            (BASE_512, {"height_px": 512, "width_px": 864}),
        )
    ]
    maker.write(maker.run("foreign"), *lines)
    assert row_of(maker, RATIO).word == ("not reproduced" if rows else "not run")


def test_models_of_two_runs_are_not_compared(maker: RunMaker):
    maker.latency({BASE_640: 100.0})
    maker.latency({BASE_512: 80.0})
    assert row_of(maker, RATIO).word == "not run"


@pytest.mark.parametrize(
    ("split", "pinned", "value", "verdict"),
    [
        ("test-dev", True, 0.311, "reproduced"),
        ("test-dev", True, 0.306, "not reproduced"),
        ("val2017", True, 0.303, "partly"),
        ("val2017", True, 0.300, "not reproduced"),
        ("val2017", False, 0.9, "not run"),
    ],
)
def test_accuracy_rule(maker: RunMaker, split: str, pinned: bool, value: float, verdict: str):
    data = Dataset("coco", split, "f" * 32, pinned, images=5000)
    line = Measurement("mask_ap", value, Subject(BASE_640, WEIGHTS), {"task": "coco"}, data)
    maker.write(maker.run("score"), line)
    row = row_of(maker, AP)
    assert row.word == verdict
    if verdict != "not run":
        assert row.ours == pytest.approx(100 * value)


def test_random_weights_and_other_data_prove_no_accuracy(maker: RunMaker):
    coco = Dataset("coco", "test-dev", "f" * 32, True)
    maker.write(maker.run("score"), Measurement("mask_ap", 0.312, Subject(BASE_640), {}, coco))
    maker.write(maker.run("score"), Measurement("mask_ap", 0.312, Subject(BASE_640, WEIGHTS), {}, SHAPES))
    assert row_of(maker, AP).word == "not run"


def phone_line(model: str, value: float, height_px: int, width_px: int, origin: Origin = "measured") -> Measurement:
    fields: dict[str, Scalar] = {"span": "network", "device": "snapdragon_778g", "valid": True}
    fields |= {"height_px": height_px, "width_px": width_px}
    return Measurement("latency_wall_ms", value, Subject(model), fields, origin=origin)


@pytest.mark.parametrize(
    ("origin", "value", "verdict"),
    [("measured", 440.0, "reproduced"), ("measured", 500.0, "not reproduced"), ("estimated", 440.0, "estimated")],
)
def test_milliseconds_of_the_same_device(maker: RunMaker, origin: str, value: float, verdict: str):
    maker.write(maker.run("phone"), phone_line(BASE_640, value, 640, 864, origin=origin))
    row = row_of(maker, MS)
    assert (row.word, row.origin) == (verdict, origin)


@pytest.mark.parametrize(
    ("model", "height_px", "width_px", "claim_id"),
    [
        (BASE_640, 320, 320, MS),
        ("yolact_topformer_base_550", 550, 550, "table1/yolact-topformer-base-550/latency_snapdragon_778g_ms"),
    ],
)
def test_another_input_size_and_a_network_without_masks_are_other_milliseconds(
    maker: RunMaker, model: str, height_px: int, width_px: int, claim_id: str
):
    maker.write(maker.run("phone"), phone_line(model, 440.0, height_px, width_px))
    assert row_of(maker, claim_id).word == "not run"


def test_a_trend_needs_three_seeds_and_two_standard_errors(maker: RunMaker):
    for seed, (with_it, without) in enumerate(((0.55, 0.54), (0.57, 0.555))):
        maker.training(seed, with_it)
        maker.training(seed, without, query_passing=False)
    assert row_of(maker, TREND).word == "not run"
    maker.training(2, 0.52)
    maker.training(2, 0.508, query_passing=False)
    row = row_of(maker, TREND)
    assert row.word == "partly"
    assert row.ours == pytest.approx(100 * (0.01 + 0.015 + 0.012) / 3)
    assert "on shapes" in row.rule
    maker.training(2, 0.60, query_passing=False)
    assert row_of(maker, TREND).word == "undecided"
    maker.training(0, 0.60, query_passing=False)
    maker.training(1, 0.62, query_passing=False)
    assert row_of(maker, TREND).word == "not reproduced"


def test_every_trend_claim_has_a_setting_to_look_for(maker: RunMaker):
    trends = {row.claim.claim_id for row in ledger_of(maker).verdicts if row.claim.kind == "trend"}
    assert trends == set(TREND_SETTINGS)


def test_terminal_summary_first_and_nothing_wider_than_100(filled: RunMaker):
    for words in (["ledger"], ["ledger", "--all"]):
        result = CliRunner().invoke(entry, [*words, "--records", str(filled.folder)])
        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        assert "published claims" in lines[0]
        assert "1 partly" in lines[1]
        assert max(map(len, lines)) <= 100
        assert "\x1b" not in result.output
        assert "54.7 ± 2.5" in result.output
    assert len(CliRunner().invoke(entry, ["ledger", "--records", str(filled.folder)]).output.splitlines()) <= 40
    assert "\ntable1/mobileinst-topformer-base-640\n  latency_snapdragon_778g_ms: 433 ms: not run" in result.output


def test_json_is_one_object_with_every_claim(filled: RunMaker):
    result = CliRunner().invoke(entry, ["ledger", "--json", "--records", str(filled.folder)])
    document = json.loads(result.output)
    assert len(document["claims"]) == len(ledger_of(filled).verdicts)
    assert {claim["verdict"] for claim in document["claims"]} <= set(VERDICTS)
    (cell,) = (cell for cell in document["measured"] if cell["metric"] == "mask_ap")
    assert [sample["value"] for sample in cell["samples"]] == [0.55, 0.57, 0.52]


def test_another_engine_does_not_displace_the_main_one(maker: RunMaker):
    maker.latency({BASE_640: 100.0, BASE_512: 80.0})
    maker.latency({BASE_640: 100.0, BASE_512: 60.0}, engine="ncnn")
    assert row_of(maker, RATIO).ours == pytest.approx(0.8, abs=0.01)


def test_models_of_two_engines_are_not_compared(maker: RunMaker):
    maker.latency({BASE_640: 100.0})
    maker.latency({BASE_512: 80.0}, engine="ncnn")
    assert row_of(maker, RATIO).word == "not run"


def test_a_window_of_80_columns_is_not_exceeded_and_no_word_of_a_claim_is_torn(maker: RunMaker):
    evidence = ledger_of(maker)
    judged = [
        dataclasses.replace(row, ours=0.246, interval=(0.243, 0.254), word="not reproduced", reason="5 seeds")
        for row in evidence.verdicts
        if row.claim.kind != "absolute"
    ]
    stream = io.StringIO()
    console = Console(file=stream, width=80, color_system=None)
    print_ledger(dataclasses.replace(evidence, verdicts=tuple(judged)), True, console)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    shown = {word.strip(":,") for line in lines for word in line.split()}
    assert {word for row in judged for word in row.claim.statement.split()} | {"reproduced"} <= shown


def test_every_deciding_command_is_one_the_suite_understands(maker: RunMaker):
    commands = {row.command for row in ledger_of(maker).verdicts if row.command}
    assert commands
    for text in commands:
        words = text.split()
        assert words[:3] == ["python", "-m", "suite"]
        group, context, rest = entry, None, words[3:]
        while hasattr(group, "get_command"):
            context = group.make_context(group.name, [rest[0]], parent=context, resilient_parsing=True)
            found = group.get_command(context, rest[0])
            assert found is not None, f"{text}: no command {rest[0]}"
            group, rest = found, rest[1:]
        known = {option for parameter in group.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, text


def test_what_was_found_comes_in_at_most_seven_sentences_the_best_founded_first(filled: RunMaker):
    found = highlights(ledger_of(filled))
    assert 0 < len(found) <= 7
    assert [item.claims for item in found] == sorted((item.claims for item in found), reverse=True)
    assert all(item.command.startswith("python -m suite") for item in found)
