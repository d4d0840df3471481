"""The re-measured latency rows: which clock counts, which run, what holds, and what a missing row says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from suite.models import get_entry
from suite.records.schema import Measurement, Scalar, Series, Subject
from suite.report.summary import highlights
from suite.report.tables.arithmetic import counts
from suite.report.tables.paper import table1
from suite.report.tables.prior_art import orderings, prior_art, prior_art_rows
from suite.report.verdicts import load_evidence
from tests.suite.report.synthetic import RunMaker

ANCHOR = "mobileinst_topformer_base_640"
# Model -> CPU milliseconds by span.
TIMES: dict[str, dict[str, float]] = {
    ANCHOR: {"network": 200.0, "selection": 12.0},
    "mask2former_topformer_base_640": {"network": 390.0, "selection": 12.0},
    "fastinst_topformer_base_640": {"network": 420.0},
    "yolact_topformer_base_550": {"network": 150.0, "with_masks": 240.0, "selection": 30.0},
    "mobileinst_topformer_base_512": {"network": 160.0},
}


def write(folder: Path, times: dict[str, dict[str, float]], square: bool = False, refused: str = "") -> None:
    maker = RunMaker(folder)
    operators: list[list[Scalar]] = [["whole", "Conv", 80], ["whole", "MatMul", 12]]
    lines: list[Measurement | Series] = [
        Series("graph_operators", Subject(ANCHOR), ["graph", "operator", "nodes"], operators)
    ]
    shared: dict[str, Scalar] = {"runtime": "onnxruntime", "threads": 1, "precision": "fp32", "device": "host"}
    for model, spans in times.items():
        height, width = (640, 640) if square else get_entry(model).input_shapes[0]
        for span, median in spans.items():
            fields = shared | {"span": span, "height_px": height, "width_px": width, "valid": True}
            fields |= {"runtime": "numpy"} if span == "selection" else {}
            lines.append(Measurement("latency_cpu_ms", median, Subject(model), fields))
            rows: list[list[Scalar]] = [
                [number, place, span, median, median * (1 + 0.001 * (number % 3))]
                for number in range(10)
                for place in range(2)
            ]
            columns = ["round", "position", "span", "wall_ms", "cpu_ms"]
            lines.append(Series("latency_samples", Subject(model), columns, rows, fields))
    if refused:
        fields = shared | {"span": "network", "height_px": 608, "width_px": 864, "valid": False}
        lines.append(Measurement("latency_cpu_ms", None, Subject("sparseinst_resnet50_608"), fields, reason=refused))
    maker.write(maker.run("prior-art-test"), *lines)


def test_rows_are_compared_up_to_their_masks_in_one_run(tmp_path: Path) -> None:
    write(tmp_path, TIMES, refused="pnnx cannot convert this graph")
    # A later run of squares must not take the place of the rows at their own shape.
    write(tmp_path, {ANCHOR: {"network": 100.0}, "fastinst_topformer_base_640": {"network": 400.0}}, square=True)
    evidence = load_evidence(tmp_path)
    found = prior_art_rows(evidence, "onnxruntime")
    rows = {(row.entry.name, row.entry.input_shapes[0]): row for row in found}

    yolact = rows["yolact_topformer_base_550", (550, 550)]
    assert yolact.ratio is not None
    assert yolact.ratio.value == pytest.approx(240 / 200)
    assert yolact.network is not None
    assert yolact.network.value == 150
    assert yolact.share == pytest.approx(497 / 433)
    assert (yolact.order_holds, yolact.half_published, yolact.half_measured) == (True, False, False)

    lightened = rows["mask2former_topformer_base_640", (640, 864)]
    assert (lightened.half_published, lightened.half_measured) == (True, False)
    assert rows["fastinst_topformer_base_640", (640, 864)].half_measured is True
    assert ("fastinst_topformer_base_640", (640, 640)) not in rows

    deformable = rows["mask2former_topformer_base_640_deformable", (640, 864)]
    assert deformable.reason == "not timed here yet"
    assert rows["sparseinst_resnet50_608", (608, 864)].reason.startswith("pnnx")
    order = [row.entry.name for row in rows.values()]
    assert order.index("mask2former_topformer_base_640") < order.index("mask2former_topformer_base_640_deformable")


def found_orderings(folder: Path) -> tuple[dict[str, tuple[int, int]], list[int]]:
    """Return the pairs of each table, and the numbers of the finding about them, without those of the tables' names."""
    evidence = load_evidence(folder)
    finding = next(item.sentence for item in highlights(evidence) if "pairs" in item.sentence)
    counts = orderings(evidence, prior_art_rows(evidence, "onnxruntime"), "onnxruntime")
    return counts, [int(number) for number in re.findall(r"(?<!Table )\b\d+", finding)]


def test_orderings_count_pairs_of_one_run(tmp_path: Path) -> None:
    swapped = TIMES | {"yolact_topformer_base_550": {"network": 150.0, "with_masks": 400.0}}
    # Published: 346 < 433 < 497 < 930 < 965; here 160 < 200 < 240 < 390 < 420.
    for times, in_order in ((TIMES, 10), (swapped, 9)):
        write(tmp_path, times)
        counts, said = found_orderings(tmp_path)
        assert counts == {"Table 1": (in_order, 10), "Table 2": (0, 0)}
        assert said == [in_order, 10, in_order, 10]


def test_each_table_is_counted_in_its_own_run(tmp_path: Path) -> None:
    # The anchor, which is timed with the rows of either table, is no row of Table 2; published there: 188 < 389 < 614.
    video = {
        ANCHOR: {"network": 999.0},
        "mobileinst_topformer_base_360": {"network": 80.0},
        "sparseinst_vis_topformer_base_360": {"network": 190.0},
        "crossvis_topformer_base_360": {"network": 150.0, "with_masks": 180.0},
    }
    write(tmp_path, video)
    assert found_orderings(tmp_path) == ({"Table 1": (0, 0), "Table 2": (2, 3)}, [2, 3, 2, 3])
    write(tmp_path, TIMES)
    assert found_orderings(tmp_path) == ({"Table 1": (10, 10), "Table 2": (2, 3)}, [12, 13, 10, 10, 2, 3])


def test_the_tables_say_what_holds_and_why_not(tmp_path: Path) -> None:
    write(tmp_path, TIMES, refused="the engine fell over")
    evidence = load_evidence(tmp_path)
    table = prior_art(evidence)
    assert "the engine fell over" in table.footnotes
    first = table1(evidence)
    place = first.columns.index("ours: host CPU ms")
    methods = [(row[0].text, row[1].text) for row in first.rows]
    assert first.rows[methods.index(("YOLACT", "TopFormer-Base"))][place].value == 240
    graph = counts(evidence).rows[0]
    assert [cell.text for cell in graph][1:4] == ["network", "92", "Conv 80, MatMul 12"]
