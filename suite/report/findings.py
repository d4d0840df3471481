"""What was found, first: at most seven sentences, computed from the evidence and ordered by how much rests on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from suite.report.evidence import Evidence
from suite.report.numbers import points, published_text, ratio, ratio_text
from suite.report.tables.prior_art import orderings, prior_art_rows
from suite.report.timings import MAIN_ENGINE

MOST = 7


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
    held, pairs = orderings(evidence, found, MAIN_ENGINE)["both tables"]
    if pairs:
        order = "pairs of methods are ordered by latency as in the paper's two tables"
        yield Highlight(
            f"On one core here, {held} of {pairs} {order}.", len(rows), "python -m suite prior-art", "latency_ratio"
        )
    half = [row for row in rows if row.half_published and row.masks is not None]
    if half:
        held, noise = (sum(row.half_measured is answer for row in half) for answer in (True, None))
        sentence = (
            f"Of the {len(half)} methods that take at least twice MobileInst's time as published, {held} do so here"
            + (f" ({noise} within timing noise)." if noise else ".")
        )
        yield Highlight(sentence, len(half), "python -m suite prior-art", "latency_ratio")


def _rivals(evidence: Evidence) -> Iterator[Highlight]:
    """Say what share of its rivals' time MobileInst takes here and in the paper."""
    judged = [item for item in evidence.verdicts.values() if item.ours is not None]
    rivals = [(item, item.claim.claim_id.partition("-latency-vs-")[2]) for item in judged]
    against = [item for item, rival in rivals if rival and "coco-latency" not in rival]
    if against:
        ours = sorted(item.ours or 0.0 for item in against)
        theirs = sorted(item.claim.value for item in against)
        sentence = (
            f"MobileInst takes {ratio(ours[0])} to {ratio(ours[-1])} of the time of its {len(against)} rivals here; "
            f"the paper's numbers give {ratio(theirs[0])} to {ratio(theirs[-1])}."
        )
        yield Highlight(sentence, len(against), against[0].command, "latency_ratio")


def _contradictions(evidence: Evidence) -> Iterator[Highlight]:
    """Say how often the paper's numbers contradict each other or arithmetic."""
    found = [finding for finding in evidence.findings if finding.severity == "inconsistent"]
    if found:
        concerned = {claim for finding in found for claim in finding.claim_ids}
        widest = max(found, key=lambda finding: len(finding.claim_ids))
        sentence = (
            f"{len(found)} times the published numbers contradict each other or arithmetic; the widest: "
            f"{widest.sentence.partition(' (')[0]}."
        )
        yield Highlight(sentence, len(concerned), "python -m suite ledger --all")


def _reuse(evidence: Evidence) -> Iterator[Highlight]:
    """Say what kernel reuse saves and costs at the longest T of the newest setting that was scored at T = 1, too."""
    scored = [cells for cells in evidence.reuse().values() if cells[0].get("query_passing") is not False]
    pairs = [(cells[0], last) for cells in scored for last in cells[1:] if cells[0].frames == 1]
    newest = max(pairs, key=lambda pair: (pair[1].latest.started_utc, pair[1].frames), default=None)
    timed = newest and evidence.frame_time(newest[1])
    saved = timed and evidence.companion(timed, "latency_ratio_cpu")
    if newest and saved and saved.interval:
        first, last = newest
        sentence = (
            f"Kernels reused over T = {last.frames} frames take {ratio_text(saved.value, saved.interval)} of the "
            f"time of T = 1, and video AP on shapes falls from {points(first.value)} to {points(last.value)}."
        )
        yield Highlight(sentence, 0, "python -m suite reproduce", "ap_reuse")


def _trends(evidence: Evidence) -> Iterator[Highlight]:
    """Say what the paper's own ablations come to on the embedded set."""
    for item in evidence.verdicts.values():
        if item.claim.kind == "trend" and item.ours is not None:
            words, paper = item.claim.statement, published_text(item.claim)
            sentence = (
                f"{words[0].upper()}{words[1:]}, says the paper ({paper}); on shapes {item.ours:+.1f} ({item.reason}): "
                f"{item.word}."
            )
            yield Highlight(sentence, 1, item.command)


def _association(evidence: Evidence) -> Iterator[Highlight]:
    """Say what linking key frames is worth at T = 1: by ground truth, by kernels, by the best other rule."""
    found = evidence.find("linked_video_ap", protocol={"key_frame_interval": 1}, dataset="shapes")
    cells = {str(cell.get("associate_on")): cell for cell in found if not cell.get("experiment")}
    if not {"none", "kernels", "ground truth"} <= set(cells):
        return
    none, kernels, truth = (cells.pop(rule) for rule in ("none", "kernels", "ground truth"))
    seeds = f"{len(none.samples)} seed{'s' if len(none.samples) > 1 else ''}"
    before, after = points(none.value), points(truth.value)
    sentence = (
        f"Links between key frames by ground truth would raise video AP on shapes at T = 1 from {before} to {after} "
        f"({seeds}); links by kernels, as in the paper, give {points(kernels.value)}"
    )
    if cells:
        rule, best = max(cells.items(), key=lambda item: item[1].value)
        sentence += f", the best rule that was tried ({rule}) {points(best.value)}"
    yield Highlight(f"{sentence}.", 0, "python -m suite reproduce")


def highlights(evidence: Evidence) -> list[Highlight]:
    """Return at most `MOST` findings, those on which the most published numbers rest first."""
    rules = (_orderings, _rivals, _contradictions, _reuse, _association, _trends)
    found = [highlight for rule in rules for highlight in rule(evidence)][:MOST]
    return sorted(found, key=lambda highlight: -highlight.claims)
