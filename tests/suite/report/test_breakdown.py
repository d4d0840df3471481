"""Where the milliseconds go: the table from made-up records."""

from __future__ import annotations

import pytest

from suite.records.schema import Interval, Measurement, Scalar, Series, Subject
from suite.report.evidence import Evidence
from suite.report.table import Table, TableCell
from suite.report.tables import breakdown
from suite.report.verdicts import load_evidence
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
    protocol: dict[str, Scalar] = {**size, "runtime": "onnxruntime", "cpu_ms": 10.0, "macs": 800_000_000}
    protocol |= {"product_gmacs_per_s": 100.0}
    columns = ["module", "operator", "node", "time_ms"]
    interval = Interval(1.2, 1.3, 0.95, "timing noise", 2000)
    maker.write(
        maker.run("latency-breakdown"),
        Measurement("export_speedup", 1.25, subject, {**size, "runtime": "onnxruntime"}, interval=interval),
        Series("latency_layers", subject, columns, [list(row) for row in LAYERS], protocol),
        Series("module_macs", subject, ["module", "macs"], [list(row) for row in MACS.items()], size),
    )
    return load_evidence(maker.folder)


def rows_of(table: Table) -> dict[str, dict[str, TableCell]]:
    """Return the rows by module or layer, each by column."""
    return {row[1].text: dict(zip(table.columns, row, strict=True)) for row in table.rows}


def test_every_module_has_its_time_arithmetic_and_speed(measured: Evidence) -> None:
    table = breakdown.breakdown(measured)
    rows = rows_of(table)
    modules = ["backbone.pyramid", "backbone.trunk", "mask_decoder.first3", "mask_decoder"]
    assert list(rows)[:4] == modules
    first3 = rows["mask_decoder.first3"]
    columns = ("ms", "% of time", "MACs G", "GMAC/s", "% of reference")
    assert [first3[name].value for name in columns] == pytest.approx([5.0, 50.0, 0.5, 100.0, 100.0])
    assert rows["backbone.trunk"]["MACs G"].value == pytest.approx(0.1), "a list's MACs are the sum of its members'"
    assert rows["mask_decoder"]["MACs G"].text == "", "resizes have no MACs of their own"
    assert sum(rows[name]["% of time"].value or 0 for name in modules) == pytest.approx(100)
    for number in ("80.0 GMAC/s", "0.80", "100.0 GMAC/s", "1.250 [1.200, 1.300]", "Conv 70 %"):
        assert number in table.notes[0]


def test_longest_layers_come_after_the_modules(measured: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breakdown, "LONGEST", 3)
    table = breakdown.breakdown(measured)
    layers = [row for row in rows_of(table).values() if row["kernel"].text]
    assert [row["kernel"].text for row in layers] == ["Conv", "Conv", "Resize"]
    assert [row["% so far"].value for row in layers] == pytest.approx([50.0, 70.0, 90.0])
    assert "1 further layers take 1.00 ms" in table.notes[1]
