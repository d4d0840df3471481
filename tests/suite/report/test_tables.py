"""Tables say what claims and records say, in Markdown, LaTeX, CSV and HTML."""

import csv
import io

import msgspec
import pytest

from suite.claims.loader import load_claims
from suite.report.evidence import Evidence
from suite.report.formats import csv_text, html, latex, markdown, plain
from suite.report.table import Table, TableCell, make_table
from suite.report.tables import discover
from suite.report.tables.accuracy import embedded
from suite.report.tables.arithmetic import counts
from suite.report.tables.latency import latency, later
from suite.report.tables.paper import table1
from suite.report.verdicts import load_evidence
from tests.suite.report.synthetic import BASE_640, MACHINE, SHAPES, RunMaker


@pytest.fixture
def evidence(filled: RunMaker) -> Evidence:
    return load_evidence(filled.folder)


def test_kernel_reuse_is_compared_on_the_newest_version_of_the_data_alone(filled: RunMaker):
    newest = msgspec.structs.replace(SHAPES, digest="d" * 32 + ".dir")
    filled.training(0, 0.5, dataset=newest)
    (cells,) = load_evidence(filled.folder).reuse().values()
    assert [cell.value for cell in cells] == pytest.approx([0.39, 0.37, 0.34])
    assert {cell.data_digest for cell in cells} == {newest.digest}


def test_times_in_one_table_are_of_the_processor_that_timed_most_models(filled: RunMaker):
    filled.latency({BASE_640: 200.0}, machine=msgspec.structs.replace(MACHINE, cpu="another"))
    evidence = load_evidence(filled.folder)
    assert evidence.processor == MACHINE.cpu
    assert cells_of(table1(evidence), "MobileInst TopFormer-Base 640")["ours: host CPU ms"].value == 100.0


@pytest.fixture
def example() -> Table:
    rows = [
        {
            "name & more": "a|b_c",
            "published: AP_S": TableCell("31.2", 31.2),
            "published: ms": TableCell("40", 40.0, mark="t"),
            "empty": "",
        },
        {
            "name & more": "50 % {x}",
            "published: AP_S": TableCell("30.0", 30.0, note="a reason"),
            "published: ms": TableCell(note="a reason"),
        },
    ]
    return make_table("An example", rows, ("a note",), {"published: AP_S": True, "published: ms": False})


def cells_of(table: Table, start: str) -> dict[str, TableCell]:
    """Return the first row whose leading cells begin with ``start``, by column."""
    for row in table.rows:
        if " ".join(cell.text for cell in row[:3]).startswith(start):
            return dict(zip(table.columns, row, strict=True))
    raise AssertionError(f"no row {start}")


def test_best_is_bold_by_direction_and_needs_competition_and_empty_columns_go(example: Table):
    assert [row[1].bold for row in example.rows] == [True, False]
    assert not any(row[2].bold for row in example.rows)
    assert example.columns == ["name & more", "published: AP_S", "published: ms"]


@pytest.mark.parametrize(
    "text", ["\x1b[2Jname", "=cmd|' /C calc'!A0", "Kernfusion 日本", "<script>x</script>", "\u202eevil"]
)
def test_hostile_words_are_harmless_in_every_format(text: str):
    table = make_table(text, [{"model": text, "ms": TableCell("-1.5", -1.5)}], (text,))
    for render in (markdown, latex, csv_text, html, plain):
        rendered = render(table)
        assert "\x1b" not in rendered
        assert "\u202e" not in rendered
        assert "<script" not in rendered.replace("\\<script", "") or render in (csv_text, plain, latex)
    (row,) = csv.DictReader(io.StringIO(csv_text(table)))
    assert not row["model"].startswith(("=", "+", "-", "@"))
    assert row["ms"] == "-1.5"


def test_table1_has_every_printed_number_and_a_reason_for_every_gap(evidence: Evidence):
    table = table1(evidence)
    printed = [claim for claim in load_claims() if claim.row_id.startswith("table1/")]
    assert len(table.rows) == len({claim.row_id for claim in printed})
    published = [place for place, name in enumerate(table.columns) if name.startswith("published: ")][:-1]
    texts = sorted(row[place].text for row in table.rows for place in published if row[place].text)
    assert texts == sorted(claim.text for claim in printed)
    for row in table.rows:
        for cell, name in zip(row, table.columns, strict=True):
            assert cell.text or cell.note, f"{row[0].text}: {name} is empty without a reason"


def test_table1_never_shows_a_phone_number_of_ours(evidence: Evidence):
    row = cells_of(table1(evidence), "MobileInst TopFormer-Base 640")
    assert row["published: 778G ms"].text == "433"
    assert row["ours: host CPU ms"].text == "100"
    assert row["ours: latency / MobileInst"].text == "1"
    assert (row["ours: AP"].text, row["ours: AP"].mark) == ("27.2", "t")
    small = cells_of(table1(evidence), "MobileInst TopFormer-Base 512")
    assert small["published: latency / MobileInst"].text == "0.80"
    assert small["ours: latency / MobileInst"].text.startswith("0.80")


def test_disputed_numbers_are_footnoted_and_never_best(evidence: Evidence):
    table = table1(evidence)
    row = cells_of(table, "Mask2Former")
    assert "zero-area" in row["published: AP_L"].note
    assert not row["published: AP_L"].bold
    assert cells_of(table, "SOLOv2-Lite ResNet-50")["published: AP_L"].bold


def test_embedded_gives_every_seed_mean_and_deviation(evidence: Evidence):
    table = embedded(evidence)
    row = cells_of(table, "shapes val images mask AP")
    shown = [row[f"AP points: {name}"].text for name in ("seed 0", "seed 1", "seed 2", "mean")]
    assert shown == ["55.0", "57.0", "52.0", "54.7"]
    assert row["AP points: ± over seeds"].text == "2.5"
    assert {f"T = {length}" in row[1].text for length in (1, 3, 6) for row in table.rows} == {True, False}
    assert any("says nothing about COCO" in note for note in table.notes)


def test_latency_has_spans_ratio_counts_and_the_machine(evidence: Evidence):
    table = latency(evidence)
    row = cells_of(table, "MobileInst, TopFormer-Base, 640 px 640x864 network")
    assert row["CPU median ms"].text == "100"
    counted = cells_of(counts(evidence), "MobileInst, TopFormer-Base, 640 px 640x864")
    assert (counted["params M"].text, counted["MACs G"].text) == ("9.000", "13.00")
    tiny = cells_of(table, "MobileInst, TopFormer-Tiny, 128 px 128x192 network")
    assert tiny["CPU ratio to anchor [95 %]"].text == "0.050 [0.049, 0.051]"
    assert tiny["weights"].text == "trained"
    assert (
        cells_of(table, "MobileInst, TopFormer-Tiny, 128 px 128x192 end to end, T = 3")["CPU median ms"].text == "5.70"
    )
    assert any("Test CPU" in note for note in table.origin)


def test_later_segmenters_stand_beside_the_anchor_of_their_run_and_not_in_the_table_of_ours(maker: RunMaker):
    maker.latency({"mobileinst_topformer_base_640": 100.0, "yolo26n_seg": 40.0})
    maker.latency({"yolo26n_seg": 55.0}, device="snapdragon_778g")
    evidence = load_evidence(maker.folder)
    table = later(evidence)
    found = cells_of(table, "YOLO26n-seg")
    assert (found["published AP"].text, found["CPU ms here"].text, found["A78 ms fp32"].text) == (
        "33.9",
        "40.0",
        "56.1",
    )
    assert found["ratio to MobileInst 640"].value == pytest.approx(0.4)
    assert found["A78 ms fp16"].note
    own = cells_of(table, "MobileInst, TopFormer-Base, 640 px")
    assert (own["published AP"].text, own["CPU ms here"].text) == ("31.2", "100")
    assert not any("yolo" in row[0].text for row in latency(evidence).rows)


@pytest.mark.parametrize("name", discover())
def test_every_table_renders_without_records_too(maker: RunMaker, name: str):
    table = discover()[name].build(load_evidence(maker.folder))
    assert table.name == name
    for render in (markdown, latex, html):
        assert render(table)
