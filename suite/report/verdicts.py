"""The rules that turn a claim and the measurements beside it into a verdict. All tolerances are here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from suite.claims.claim import Claim
from suite.datasets.splits import LOCAL_TRAIN, LOCAL_VALID
from suite.records.difference import Difference
from suite.records.schema import Scalar
from suite.report.ablation import MIN_SEEDS, paired_gain
from suite.report.counterparts import is_primary, masks_span
from suite.report.evidence import Evidence
from suite.report.host_ratio import host_ratio
from suite.report.model_options import effective
from suite.report.select import Cell
from suite.report.splits import same_split

VerdictWord = Literal["reproduced", "not reproduced", "partly", "undecided", "estimated", "not run"]
VERDICTS: tuple[VerdictWord, ...] = ("reproduced", "not reproduced", "partly", "undecided", "estimated", "not run")

AP_TOLERANCE_POINTS = 0.5
OTHER_SPLIT_TOLERANCE_POINTS = 1.0
LATENCY_TOLERANCE = 0.10
RATIO_TOLERANCE = 0.25
EVEN_TOLERANCE = 0.1
"""A published ratio this near to 1 claims "about as fast as": ours may lie on the other side of 1, as near to it."""


@dataclass(frozen=True)
class Verdict:
    """A verdict with its proof.

    Attributes:
        word: one of `VERDICTS`.
        rule: how the word follows from the numbers; empty where nothing was run.
        reason: what was found in one clause, or why nothing was run.
        ours: our value in the claim's unit, None where there is none.
        interval: 95 % interval of ``ours`` in the claim's unit, where the records give one.
        origin: measured, estimated, server or third-party; None where there is no value.
        cells: the measurements behind ``ours``.
    """

    word: VerdictWord
    rule: str
    reason: str
    ours: float | None = None
    interval: tuple[float, float] | None = None
    origin: str | None = None
    cells: tuple[Cell, ...] = ()


def _names_same_data(cell: Cell, claim: Claim) -> bool:
    """Whether a cell was scored on held-out data of the claim's family (and year, where the claim has one).

    The data are pinned, or a server has them, and then they are the claim's own split. On the local split of
    YouTube-VIS train only weights count that were trained on the rest of it.
    """
    if cell.dataset is None or cell.dataset.split.startswith("train"):
        return False
    if cell.dataset.split == LOCAL_VALID and cell.get("trained_on") != f"{cell.dataset.name} {LOCAL_TRAIN}":
        return False
    if not (same_split(claim, cell.dataset) if cell.origin == "server" else cell.dataset.pinned):
        return False
    name = f"{cell.dataset.name} {cell.dataset.split}".lower().replace("_", "-")
    wanted = claim.dataset.split()[0]
    return name.startswith(wanted) or (wanted.startswith("youtube-vis-") and wanted[12:] in name and "vis" in name)


def judge_accuracy(claim: Claim, evidence: Evidence) -> Verdict:
    """Compare a published AP (points) with trained models of ours on the full dataset, and with third parties.

    What was scored on the claim's own split comes before what was scored on another, however new.
    """
    candidates = [
        cell
        for model in evidence.counterparts.get(claim.row_id, ())
        for cell in evidence.find(claim.record_metric or "", model)
        if _names_same_data(cell, claim) and all(sample.measurement.subject.weights_sha256 for sample in cell.samples)
    ]
    if candidates:
        own_split = [cell for cell in candidates if cell.dataset is not None and same_split(claim, cell.dataset)]
        cell = (own_split or candidates)[-1]
        ours = cell.value * 100
        interval = (cell.interval.low * 100, cell.interval.high * 100) if cell.interval else None
        same = bool(own_split)
        tolerance = AP_TOLERANCE_POINTS if same else OTHER_SPLIT_TOLERANCE_POINTS
        split = cell.dataset.split if cell.dataset else ""
        good: VerdictWord = "reproduced" if same else "partly"
        rule = f"{good} = at least the published AP - {tolerance}" + (
            "" if same else f", on {split}, not {claim.dataset.split()[-1]}"
        )
        word = good if ours >= claim.value - tolerance else "not reproduced"
        return Verdict(word, rule, f"{ours - claim.value:+.1f} AP", ours, interval, cell.origin, (cell,))
    return Verdict("not run", "", missing_data(claim), *third_party_value(claim, evidence))


def third_party_value(claim: Claim, evidence: Evidence) -> tuple[float | None, None, str | None]:
    """Return (value, no interval, origin) of somebody else's reproduction of this number, or Nones."""
    if claim.own and claim.family == "coco":
        for other in evidence.claims:
            same = (other.backbone, other.short_side_px, other.metric)
            if other.origin == "third-party" and same == (claim.backbone, claim.short_side_px, claim.metric):
                return other.value, None, "third-party"
    return None, None, None


def missing_data(claim: Claim) -> str:
    """Say what is needed to measure a published AP."""
    data = "COCO 2017" if claim.family == "coco" else claim.dataset.replace("youtube-vis-", "YouTube-VIS ")
    if claim.own:
        return f"needs {data.removesuffix(' valid')} and weights trained on it (the authors released none)"
    return f"prior art's AP: needs {data.removesuffix(' valid')} and that method's trained weights"


DEVICE_NAMES = {"snapdragon-778g": "a Snapdragon 778G", "rtx-2080-ti": "an RTX 2080 Ti"}


def judge_latency(claim: Claim, evidence: Evidence) -> Verdict:
    """Compare published milliseconds with milliseconds on the same device only; an estimate stays an estimate.

    Ours count at the model's primary input size and up to its masks.
    """
    cells = [
        cell
        for model in evidence.counterparts.get(claim.row_id, ())
        for cell in evidence.find("latency_wall_ms", model, {"span": masks_span(model), "key_frame_interval": None})
        if str(cell.get("device")).replace("_", "-") == claim.device
        and cell.get("precision") != "fp16"
        and is_primary(model, cell.get("height_px"), cell.get("width_px"))
    ]
    measured = [cell for cell in cells if cell.origin != "estimated"]
    if measured:
        cell = measured[-1]
        difference = cell.value / claim.value - 1
        word: VerdictWord = "reproduced" if abs(difference) <= LATENCY_TOLERANCE else "not reproduced"
        rule = f"reproduced = within {LATENCY_TOLERANCE:.0%} on the same device"
        return Verdict(word, rule, f"{difference:+.0%}", cell.value, None, cell.origin, (cell,))
    if cells:
        cell = cells[-1]
        interval = (cell.interval.low, cell.interval.high) if cell.interval else None
        rule = "estimated = from a model of the device, never a measurement"
        return Verdict(
            "estimated", rule, f"{cell.value / claim.value - 1:+.0%}", cell.value, interval, cell.origin, (cell,)
        )
    return Verdict("not run", "", f"needs {DEVICE_NAMES[claim.device or '']}")


def judge_ratio(claim: Claim, evidence: Evidence) -> Verdict:
    """Compare a published latency ratio with the same ratio on this host: never better than "partly"."""
    rows = [operand.rsplit("/", 1)[0] for operand in claim.operands]
    pairs = [
        (numerator, denominator)
        for numerator in evidence.counterparts.get(rows[0], ())
        for denominator in evidence.counterparts.get(rows[1], ())
    ]
    for numerator, denominator in pairs:
        found = host_ratio(evidence, numerator, denominator)
        if found is None:
            continue
        difference = found.value / claim.value - 1
        even = abs(claim.value - 1) <= EVEN_TOLERANCE
        same_order = (found.value < 1) == (claim.value < 1) or (even and abs(found.value - 1) <= EVEN_TOLERANCE)
        beyond = found.value < claim.value < 1 - EVEN_TOLERANCE
        near = same_order and abs(difference) <= RATIO_TOLERANCE
        word: VerdictWord = "partly" if near or beyond else "not reproduced"
        rule = (
            f"ratio on another core ({found.cpu}): partly = within {RATIO_TOLERANCE:.0%} of the published "
            f"ratio and on its side of 1 (both within {EVEN_TOLERANCE:.0%} of 1 will do), or further in its favour"
        )
        return Verdict(word, rule, f"{difference:+.0%}", found.value, (found.low, found.high), "measured", found.cells)
    if not all(evidence.counterparts.get(row) for row in rows):
        return Verdict("not run", "", "needs that prior method runnable beside MobileInst")
    return Verdict("not run", "", "needs both models timed on one core in one run")


def _rest(cell: Cell, key: str) -> dict[str, Scalar]:
    """Return the protocol without the entry that differs; the recipe's digest covers that entry too."""
    return {name: value for name, value in cell.protocol if name not in (key, "recipe_digest")}


def _paired(
    evidence: Evidence, metric: str, key: str, better: Scalar, worse: Scalar
) -> tuple[Difference | None, tuple[Cell, ...]]:
    """Return the gain between two settings that differ in one protocol entry only, of the pair with most seeds."""
    best: tuple[Difference | None, tuple[Cell, ...]] = (None, ())
    cells = evidence.find(metric)
    for with_it in (cell for cell in cells if effective(cell, key) == better):
        for without in (cell for cell in cells if cell.model == with_it.model and effective(cell, key) == worse):
            if without.dataset != with_it.dataset or _rest(without, key) != _rest(with_it, key):
                continue
            gain = paired_gain(with_it, without)
            if gain is not None and (best[0] is None or len(gain.by_seed) > len(best[0].by_seed)):
                best = (gain, (with_it, without))
    return best


TREND_SETTINGS: dict[str, tuple[str, str, Scalar, Scalar]] = {
    "trend/query-passing-helps-video-ap": ("video_ap", "query_passing", True, False),
    "trend/max-pooling-beats-average": ("mask_ap", "local_pooling", "max", "average"),
}
"""Trend claim -> metric, the protocol entry that differs, its value in the better and in the worse setting."""


def judge_trend(claim: Claim, evidence: Evidence) -> Verdict:
    """Compare a published gain with the same ablation of ours, paired by seed."""
    metric, key, better, worse = TREND_SETTINGS[claim.claim_id]
    gain, cells = _paired(evidence, metric, key, better, worse)
    if gain is None or len(gain.by_seed) < MIN_SEEDS:
        return Verdict("not run", "", f"needs the ablation: {MIN_SEEDS} seeds with and {MIN_SEEDS} without it")
    data = cells[0].dataset.name if cells[0].dataset else "other data"
    words: dict[str, VerdictWord] = {"better": "partly", "undecided": "undecided"}
    rule = (
        f"on {data}, not the paper's data: partly = the mean gain is above two standard errors over seeds, "
        "not reproduced = no gain within them, undecided = between"
    )
    reason = f"{len(gain.by_seed)} seeds, standard error {gain.standard_error or 0:.1f}"
    return Verdict(words.get(gain.word, "not reproduced"), rule, reason, gain.value, None, "measured", cells)


def judge(claim: Claim, evidence: Evidence) -> Verdict:
    """Apply the rule for the claim's kind."""
    if claim.kind == "ratio":
        return judge_ratio(claim, evidence)
    if claim.kind == "trend":
        return judge_trend(claim, evidence)
    return judge_latency(claim, evidence) if claim.device else judge_accuracy(claim, evidence)
