"""Verdicts follow from claims and records by the stated rules, and from nothing else."""

import json

import pytest
from click.testing import CliRunner

from suite.cli import entry
from suite.records.schema import Dataset, Measurement, Origin, Scalar, Series, Subject
from suite.report.evidence import VERDICTS, Evidence, Verdict
from suite.report.tables import table1
from suite.report.verdicts import load_evidence
from tests.suite.report.synthetic import BASE_512, BASE_640, SHAPES, WEIGHTS, RunMaker

AP = "table1/mobileinst-topformer-base-640/ap"
MS = "table1/mobileinst-topformer-base-640/latency_snapdragon_778g_ms"
RATIO = "ratio/coco-latency-512-vs-640"


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


@pytest.mark.parametrize(
    ("model", "cpu_ms", "claim_id", "verdict"),
    [
        (BASE_512, 79.0, RATIO, "partly"),
        (BASE_512, 55.0, RATIO, "partly"),
        (BASE_512, 104.0, RATIO, "not reproduced"),
        ("mobileinst_seaformer_base_640", 97.0, "ratio/coco-latency-seaformer-vs-topformer", "partly"),
        ("mobileinst_seaformer_base_640", 85.0, "ratio/coco-latency-seaformer-vs-topformer", "not reproduced"),
        ("mobileinst_mobilenetv2_640", 113.0, "ratio/coco-latency-mobilenetv2-vs-topformer", "not reproduced"),
    ],
)
def test_ratio_rule(maker: RunMaker, model: str, cpu_ms: float, claim_id: str, verdict: str):
    maker.latency({BASE_640: 100.0, model: cpu_ms})
    assert row_of(maker, claim_id).word == verdict


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


@pytest.mark.parametrize("engine", ["onnxruntime", "ncnn"])
def test_models_of_two_runs_are_not_compared(maker: RunMaker, engine: str):
    maker.latency({BASE_640: 100.0})
    maker.latency({BASE_512: 80.0}, engine=engine)
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


YOLACT = "yolact_topformer_base_550"
YOLACT_MS = "table1/yolact-topformer-base-550/latency_snapdragon_778g_ms"


@pytest.mark.parametrize(
    ("model", "size", "origin", "value", "claim_id", "verdict"),
    [
        (BASE_640, (640, 864), "measured", 440.0, MS, "reproduced"),
        (BASE_640, (640, 864), "measured", 500.0, MS, "not reproduced"),
        (BASE_640, (640, 864), "estimated", 440.0, MS, "estimated"),
        (BASE_640, (320, 320), "measured", 440.0, MS, "not run"),
        (YOLACT, (550, 550), "measured", 440.0, YOLACT_MS, "not run"),
    ],
)
def test_milliseconds_count_on_the_same_device_at_the_same_size_and_with_masks(
    maker: RunMaker, model: str, size: tuple[int, int], origin: Origin, value: float, claim_id: str, verdict: str
):
    fields: dict[str, Scalar] = {"span": "network", "device": "snapdragon_778g", "valid": True}
    fields |= {"height_px": size[0], "width_px": size[1]}
    maker.write(maker.run("phone"), Measurement("latency_wall_ms", value, Subject(model), fields, origin=origin))
    row = row_of(maker, claim_id)
    assert row.word == verdict
    assert verdict == "not run" or row.origin == origin


def test_terminal_summary_first_and_nothing_wider_than_100(filled: RunMaker):
    for words in (["ledger"], ["ledger", "--all"]):
        result = CliRunner().invoke(entry, [*words, "--records", str(filled.folder)])
        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        assert "published claims" in lines[0]
        assert "partly" in lines[1]
        assert max(map(len, lines)) <= 100
        assert "\x1b" not in result.output
    assert len(CliRunner().invoke(entry, ["ledger", "--records", str(filled.folder)]).output.splitlines()) <= 40
    assert "\ntable1/mobileinst-topformer-base-640\n  latency_snapdragon_778g_ms: 433 ms: not run" in result.output


def test_json_is_one_object_with_every_claim(filled: RunMaker):
    document = json.loads(CliRunner().invoke(entry, ["ledger", "--json", "--records", str(filled.folder)]).output)
    assert len(document["claims"]) == len(ledger_of(filled).verdicts)
    (cell,) = (cell for cell in document["measured"] if cell["metric"] == "mask_ap")
    assert [sample["value"] for sample in cell["samples"]] == [0.55, 0.57, 0.52]


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
