"""Tables say what claims and records say, in Markdown, LaTeX, CSV and HTML."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from suite.claims.loader import load_claims
from suite.report import tables
from suite.report.evidence import Evidence
from suite.report.formats import csv_text, html, latex, markdown, plain
from suite.report.table import Table, TableCell, make_table, missing
from suite.report.tables import embedded, latency, table1, table2
from suite.report.verdicts import load_evidence
from tests.suite.report.synthetic import RunMaker

MODULES = tables.modules()


@pytest.fixture
def evidence(filled: RunMaker) -> Evidence:
    return load_evidence(filled.folder)


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
            "published: ms": missing("a reason"),
        },
    ]
    return make_table("example", "An example", rows, ("a note",), {"published: AP_S": True, "published: ms": False})


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


def test_markdown(example: Table):
    lines = markdown(example).splitlines()
    assert lines[2] == "| name & more | published: AP\\_S | published: ms |"
    assert lines[3] == "|---|---:|---:|"
    assert lines[4] == "| a\\|b\\_c | **31.2** | 40<sup>t</sup> |"
    assert lines[5] == "| 50 % {x} | 30.0<sup>1</sup> | \u2013<sup>1</sup> |"
    assert "<sup>1</sup> a reason" in lines


def test_latex_escapes_and_groups(example: Table):
    text = latex(example)
    assert r"a\textbar{}b\_c & \textbf{31.2} & 40\textsuperscript{t} \\" in text
    assert r"50 \% \{x\}" in text
    assert r" & \multicolumn{2}{c}{published} \\" in text
    assert r"\cmidrule(lr){2-3}" in text


def test_csv_keeps_notes_in_a_column_of_their_own(example: Table):
    rows = list(csv.DictReader(io.StringIO(csv_text(example))))
    assert rows[0]["published: AP_S"] == "31.2"
    assert rows[0]["notes"] == "published: ms: t"
    assert rows[1]["published: ms"] == ""
    assert "published: ms: a reason" in rows[1]["notes"]


@pytest.mark.parametrize(
    "text", ["\x1b[2Jname", "=cmd|' /C calc'!A0", "Kernfusion 日本", "<script>x</script>", "\u202eevil"]
)
def test_hostile_words_are_harmless_in_every_format(text: str):
    table = make_table("t", text, [{"model": text, "ms": TableCell("-1.5", -1.5)}], (text,))
    for render in (markdown, latex, csv_text, html, plain):
        rendered = render(table)
        assert "\x1b" not in rendered
        assert "\u202e" not in rendered
        assert "<script" not in rendered.replace("\\<script", "") or render in (csv_text, plain, latex)
    (row,) = csv.DictReader(io.StringIO(csv_text(table)))
    assert not row["model"].startswith(("=", "+", "-", "@"))
    assert row["ms"] == "-1.5"


def test_table1_has_every_printed_number_and_a_reason_for_every_gap(evidence: Evidence):
    table = table1.build(evidence)
    printed = [claim for claim in load_claims() if claim.row_id.startswith("table1/")]
    assert len(table.rows) == len({claim.row_id for claim in printed})
    published = [place for place, name in enumerate(table.columns) if name.startswith("published: ")][:-1]
    texts = sorted(row[place].text for row in table.rows for place in published if row[place].text)
    assert texts == sorted(claim.text for claim in printed)
    for row in table.rows:
        for cell, name in zip(row, table.columns, strict=True):
            assert cell.text or cell.note, f"{row[0].text}: {name} is empty without a reason"


def test_table1_never_shows_a_phone_number_of_ours(evidence: Evidence):
    row = cells_of(table1.build(evidence), "MobileInst TopFormer-Base 640")
    assert row["published: 778G ms"].text == "433"
    assert row["ours: host CPU ms"].text == "100"
    assert row["ours: latency / MobileInst"].text == "1"
    assert (row["ours: AP"].text, row["ours: AP"].mark) == ("27.2", "t")
    small = cells_of(table1.build(evidence), "MobileInst TopFormer-Base 512")
    assert small["published: latency / MobileInst"].text == "0.80"
    assert small["ours: latency / MobileInst"].text.startswith("0.80")


def test_disputed_numbers_are_footnoted_and_never_best(evidence: Evidence):
    table = table1.build(evidence)
    row = cells_of(table, "Mask2Former")
    assert "zero-area" in row["published: AP_L"].note
    assert not row["published: AP_L"].bold
    assert cells_of(table, "SOLOv2-Lite ResNet-50")["published: AP_L"].bold


def test_table2_joins_both_years(evidence: Evidence):
    table = table2.build(evidence)
    row = cells_of(table, "MobileInst TopFormer-Base")
    assert row["YouTube-VIS 2019, published: AP"].text == "35.0"
    assert row["YouTube-VIS 2021, published: AP"].text == "30.1"
    assert cells_of(table, "SGMask")["YouTube-VIS 2021, published: AP"].note
    assert all(cell.text or cell.note for row in table.rows for cell in row)


def test_embedded_gives_every_seed_mean_and_deviation(evidence: Evidence):
    table = embedded.build(evidence)
    row = cells_of(table, "shapes val images mask AP")
    assert [row[f"AP points: {name}"].text for name in ("seed 0", "seed 1", "seed 2", "mean")] == [
        "55.0",
        "57.0",
        "52.0",
        "54.7",
    ]
    assert row["AP points: ± over seeds"].text == "2.5"
    assert {f"T = {length}" in row[1].text for length in (1, 3, 6) for row in table.rows} == {True, False}
    assert any("says nothing about COCO" in note for note in table.notes)


def test_embedded_shows_the_interval_of_a_single_seed_with_what_it_covers(maker: RunMaker):
    maker.training(0, 0.55)
    row = cells_of(embedded.build(load_evidence(maker.folder)), "shapes val images mask AP")
    assert row["AP points: 95 % interval (one seed)"].text == "53.0 to 57.0"
    assert "image sampling only" in row["AP points: 95 % interval (one seed)"].note


def test_latency_has_spans_ratio_counts_and_the_machine(evidence: Evidence):
    table = latency.build(evidence)
    row = cells_of(table, "MobileInst, TopFormer-Base, 640 px 640x864 network")
    assert (row["CPU median ms"].text, row["params M"].text, row["MACs G"].text) == ("100", "9.000", "13.00")
    tiny = cells_of(table, "MobileInst, TopFormer-Tiny, 128 px 128x192 network")
    assert tiny["CPU ratio to anchor [95 %]"].text == "0.050 [0.049, 0.051]"
    assert tiny["weights"].text == "trained"
    assert (
        cells_of(table, "MobileInst, TopFormer-Tiny, 128 px 128x192 end to end, T = 3")["CPU median ms"].text == "5.70"
    )
    assert any("Test CPU" in note for note in table.notes)


@pytest.mark.parametrize("name", MODULES)
def test_every_table_renders_without_records_too(maker: RunMaker, name: str):
    table = MODULES[name].build(load_evidence(maker.folder))
    assert table.name == name
    for render in (markdown, latex, html):
        assert render(table)


@pytest.mark.parametrize("name", MODULES)
def test_latex_is_well_formed(evidence: Evidence, name: str):
    table = MODULES[name].build(evidence)
    text = latex(table)
    plain_text = re.sub(r"\\[{}%&#$_\\]", "", text)
    depth = 0
    for character in plain_text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0].strip().splitlines()
    assert len(body) == len(table.rows)
    assert all(len(re.findall(r"(?<!\\)&", line)) == len(table.columns) - 1 for line in body)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX engine here (Debian: texlive-latex-recommended)")
def test_latex_compiles(evidence: Evidence, tmp_path: Path):
    for name, module in MODULES.items():
        (tmp_path / f"{name}.tex").write_text(latex(module.build(evidence)))
    inputs = "\n".join(f"\\input{{{path.name}}}\\clearpage" for path in sorted(tmp_path.glob("*.tex")))
    document = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs,graphicx}\n"
    (tmp_path / "main.tex").write_text(f"{document}\\begin{{document}}\n{inputs}\n\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
