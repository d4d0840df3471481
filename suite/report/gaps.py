"""How far each of MobileInst's own published numbers is from ours, and why as far as it is known."""

from __future__ import annotations

from dataclasses import dataclass

from suite.claims.claim import Claim
from suite.report.evidence import Evidence
from suite.report.labels import claim_label
from suite.report.numbers import value_text
from suite.report.splits import same_split
from suite.report.verdicts import Verdict, judge

NOT_MEASURED = "not measured"
THIRD_PARTY = "a third party's, not ours"
OTHER_DATA = "other data"
OTHER_SPLIT = "other split"
OTHER_HARDWARE = "other hardware"
NO_PRETRAINING = "no pre-training"
ESTIMATED = "estimated"
NONE_KNOWN = "no cause known"
CAUSES = (NOT_MEASURED, THIRD_PARTY, OTHER_DATA, OTHER_SPLIT, OTHER_HARDWARE, NO_PRETRAINING, ESTIMATED, NONE_KNOWN)
"""Closed list of causes; the first one of a gap gives it its colour."""


@dataclass(frozen=True)
class Gap:
    """One published number and what is missing to it.

    Attributes:
        claim: the published number.
        verdict: what the records say to it.
        label: what the number is about.
        percent: ours minus published in percent of the published number, to the nearer end of a published range;
            None where there is no value of ours.
        causes: entries of `CAUSES`, at least one.
        detail: the gap in words, e.g. ``"27.2 for 31.2 AP points (-13 %)"``, or what is missing.
    """

    claim: Claim
    verdict: Verdict
    label: str
    percent: float | None
    causes: tuple[str, ...]
    detail: str


def is_shown(claim: Claim) -> bool:
    """Whether a claim is a headline of MobileInst itself: AP, phone latency, ratios and trends."""
    return claim.own and (claim.kind != "absolute" or claim.metric in ("ap", "latency_snapdragon_778g_ms"))


def _relative(claim: Claim, ours: float) -> float:
    """Return the signed gap in percent, 0 inside a published range."""
    high = claim.value if claim.value_high is None else claim.value_high
    nearest = min(max(ours, claim.value), high)
    return 100 * (ours - nearest) / nearest


def _causes(claim: Claim, verdict: Verdict) -> tuple[str, ...]:
    """Return the known causes of one gap."""
    if verdict.ours is None:
        return (NOT_MEASURED,)
    if verdict.origin == "third-party":
        return (THIRD_PARTY, OTHER_SPLIT)
    found = [ESTIMATED] if verdict.origin == "estimated" else []
    if claim.kind == "ratio":
        found.append(OTHER_HARDWARE)
    first = verdict.cells[0] if verdict.cells else None
    data = first.dataset if first else None
    if data is not None and not data.name.startswith(claim.family):
        found.append(OTHER_DATA)
    elif data is not None and claim.kind == "absolute" and not same_split(claim, data):
        found.append(OTHER_SPLIT)
    trained_here = first is not None and first.get("iterations") is not None
    if trained_here and first is not None and first.get("initial_weights") in (None, "random"):
        found.append(NO_PRETRAINING)
    return tuple(found) or (NONE_KNOWN,)


def _detail(claim: Claim, verdict: Verdict, percent: float | None) -> str:
    if verdict.ours is None or percent is None:
        return verdict.reason
    unit = {"AP points": " AP", "ms": " ms"}.get(claim.unit, "")
    return f"{value_text(verdict.ours, claim.unit)} for {claim.text}{unit} ({percent:+.0f} %)"


def own_gaps(evidence: Evidence) -> list[Gap]:
    """Return the gaps of MobileInst's own headline numbers, in the order of the claims; a repeated number once."""
    gaps, seen = [], set()
    for claim in evidence.claims:
        name = (claim_label(claim), claim.value)
        if claim.origin == "published" and is_shown(claim) and name not in seen:
            seen.add(name)
            verdict = judge(claim, evidence)
            percent = None if verdict.ours is None else _relative(claim, verdict.ours)
            causes, detail = _causes(claim, verdict), _detail(claim, verdict, percent)
            gaps.append(Gap(claim, verdict, claim_label(claim), percent, causes, detail))
    return gaps
