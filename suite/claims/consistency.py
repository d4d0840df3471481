"""Checks of the published numbers against each other and against arithmetic: one line each, no measurement needed."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Literal, NamedTuple

from suite.claims.claim import SNAPDRAGON, Claim
from suite.claims.latency_bound import load_readings, never_fp32

SIZE_SPLIT_LIMIT_POINTS = 10.0
"""How far a row's AP_M - AP or AP_L - AP may lie from the median row's before the row is called inconsistent."""
HALF_TOLERANCE = 0.05
"""A latency ratio within 0.5 +- this counts as "half"."""

Severity = Literal["inconsistent", "note", "holds"]
SEVERITY_ORDER: tuple[Severity, ...] = ("inconsistent", "note", "holds")
Numbers = dict[str, Claim]


class Finding(NamedTuple):
    """One sentence about published numbers; ``claim_ids`` are the numbers it speaks of.

    ``severity`` is ``inconsistent`` (the numbers contradict each other or arithmetic), ``note`` (what a comparison must
    take into account) or ``holds`` (checked and found in order).
    """

    finding_id: str
    severity: Severity
    sentence: str
    claim_ids: tuple[str, ...]


def two_abstracts(numbers: Numbers) -> Iterator[Finding]:
    """Compare arXiv v1's abstract with the AAAI table's own rows."""
    ap, latency = (numbers.get(f"arxiv-v1-abstract/mobileinst/{metric}") for metric in ("ap", SNAPDRAGON))
    own = [claim for claim in numbers.values() if claim.own and claim.row_id.startswith("table1/")]
    latencies = [claim for claim in own if claim.metric == SNAPDRAGON]
    if ap is None or latency is None or not latencies:
        return
    fastest = min(latencies, key=lambda claim: claim.value)
    fastest_ap = numbers[f"{fastest.row_id}/ap"]
    holds = any(claim.value <= latency.value and numbers[f"{claim.row_id}/ap"].value >= ap.value for claim in latencies)
    yield Finding(
        "two-abstracts",
        "holds" if holds else "inconsistent",
        f"arXiv v1's abstract gives {ap.text} AP at {latency.text} ms; the AAAI table's fastest own row has "
        f"{fastest_ap.text} AP at {fastest.text} ms, {fastest.value / latency.value:.1f} times as long",
        (ap.claim_id, latency.claim_id, fastest_ap.claim_id, fastest.claim_id),
    )


def size_splits(numbers: Numbers) -> Iterator[Finding]:
    """Find rows whose AP by object size cannot go with their AP, measured against the median row."""
    rows = {
        claim.row_id: claim.value
        for claim in numbers.values()
        if claim.metric == "ap" and claim.origin == "published" and f"{claim.row_id}/ap_medium" in numbers
    }
    if not rows:
        return
    odd: dict[str, list[str]] = {}
    for metric, label in (("ap_medium", "AP_M"), ("ap_large", "AP_L")):
        gaps = {row: numbers[f"{row}/{metric}"].value - ap for row, ap in rows.items()}
        median = statistics.median(gaps.values())
        for row, gap in gaps.items():
            if abs(gap - median) > SIZE_SPLIT_LIMIT_POINTS:
                text = f"{label} {numbers[f'{row}/{metric}'].text} ({gap:+.1f} from AP, median row {median:+.1f})"
                odd.setdefault(row, []).append(text)
    for row, texts in odd.items():
        ap = numbers[f"{row}/ap"]
        yield Finding(
            f"size-split/{row}",
            "inconsistent",
            f"{ap.method} {ap.backbone}: {' and '.join(texts)} cannot go with AP {ap.text}: "
            "as when detections carry zero-area boxes, or the columns are another metric's",
            (ap.claim_id, f"{row}/ap_medium", f"{row}/ap_large"),
        )


def threshold_order(numbers: Numbers) -> Iterator[Finding]:
    """AP50 cannot be below AP, nor AP75 above AP50: averaging over thresholds forbids it."""
    rows = [claim.row_id for claim in numbers.values() if claim.metric == "ap50" and claim.kind == "absolute"]
    values = {row: [numbers[f"{row}/{metric}"].value for metric in ("ap50", "ap", "ap75")] for row in rows}
    bad = [row for row in rows if values[row][0] < max(values[row])]
    sentence = f"AP50 is above AP and AP75 in all {len(rows)} rows"
    sentence = f"AP50 below AP or AP75: {', '.join(bad)}" if bad else sentence
    yield Finding(
        "threshold-order", "inconsistent" if bad else "holds", sentence, tuple(f"{row}/ap50" for row in bad or rows)
    )


def arithmetic_limit(numbers: Numbers) -> Iterator[Finding]:
    """Compare each published phone latency with the least time that one core needs for the arithmetic of its graphs."""
    readings = [item for item in load_readings(list(numbers.values())) if not item.convolutions]
    if not readings:
        return
    never = never_fp32(readings)
    ids = [f"{row}/{SNAPDRAGON}" for row in never or dict.fromkeys(item.row_id for item in readings)]
    worst = max(readings, key=lambda item: (item.row_id in never, item.default, item.peak_share("fp32")))
    claim = numbers[f"{worst.row_id}/{SNAPDRAGON}"]
    yield Finding(
        "arithmetic-limit",
        "note" if never else "holds",
        f"{len(never)} of {len({item.row_id for item in readings})} latencies of prior art are impossible in fp32 on "
        f"one Cortex-A78 with any graph and input that we rebuilt, {sum(never.values())} of them at a certain input "
        f"shape (most: {claim.method} {claim.backbone}, {claim.text} ms printed, at least "
        f"{worst.least_ms('fp32'):.0f} ms even with Winograd's filtering): fp16 or lighter graphs"
        if never
        else "every latency of prior art is possible in fp32 on one Cortex-A78",
        tuple(ids),
    )


def half_of_prior_art(numbers: Numbers) -> Iterator[Finding]:
    """Compare the abstract's "50 %" with every ratio of MobileInst's latency to a prior method on its backbone."""
    ratios = [claim for claim in numbers.values() if claim.kind == "ratio" and not numbers[claim.operands[1]].own]
    judged: tuple[tuple[Severity, str], ...] = (("holds", "holds"), ("inconsistent", "does not hold"))
    for severity, words in judged:
        group = [claim for claim in ratios if (claim.value <= 0.5 + HALF_TOLERANCE) == (severity == "holds")]
        if group:
            named = ", ".join(f"{numbers[claim.operands[1]].method} ({claim.text})" for claim in group)
            sentence = f'"half the latency of prior art" {words} against {named}'
            yield Finding(f"half-of-prior-art/{severity}", severity, sentence, tuple(item.claim_id for item in group))


def input_shape(numbers: Numbers) -> Iterator[Finding]:
    """Own latencies at 512 and 640 px tell whether the timed inputs were squares."""
    small, large = (numbers.get(f"table1/mobileinst-topformer-base-{size}/{SNAPDRAGON}") for size in (512, 640))
    if small is None or large is None:
        return
    ratio, linear, square = small.value / large.value, 512 / 640, (512 / 640) ** 2
    fixed_long_side = abs(ratio - linear) < abs(ratio - square)
    yield Finding(
        "input-shape",
        "note" if fixed_long_side else "holds",
        f"{small.text} / {large.text} ms = {ratio:.3f} is nearer to 512/640 = {linear:.3f} than to its square "
        f"{square:.3f}: the inputs timed were not squares but had one fixed long side"
        if fixed_long_side
        else f"{small.text} / {large.text} ms = {ratio:.3f} fits square inputs ({square:.3f})",
        (small.claim_id, large.claim_id),
    )


def third_party_gap(numbers: Numbers) -> Iterator[Finding]:
    """Set third-party AP beside the paper's AP of the same backbone and size."""
    for claim in numbers.values():
        for paper in [other for other in numbers.values() if claim.repeats(other) and claim.metric == "ap"][:1]:
            yield Finding(
                f"third-party-gap/{claim.row_id}",
                "note",
                f"{claim.source} reached {claim.value:.1f} AP on {claim.dataset.split()[-1]} where the paper prints "
                f"{paper.text} on {paper.dataset.split()[-1]}: {claim.value - paper.value:+.1f}",
                (claim.claim_id, paper.claim_id),
            )


def check_consistency(claims: list[Claim]) -> list[Finding]:
    """Run every check; what is inconsistent comes first."""
    numbers = {claim.claim_id: claim for claim in claims}
    checks = (two_abstracts, half_of_prior_art, size_splits, arithmetic_limit, input_shape, third_party_gap)
    findings = [finding for check in (*checks, threshold_order) for finding in check(numbers)]
    return sorted(findings, key=lambda finding: SEVERITY_ORDER.index(finding.severity))
