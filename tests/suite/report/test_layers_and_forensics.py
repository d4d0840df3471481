"""Where the milliseconds go, and which reading fits a published latency: tables and figures from made-up records."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite.claims.latency_fit import fit_constants, load_readings
from suite.claims.loader import load_claims
from suite.records.schema import Interval, Measurement, Scalar, Series, Subject
from suite.report.drawing import figure_bytes
from suite.report.evidence import Evidence, gather, load_evidence
from suite.report.figures import forensics as forensics_figure
from suite.report.figures import module_breakdown
from suite.report.tables import breakdown, forensics, forensics_mobileinst, layers, table1, table2
from tests.suite.report.synthetic import BASE_640, RunMaker

LAYERS: list[list[Scalar]] = [
    ["backbone.pyramid.stem", "Conv", "backbone.pyramid.stem/relu_nchwc", 2.0],
    ["backbone.trunk.0.attention", "MatMul", "backbone.trunk.0.attention/matmul", 1.0],
    ["mask_decoder.first3.1", "Conv", "mask_decoder.first3.1/relu_24_nchwc", 5.0],
    ["mask_decoder", "Resize", "mask_decoder/upsample", 2.0],
]
SIZE: dict[str, Scalar] = {"height_px": 640, "width_px": 864}
MACS = {
    "backbone": 300_000_000,
    "backbone.pyramid": 200_000_000,
    "backbone.trunk.0": 60_000_000,
    "backbone.trunk.0.attention": 20_000_000,
    "backbone.trunk.1": 40_000_000,
    "mask_decoder": 500_000_000,
    "mask_decoder.first3": 500_000_000,
}


@pytest.fixture
def measured(maker: RunMaker) -> Evidence:
    """One breakdown, as `suite.latency.breakdown.record_lines` writes it."""
    subject, size = Subject(BASE_640), SIZE
    protocol: dict[str, Scalar] = {
        **size,
        "runtime": "onnxruntime",
        "cpu_ms": 10.0,
        "macs": 800_000_000,
        "product_gmacs_per_s": 100.0,
    }
    columns = ["module", "operator", "node", "time_ms"]
    interval = Interval(1.2, 1.3, 0.95, "timing noise", 2000)
    maker.write(
        maker.run("latency-breakdown"),
        Measurement("export_speedup", 1.25, subject, {**size, "runtime": "onnxruntime"}, interval=interval),
        Series("latency_layers", subject, columns, [list(row) for row in LAYERS], protocol),
        Series("module_macs", subject, ["module", "macs"], [list(row) for row in MACS.items()], size),
    )
    return load_evidence(maker.folder)


def test_every_module_has_its_time_arithmetic_and_speed(measured: Evidence) -> None:
    table = breakdown.build(measured)
    rows = {row[1].text: row for row in table.rows}
    assert list(rows) == ["backbone.pyramid", "backbone.trunk", "mask_decoder.first3", "mask_decoder"]
    assert [cell.value for cell in rows["mask_decoder.first3"][2:]] == pytest.approx([5.0, 50.0, 0.5, 100.0, 100.0])
    assert rows["backbone.trunk"][4].value == pytest.approx(0.1), "a list's MACs are the sum of its members'"
    assert rows["mask_decoder"][4].text == "", "resizes have no MACs of their own"
    assert sum(row[3].value or 0 for row in table.rows) == pytest.approx(100)
    summary = table.notes[0]
    assert "80.0 GMAC/s counted as direct convolution = 0.80 of a large matrix product's 100.0 GMAC/s" in summary
    assert "1.250 [1.200, 1.300] times as long" in summary
    assert "Conv 70 %" in summary


def test_longest_layers_come_first(measured: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "LONGEST", 3)
    table = layers.build(measured)
    assert [row[2].text for row in table.rows] == ["Conv", "Conv", "Resize"]
    assert [row[5].value for row in table.rows] == pytest.approx([50.0, 70.0, 90.0])
    assert table.notes[0] == f"{BASE_640} at 640x864: 1 further layers take 1.00 ms together."


def test_a_later_breakdown_replaces_an_earlier_one(measured: Evidence, maker: RunMaker) -> None:
    subject, size = Subject(BASE_640), SIZE
    rows: list[list[Scalar]] = [["backbone.pyramid.stem", "Conv", "n", 7.0]]
    series = Series("latency_layers", subject, ["module", "operator", "node", "time_ms"], rows, size)
    maker.write(maker.run("latency-breakdown"), series)
    table = breakdown.build(load_evidence(maker.folder))
    assert [(row[1].text, row[2].value) for row in table.rows] == [("backbone.pyramid", 7.0)]


def test_without_records_the_reason_is_said(maker: RunMaker) -> None:
    evidence = load_evidence(maker.folder)
    for table in (breakdown.build(evidence), layers.build(evidence)):
        assert not table.rows
        assert "run: python -m suite latency breakdown --record" in table.notes[0]
    assert module_breakdown.draw(evidence) is None


def test_without_claims_nothing_is_inferred() -> None:
    evidence = gather([], [], counterparts={})
    for table in (forensics.build(evidence), forensics_mobileinst.build(evidence)):
        assert not table.rows
        assert table.notes[0].startswith("Nothing to show")
    assert forensics_figure.draw(evidence) is None


def test_forensics_say_what_they_are_and_where_ours_stands(maker: RunMaker) -> None:
    evidence = load_evidence(maker.folder)
    prior, own = forensics.build(evidence), forensics_mobileinst.build(evidence)
    assert all(table.notes[0].startswith("This is inference") for table in (prior, own))
    assert {row[9].text for row in prior.rows} == {"fitted", "fits within 5 %", "fits within 10 %", "does not fit"}
    ours = [row for row in own.rows if row[-1].text == "ours"]
    assert len(ours) == 1
    assert [cell.text for cell in ours[0][:4]] == ["base", "256", "raw", "6"]
    fitting = [row for row in own.rows if row[-2].text == "5 of 5"]
    assert fitting
    assert {(row[1].text, row[3].text) for row in fitting} == {("256", "12")}
    assert "Ours is not among them" in own.notes[1]


def test_figures_are_the_same_bytes_every_time(measured: Evidence) -> None:
    for draw in (module_breakdown.draw, forensics_figure.draw):
        first = figure_bytes(draw, measured)
        assert set(first) == {"png", "svg"}
        assert first == figure_bytes(draw, measured)


@pytest.mark.parametrize(("build", "source"), [(table1.build, "aaai2024-table1"), (table2.build, "aaai2024-table2")])
def test_published_tables_carry_their_doubts(build: object, source: str, tmp_path: Path) -> None:
    table = build(load_evidence(tmp_path))  # type: ignore[operator]
    words = "\n".join(table.notes)
    assert "TNN, precision not stated (TNN's ARM default prefers fp16)" in words
    assert "the input shape is not published: inferred" in words
    assert f"Version: {source}; the abstract of arXiv v1 prints other numbers (30.5 AP, 176 ms)." in words
    assert any("the published network did more" in note for note in table.footnotes())
    if source.endswith("1"):
        assert any(note.startswith("lightened: ") for note in table.footnotes())


def test_the_doubts_say_of_which_rows_the_reading_timed_here_is_too_fast():
    claims = load_claims()
    readings = [reading for reading in load_readings(claims) if reading.default]
    fit = fit_constants(load_readings(claims))
    slower = {item.row_id for item in readings if item.published_ms > fit.predict(item) * (1 + fit.tolerance)}
    doubted = {
        claim.row_id
        for claim in claims
        if any(doubt.startswith("longer than its rebuilt graph explains") for doubt in claim.doubts)
    }
    assert doubted == slower
