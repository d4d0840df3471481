"""The ledger in a narrow window."""

import io
from dataclasses import replace

from rich.console import Console

from suite.report.evidence import load_evidence
from suite.report.ledger import build_ledger
from suite.report.terminal import print_ledger
from tests.suite.report.synthetic import RunMaker


def test_a_window_of_80_columns_is_not_exceeded_and_no_word_of_a_claim_is_torn(maker: RunMaker):
    evidence = load_evidence(maker.folder)
    ledger = build_ledger(evidence)
    judged = [
        replace(
            row, ours=0.246, interval=(0.243, 0.254), verdict="not reproduced", reason="5 seeds, standard error 0.2"
        )
        for row in ledger.rows
        if row.claim.kind != "absolute"
    ]
    stream = io.StringIO()
    console = Console(file=stream, width=80, color_system=None)
    print_ledger(replace(ledger, rows=tuple(judged)), evidence, False, console)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    compared = lines[lines.index("Set beside the paper") :]
    shown = {word for line in compared[: compared.index("")] for word in line.split()}
    assert {word for row in judged for word in row.claim.statement.split()} | {"reproduced"} <= shown
