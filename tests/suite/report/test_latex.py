"""Tables on paper: they compile in two columns, no box overflows, no type is below 7 pt."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from suite.report.formats import latex
from suite.report.table import TableCell, make_table
from suite.report.tables import discover
from suite.report.verdicts import load_evidence
from tests.suite.report.synthetic import RunMaker

REPOSITORY = Path(__file__).resolve().parents[3]
ARTICLE = r"""\documentclass[10pt,twocolumn]{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern,array,booktabs,siunitx}
\usepackage[textwidth=7in,textheight=9.25in,columnsep=0.4in]{geometry}
\pdfcompresslevel=0
\begin{document}
%s
text
\end{document}
"""
IN_PAPER = [table for table in discover().values() if table.in_paper]
HOSTILE = {"method": "a&b_c#{x}\\ $1 ~^ %", "published: AP": TableCell("31.2", 31.2, bold=True, mark="t", note="50 %")}


def has_tex() -> bool:
    """Tell whether pdflatex and what the tables need are installed."""
    found = [shutil.which("pdflatex"), shutil.which("kpsewhich")]
    names = ["siunitx.sty", "booktabs.sty", "lmodern.sty", "geometry.sty"]
    return all(found) and subprocess.run(["kpsewhich", *names], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_tex(), reason="no TeX here (Debian: texlive-latex-recommended texlive-science lmodern)")
@pytest.mark.parametrize("records", ["committed", "synthetic"])
def test_tables_of_a_paper_print_in_two_columns(tmp_path: Path, filled: RunMaker, records: str):
    evidence = load_evidence(REPOSITORY / "reports" / "records" if records == "committed" else filled.folder)
    sources = [latex(table.build(evidence)) for table in IN_PAPER]
    sources.append(latex(make_table("An odd one", [HOSTILE, {"method": "b"}], ("a note",))))
    (tmp_path / "article.tex").write_text(ARTICLE % "\n".join(sources))
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "article.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert not re.findall(r"Overfull.*", (tmp_path / "article.log").read_text(errors="replace"))
    sizes = {float(size) for size in re.findall(rb"/F\d+ ([\d.]+) Tf", (tmp_path / "article.pdf").read_bytes())}
    assert sizes
    assert min(sizes) >= 6.97


def test_commits_and_machine_are_a_comment_and_nothing_is_scaled(filled: RunMaker):
    for table in IN_PAPER:
        text = latex(table.build(load_evidence(filled.folder)))
        printed = [line for line in text.splitlines() if not line.startswith("%")]
        assert not any("ccccccc" in line or "Test CPU" in line for line in printed if "tab:latency" not in text)
        assert "resizebox" not in text
        body = text.split("\\midrule\n")[1].split("\\bottomrule")[0].strip().splitlines()
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in body}) == 1
