"""What a reader sees first: in README.md, in ``reports/ledger.md``, on the page and on a terminal.

First come at most seven findings, sentences computed from the evidence and ordered by how much rests on them. README.md
holds its part between two markers, so that no number in it is typed by hand.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reference_model.config import ASSOCIATION
from suite.errors import InputError
from suite.paths import reports_dir, shown
from suite.report.evidence import Evidence
from suite.report.formats import escape_markdown, markdown
from suite.report.models import MAIN_ENGINE, display_name
from suite.report.table import Table, points, ratio_text
from suite.report.tables.ledger import judged_table, missing_table
from suite.report.tables.prior_art import orderings, prior_art_rows
from suite.text_table import WIDTH, TextColumn, text_table, visible

MOST = 7
"""Findings."""
BEGIN, END = "<!-- begin: results -->", "<!-- end: results -->"
SEVERITY_MARKS = {"inconsistent": "!", "note": "i", "holds": "="}
SHOWN_NEEDS = 4
NEXT = {
    "every claim with its rule": "python -m suite ledger --all",
    "the run behind a number": "python -m suite explain ratio/coco-latency-512-vs-640",
    "your own picture": "python -m suite predict photo.jpg --save drawn",
}
"""What to try after the ledger -> its command."""


class Highlight(NamedTuple):
    """One finding: what was found, with its number and, where there is one, its interval.

    ``claims`` is how many published numbers rest on it, ``command`` measures it again, ``figure`` names what shows it.
    """

    sentence: str
    claims: int
    command: str
    figure: str = ""


def _orderings(evidence: Evidence) -> Iterator[Highlight]:
    """Say how many pairs of methods are as fast relative to each other as published, and who is twice as fast."""
    found = prior_art_rows(evidence, MAIN_ENGINE)
    rows = [row for row in found if row.default]
    counts = orderings(evidence, found, MAIN_ENGINE)
    held, pairs = map(sum, zip(*counts.values(), strict=True))
    if pairs:
        each = (f"{title}: {f'{own[0]} of {own[1]}' if own[1] else 'not timed'}" for title, own in counts.items())
        order = f"pairs of methods are ordered by latency as in the paper ({', '.join(each)})"
        sentence = f"On one core here, {held} of {pairs} {order}."
        yield Highlight(sentence, len(rows), "python -m suite prior-art", "latency_ratio")
    half = [row for row in rows if row.half_published and row.ratio is not None]
    if half:
        held, noise = (sum(row.half_measured is answer for row in half) for answer in (True, None))
        twice = "methods that take at least twice MobileInst's time as published"
        unsure = f" ({noise} within timing noise)" if noise else ""
        sentence = f"Of the {len(half)} {twice}, {held} do so here{unsure}."
        yield Highlight(sentence, len(half), "python -m suite prior-art", "latency_ratio")


def _rivals(evidence: Evidence) -> Iterator[Highlight]:
    """Say what share of its rivals' time MobileInst takes here and in the paper."""
    judged = [item for item in evidence.verdicts.values() if item.ours is not None]
    against = [item for item in judged if re.search("-latency-vs-(?!coco-latency)", item.claim.claim_id)]
    if against:
        ours = sorted(item.ours or 0.0 for item in against)
        theirs = sorted(item.claim.value for item in against)
        rivals = ", ".join(dict.fromkeys(evidence.claims[item.claim.operands[1]].method for item in against))
        sentence = (
            f"MobileInst takes {ratio_text(ours[0])} to {ratio_text(ours[-1])} of the time of {rivals}, rebuilt here; "
            f"the paper's numbers give {ratio_text(theirs[0])} to {ratio_text(theirs[-1])}."
        )
        yield Highlight(sentence, len(against), against[0].command, "latency_ratio")


def _contradictions(evidence: Evidence) -> Iterator[Highlight]:
    """Say how often the paper's numbers contradict each other or arithmetic."""
    found = [finding for finding in evidence.findings if finding.severity == "inconsistent"]
    if found:
        ids = {claim for finding in found for claim in finding.claim_ids}
        widest = max(found, key=lambda finding: len(finding.claim_ids))
        start = f"{len(found)} times the published numbers contradict each other or arithmetic; the widest"
        yield Highlight(f"{start}: {widest.sentence.partition(' (')[0]}.", len(ids), "python -m suite ledger --all")


def _reuse(evidence: Evidence) -> Iterator[Highlight]:
    """Say what kernel reuse saves and costs at the longest T of the newest setting that was scored at T = 1, too."""
    scored = [cells for cells in evidence.reuse().values() if cells[0].get("query_passing") is not False]
    pairs = [(cells[0], last) for cells in scored for last in cells[1:] if cells[0].frames == 1]
    newest = max(pairs, key=lambda pair: (pair[1].latest.started_utc, pair[1].frames), default=None)
    timed = newest and evidence.frame_time(newest[1])
    saved = timed and evidence.companion(timed, "latency_ratio_cpu")
    if newest and saved and saved.interval:
        first, last = newest
        networks = evidence.find(saved.metric, protocol={"span": "network", "key_frame_interval": last.frames})
        large = max(networks, key=lambda cell: cell.get("height_px") or 0, default=saved)
        sentence = (
            f"Kernels reused over T = {last.frames} frames take {ratio_text(large.value, large.interval)} of the time "
            f"of T = 1 in the network of {display_name(large.model)}; {ratio_text(saved.value, saved.interval)} end to "
            f"end in the small one of shapes, whose video AP goes from {points(first.value)} to {points(last.value)}."
        )
        yield Highlight(sentence, 0, "python -m suite reproduce", "ap_reuse")


def _trends(evidence: Evidence) -> Iterator[Highlight]:
    """Say what the paper's own ablations come to on the embedded set."""
    for item in evidence.verdicts.values():
        if item.claim.kind == "trend" and item.ours is not None:
            words, paper = item.claim.statement, item.claim.printed
            found = f"on shapes {item.ours:+z.1f} ({item.reason}): {item.word}"
            yield Highlight(f"{words[0].upper()}{words[1:]}, says the paper ({paper}); {found}.", 1, item.command)


def _association(evidence: Evidence) -> Iterator[Highlight]:
    """Say what linking key frames is worth at T = 1: by ground truth, by kernels alone, by the default rule."""
    found = evidence.find("linked_video_ap", protocol={"key_frame_interval": 1}, dataset="shapes")
    cells = {str(cell.get("associate_on")): cell for cell in found if not cell.get("experiment")}
    rules = ("none", "kernels", ASSOCIATION, "ground truth")
    if not set(rules) <= set(cells):
        return
    none, kernels, chosen, truth = (cells[rule] for rule in rules)
    seeds = f"{len(none.samples)} seed{'s' if len(none.samples) > 1 else ''}"
    sentence = (
        f"Video AP on shapes at T = 1 ({seeds}): {points(none.value)} without association, {points(kernels.value)} by "
        f"kernels as the paper words it, {points(chosen.value)} by kernels of active queries (ours, the default), "
        f"{points(truth.value)} by ground truth"
    )
    yield Highlight(f"{sentence}.", 0, "python -m suite reproduce")


def highlights(evidence: Evidence) -> list[Highlight]:
    """Return at most `MOST` findings, those on which the most published numbers rest first."""
    rules = (_orderings, _rivals, _contradictions, _reuse, _association, _trends)
    found = [highlight for rule in rules for highlight in rule(evidence)][:MOST]
    return sorted(found, key=lambda highlight: -highlight.claims)


def _bullet(item: Highlight, reports: str) -> str:
    figure = f"[figure]({reports}figures/{item.figure}.png), " if item.figure else ""
    return f"- {escape_markdown(item.sentence)} ({figure}`{item.command}`)"


def results_block(evidence: Evidence) -> str:
    """Return README's generated part: the findings, the counts of verdicts, the main figure."""
    proof = "trained weights, the paper's data and its phone"
    why = "" if evidence.counts["reproduced"] else f"Without {proof}, nothing can be called reproduced. "
    parts = [
        "\n".join(_bullet(item, "reports/") for item in highlights(evidence)),
        f"**{evidence.coverage}.** {why}[The ledger](reports/ledger.md) has each of them with its reason, and what the "
        "missing ones would cost.",
        " ".join(map(escape_markdown, (*evidence.cautions, evidence.provenance))),
        "![AP against latency](reports/figures/ap_latency.png)",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def ledger_page(evidence: Evidence, table: Table) -> str:
    """Return ``reports/ledger.md``: findings, judged claims, what is missing with its cost, then every claim."""
    parts = [f"# {escape_markdown(table.title)}", "\n".join(_bullet(item, "") for item in highlights(evidence))]
    parts += [markdown(part, "##").strip() for part in (judged_table(evidence), missing_table(evidence)) if part.rows]
    return "\n\n".join(part for part in (*parts, markdown(table, "##")) if part)


def with_block(readme: str, block: str) -> str:
    """Return README's text with the generated part replaced.

    Raises:
        InputError: if the two markers are not there exactly once and in order.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise InputError(f"README.md: needs one line {BEGIN} and, after it, one line {END}; put them back")
    head, rest = readme.split(BEGIN)
    return f"{head}{BEGIN}\n{block}{END}{rest.split(END)[1]}"


def _bullets(marked: Iterable[tuple[str, str]]) -> list[str]:
    return [
        textwrap.fill(visible(sentence), WIDTH, initial_indent=f"{mark} ", subsequent_indent="  ")
        for mark, sentence in marked
    ]


def _missing(evidence: Evidence) -> list[str]:
    groups = [(str(len(found)), visible(reason)) for reason, found in evidence.not_run.items()]
    rest = sum(int(count) for count, _ in groups[SHOWN_NEEDS:])
    rows = groups[:SHOWN_NEEDS] + [(str(rest), "of other needs")] * bool(rest)
    return text_table([TextColumn("claims", number=True), TextColumn("not run: needs")], rows) if rows else []


def _every_claim(evidence: Evidence) -> list[str]:
    """Return every claim with its verdict and rule, under its table row's id."""
    lines, row_id = [], ""
    for verdict in evidence.verdicts.values():
        claim = verdict.claim
        if claim.row_id != row_id:
            row_id = claim.row_id
            lines.append(row_id)
        name = claim.metric if claim.kind == "absolute" else claim.statement
        ours = f", ours {verdict.text()}" if verdict.ours is not None else ""
        rule = f" ({verdict.rule})" if verdict.rule else ""
        printed = f"; its authors: {claim.upstream}" if claim.upstream else ""
        text = f"{name}: {claim.printed}{ours}: {verdict.word}, {verdict.reason}{rule}{printed}"
        lines += _bullets([(" ", text)])
    return lines


def plain_ledger(evidence: Evidence, everything: bool = False) -> str:
    """Return the ledger as text of at most 100 columns.

    Args:
        evidence: the judged claims and the records behind them.
        everything: every claim with its rule, the checks of the paper's numbers and the records not used, instead of
            where the pictures lie, what is missing and what to try next.
    """
    claims, _, verdicts = evidence.coverage.partition(": ")
    found = _bullets(("-", item.sentence) for item in highlights(evidence))
    lines = [f"{claims}:", f"  {verdicts}", "", *found, *_bullets(("!", line) for line in evidence.cautions)]
    if everything:
        lines += [*_bullets([("-", evidence.provenance)]), "", *_every_claim(evidence), ""]
        lines.append("The published numbers checked against each other (! inconsistent, i note, = holds)")
        lines += _bullets((SEVERITY_MARKS[item.severity], item.sentence) for item in evidence.findings)
        lines += ["", "Records not used", *_bullets(("-", line) for line in evidence.left_out or ("none",))]
    else:
        places = {"pictures": reports_dir() / "pictures", "page, for a browser": reports_dir() / "index.html"}
        tried = {**{words: shown(path) for words, path in places.items()}, **NEXT}
        lines += ["", *_missing(evidence), "", *(f"{words:<28} {what}" for words, what in tried.items())]
    return "".join(f"{line}\n" for line in lines)
