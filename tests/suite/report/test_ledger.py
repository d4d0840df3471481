"""Verdicts follow from claims and records by the stated rules, and from nothing else."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from suite.cli import entry
from suite.datasets.local_split import LOCAL_VALID
from suite.records.schema import Dataset, Interval, Measurement, Origin, Scalar, Series, Subject
from suite.report.evidence import VERDICTS, Verdict
from suite.report.figures.measured import latency_estimate
from suite.report.rules import RULES, Rules
from suite.report.tables.paper import table1
from suite.report.verdicts import load_evidence
from tests.suite.report.synthetic import BASE_512, BASE_640, WEIGHTS, RunMaker
from tests.suite.report.test_ablation import add
from tests.test_workflows import parse

Write = Callable[[RunMaker], Any]

VIDEO = "table2/2019/mobileinst-topformer-base"
AP = "table1/mobileinst-topformer-base-640/ap"
MS = "table1/mobileinst-topformer-base-640/latency_snapdragon_778g_ms"
RATIO = "ratio/coco-latency-512-vs-640"


def row_of(maker: RunMaker, claim_id: str) -> Verdict:
    return load_evidence(maker.folder).verdicts[claim_id]


def test_without_records_every_claim_is_not_run_with_its_reason(maker: RunMaker):
    ledger = load_evidence(maker.folder)
    assert ledger.counts == {word: (len(ledger.verdicts) if word == "not run" else 0) for word in VERDICTS}
    assert "COCO 2017" in row_of(maker, AP).reason
    assert row_of(maker, MS).reason == "needs a Snapdragon 778G"
    assert sum(len(rows) for rows in ledger.not_run.values()) == len(ledger.verdicts)
    assert ledger.coverage.startswith(f"{len(ledger.verdicts)} published claims")


def test_a_third_party_value_is_shown_but_decides_nothing(maker: RunMaker):
    row = row_of(maker, AP)
    assert (row.word, row.origin) == ("not run", "third-party")
    assert row.ours == pytest.approx(27.178)
    assert not any(row.claim.origin == "third-party" for row in load_evidence(maker.folder).verdicts.values())


def test_a_ratio_names_the_run_it_is_of_and_no_newer_one(maker: RunMaker):
    both = maker.latency({BASE_640: 100.0, BASE_512: 80.0})
    maker.latency({BASE_640: 90.0})
    row = row_of(maker, RATIO)
    assert row.run_ids == (both.run_id,)
    table = table1(load_evidence(maker.folder))
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


YOLACT = "yolact_topformer_base_550"
YOLACT_MS = "table1/yolact-topformer-base-550/latency_snapdragon_778g_ms"


def test_terminal_summary_first_and_nothing_wider_than_100(filled: RunMaker):
    for words in (["ledger"], ["ledger", "--all"]):
        result = CliRunner().invoke(entry, [*words, "--records", str(filled.folder)])
        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        assert max(map(len, lines)) <= 100
        assert "\x1b" not in result.output
    assert len(CliRunner().invoke(entry, ["ledger", "--records", str(filled.folder)]).output.splitlines()) <= 40
    assert "\ntable1/mobileinst-topformer-base-640\n  latency_snapdragon_778g_ms: 433 ms: not run" in result.output


def test_json_is_one_object_with_every_claim(filled: RunMaker):
    document = json.loads(CliRunner().invoke(entry, ["ledger", "--json", "--records", str(filled.folder)]).output)
    assert len(document["claims"]) == len(load_evidence(filled.folder).verdicts)
    (cell,) = (cell for cell in document["measured"] if cell["metric"] == "mask_ap")
    assert [sample["value"] for sample in cell["samples"]] == [0.55, 0.57, 0.52]


def test_every_deciding_command_is_one_the_suite_understands(maker: RunMaker):
    rows = [row for row in load_evidence(maker.folder).verdicts.values() if row.command]
    commands = {row.command for row in rows}
    made = {text.split(";")[0] for row in rows for text in row.inputs.split(": ") if text.startswith("python")}
    assert commands
    assert made
    for text in commands | made:
        words = text.split()
        assert words[:3] == ["python", "-m", "suite"]
        parse(words[3:])


def ratio(cpu_ms: float, model: str = BASE_512) -> Write:
    return lambda maker: maker.latency({BASE_640: 100.0, model: cpu_ms})


def score(
    value: float, split: str = "test-dev", pinned: bool = True, weights: str | None = WEIGHTS, trained_on: str = ""
) -> Write:
    video = "local" in split
    model = "mobileinst_topformer_base_360" if video else BASE_640
    data = Dataset("youtube-vis-2019" if video else "coco", split, "f" * 32, pinned)
    protocol: dict[str, Scalar] = {"trained_on": trained_on} if trained_on else {}
    line = Measurement("video_ap" if video else "mask_ap", value, Subject(model, weights), protocol, data)
    return lambda maker: maker.write(maker.run("score"), line)


def phone(
    value: float, model: str = BASE_640, side: tuple[int, int] = (640, 864), origin: Origin = "measured"
) -> Write:
    fields: dict[str, Scalar] = {"span": "network", "device": "snapdragon_778g", "valid": True}
    fields |= {"height_px": side[0], "width_px": side[1]}
    line = Measurement("latency_wall_ms", value, Subject(model), fields, origin=origin)
    return lambda maker: maker.write(maker.run("phone"), line)


def gain(average: float) -> Write:
    def write(maker: RunMaker) -> None:
        add(maker, "default", (0.53, 0.56, 0.54))
        add(maker, "average_pooling", (average, average + 0.03, average + 0.01))

    return write


LOCAL = ("youtube-vis-2019 local-train", "youtube-vis-2019 train", "youtube-vis-2021 local-train", "")
SEAFORMER, MOBILENET = "mobileinst_seaformer_base_640", "mobileinst_mobilenetv2_640"
TREND = "trend/max-pooling-beats-average"
WALK: list[tuple[str, str, str, Write]] = [
    ("accuracy", "reproduced", AP, score(0.311)),
    ("accuracy", "not reproduced", AP, score(0.306)),
    ("", "not run", AP, score(0.312, weights=None)),
    ("", "not run", AP, score(0.9, "val2017", pinned=False)),
    ("other_split", "partly", AP, score(0.303, "val2017")),
    ("other_split", "not reproduced", AP, score(0.300, "val2017")),
    ("other_split", "partly", f"{VIDEO}/ap", score(0.36, LOCAL_VALID, trained_on=LOCAL[0])),
    *(("", "not run", f"{VIDEO}/ap", score(0.36, LOCAL_VALID, trained_on=name)) for name in LOCAL[1:]),
    ("latency", "reproduced", MS, phone(440.0)),
    ("latency", "not reproduced", MS, phone(500.0)),
    ("", "not run", MS, phone(440.0, side=(320, 320))),
    ("", "not run", YOLACT_MS, phone(440.0, YOLACT, (550, 550))),
    ("estimate", "estimated", MS, phone(440.0, origin="estimated")),
    ("ratio", "partly", RATIO, ratio(79.0)),
    ("ratio", "partly", RATIO, ratio(99.0)),
    ("ratio", "direction holds", RATIO, ratio(55.0)),
    ("ratio", "not reproduced", RATIO, ratio(104.0)),
    ("ratio", "partly", "ratio/coco-latency-seaformer-vs-topformer", ratio(97.0, SEAFORMER)),
    ("ratio", "not reproduced", "ratio/coco-latency-seaformer-vs-topformer", ratio(85.0, SEAFORMER)),
    ("ratio", "not reproduced", "ratio/coco-latency-mobilenetv2-vs-topformer", ratio(113.0, MOBILENET)),
    ("trend", "partly", TREND, gain(0.50)),
    ("trend", "not reproduced", TREND, gain(0.58)),
]


@pytest.mark.parametrize(("rule", "word", "claim_id", "write"), WALK)
def test_every_rule_gives_its_words(maker: RunMaker, rule: str, word: str, claim_id: str, write: Write):
    write(maker)
    row = row_of(maker, claim_id)
    assert row.word == word
    if not rule:
        assert not row.rule
        return
    said = getattr(RULES, rule)
    assert row.rule.startswith(said.says.split("{")[0])
    changed = [change for change in RULES.change if change.rule == rule]
    assert all(str(change.date) in row.rule and change.date > said.since for change in changed)
    assert row.run_ids
    assert row.interval is None or row.interval[0] < row.ours < row.interval[1]
    assert ("not of valid" in row.split_note) == (rule == "other_split" and claim_id.startswith(VIDEO))


def test_the_walk_leaves_out_no_rule():
    assert {rule for rule, *_ in WALK if rule} == set(Rules.__struct_fields__) - {"change"}


def test_an_estimate_is_told_in_both_precisions(maker: RunMaker):
    fields: dict[str, Scalar] = {"span": "network", "device": "snapdragon_778g", "height_px": 640, "width_px": 864}
    for precision, value in {"fp16": 295.0, "fp32": 486.0}.items():
        ends = Interval(value - 40, value + 60, 0.9, "calibration")
        protocol = fields | {"precision": precision}
        line = Measurement("latency_wall_ms", value, Subject(BASE_640), protocol, interval=ends, origin="estimated")
        maker.write(maker.run(f"estimate-{precision}"), line)
    row = row_of(maker, MS)
    assert (row.word, row.ours) == ("estimated", 486.0)
    assert all(f"{433 / value:.2f}" in row.reason for value in (295.0, 486.0))
    figure = latency_estimate(load_evidence(maker.folder))
    assert figure is not None
    drawn = {str(line.get_label()): line.get_xdata()[0] for line in figure.axes[0].lines}
    assert drawn["published, Snapdragon 778G"] == 433
    spans = [tuple(bar.get_segments()[0][:, 0]) for bar in figure.axes[0].collections]
    assert sorted(spans) == [(255.0, 355.0), (446.0, 546.0)]
