"""From a claim and the measurements beside it to a verdict; tolerances and wording are in `rules.toml`."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from suite.claims.claim import Claim
from suite.claims.consistency import check_consistency
from suite.claims.loader import load_claims
from suite.datasets.local_split import LOCAL_TRAIN, LOCAL_VALID
from suite.records.store import RunFile, read_folder
from suite.report.ablation import DATASET, ablation_scores, deciding_trend, power
from suite.report.cells import Cell, select_cells
from suite.report.commands import deciding_command
from suite.report.evidence import Evidence, Verdict, VerdictWord, same_split
from suite.report.models import find_counterparts, is_primary, masks_span
from suite.report.rules import rules
from suite.report.timings import Timings

DEVICE_NAMES = {"snapdragon-778g": "a Snapdragon 778G", "rtx-2080-ti": "an RTX 2080 Ti"}


def _names_same_data(cell: Cell, claim: Claim) -> bool:
    """Tell whether a cell was scored on pinned held-out data of the claim's family (and year, where it has one).

    On the local split of YouTube-VIS train only weights count that were trained on the rest of it.
    """
    if cell.dataset is None or not cell.dataset.pinned or cell.dataset.split.startswith("train"):
        return False
    if cell.dataset.split == LOCAL_VALID and cell.get("trained_on") != f"{cell.dataset.name} {LOCAL_TRAIN}":
        return False
    name = cell.where.lower().replace("_", "-")
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
    if not candidates:
        third = _third_party(claim, evidence)
        ours, origin = (None, None) if third is None else (third.value, "third-party")
        return Verdict(claim, "not run", "", missing_data(claim), ours, None, origin)
    own_split = [cell for cell in candidates if cell.dataset is not None and same_split(claim, cell.dataset)]
    cell = (own_split or candidates)[-1]
    ours = cell.value * 100
    interval = (cell.interval.low * 100, cell.interval.high * 100) if cell.interval else None
    same = bool(own_split)
    tolerance = (rules().accuracy if same else rules().other_split).tolerance_points
    facts = {"split": cell.dataset.split if cell.dataset else "", "published_split": claim.dataset.split()[-1]}
    rule = rules().sentence("accuracy" if same else "other_split", tolerance=tolerance, **facts)
    good: VerdictWord = "reproduced" if same else "partly"
    word = good if ours >= claim.value - tolerance else "not reproduced"
    return Verdict(claim, word, rule, f"{ours - claim.value:+.1f} AP", ours, interval, cell.origin, (cell,))


def _third_party(claim: Claim, evidence: Evidence) -> Claim | None:
    """Return somebody else's reproduction of this number, or None."""
    if not claim.own or claim.family != "coco":
        return None
    same = (claim.backbone, claim.short_side_px, claim.metric)
    others = (other for other in evidence.claims if other.origin == "third-party")
    return next((other for other in others if (other.backbone, other.short_side_px, other.metric) == same), None)


def missing_data(claim: Claim) -> str:
    """Say what is needed to measure a published AP."""
    data = "COCO 2017" if claim.family == "coco" else claim.dataset.replace("youtube-vis-", "YouTube-VIS ")
    if claim.own:
        return f"needs {data.removesuffix(' valid')} and weights trained on it (the authors released none)"
    return f"prior art's AP: needs {data.removesuffix(' valid')} and that method's trained weights"


def judge_latency(claim: Claim, evidence: Evidence) -> Verdict:
    """Compare published milliseconds with milliseconds on the same device only; an estimate stays an estimate.

    Ours count at the model's primary input size and up to its masks, in fp32; the paper does not say which precision
    its times are of, so estimates in fp16 are told beside.
    """
    cells = [
        cell
        for model in evidence.counterparts.get(claim.row_id, ())
        for cell in evidence.find("latency_wall_ms", model, {"span": masks_span(model), "key_frame_interval": None})
        if str(cell.get("device")).replace("_", "-") == claim.device
        and is_primary(model, cell.get("height_px"), cell.get("width_px"))
    ]
    single = [cell for cell in cells if cell.get("precision") != "fp16"]
    if not single:
        return Verdict(claim, "not run", "", f"needs {DEVICE_NAMES[claim.device or '']}")
    measured = [cell for cell in single if cell.origin != "estimated"]
    cell = (measured or single)[-1]
    off = cell.value / claim.value - 1
    if measured:
        word: VerdictWord = "reproduced" if abs(off) <= rules().latency.tolerance else "not reproduced"
        rule = rules().sentence("latency")
        return Verdict(claim, word, rule, f"{off:+.0%}", cell.value, None, cell.origin, (cell,))
    interval = (cell.interval.low, cell.interval.high) if cell.interval else None
    half = [other for other in cells if other.get("precision") == "fp16" and other.origin == "estimated"][-1:]
    reason = f"published / estimate {claim.value / cell.value:.2f} in fp32" + "".join(
        f", {claim.value / other.value:.2f} in fp16 ({other.value:.0f} ms)" for other in half
    )
    return Verdict(
        claim, "estimated", rules().sentence("estimate"), reason, cell.value, interval, cell.origin, (cell, *half)
    )


def judge_ratio(claim: Claim, evidence: Evidence) -> Verdict:
    """Compare a published latency ratio with the same ratio on this host: never better than "partly"."""
    rows = [operand.rsplit("/", 1)[0] for operand in claim.operands]
    for numerator in evidence.counterparts.get(rows[0], ()):
        for denominator in evidence.counterparts.get(rows[1], ()):
            found = evidence.timings.ratio(numerator, denominator)
            if found is None:
                continue
            ours, rule = found.interval, rules().ratio
            factor = ours.value / claim.value
            even = max(abs(claim.value - 1), abs(ours.value - 1)) <= rule.even_tolerance
            word: VerdictWord = "not reproduced"
            if even or (ours.value < 1) == (claim.value < 1):
                word = "partly" if abs(factor - 1) <= rule.tolerance else "direction holds"
            said = rules().sentence("ratio", cpu=found.cpu)
            reason = f"{factor:.2f} times the published ratio"
            interval = (ours.low, ours.high)
            return Verdict(claim, word, said, reason, ours.value, interval, "measured", found.cells)
    if not all(evidence.counterparts.get(row) for row in rows):
        return Verdict(claim, "not run", "", "needs that prior method runnable beside MobileInst")
    return Verdict(claim, "not run", "", "needs both models timed on one core in one run")


def judge_trend(claim: Claim, evidence: Evidence) -> Verdict:
    """Compare a published gain with the same ablation of ours, paired by seed."""
    scores = ablation_scores(evidence)
    trend = deciding_trend(claim.claim_id, scores)
    gain = scores.gain(trend.better, trend.worse)
    rule = rules().trend
    if gain is None or len(gain.by_seed) < rule.min_seeds:
        needed = f"needs the ablation: {rule.min_seeds} seeds with and {rule.min_seeds} without it"
        return Verdict(claim, "not run", "", needed)
    cells = (scores.found[trend.better], scores.found[trend.worse])
    word: VerdictWord = "not reproduced"
    if gain.word in ("better", "undecided"):
        word = "partly" if gain.word == "better" else "undecided"
    reason = f"{len(gain.by_seed)} seeds, standard error {gain.standard_error or 0:.1f}; {power(gain)}"
    if trend.caution:
        word, reason = "undecided", f"{reason}; {trend.caution}"
    said = rules().sentence("trend", dataset=DATASET)
    return Verdict(claim, word, said, reason, gain.value, None, "measured", cells)


def judge(claim: Claim, evidence: Evidence) -> Verdict:
    """Apply the rule for the claim's kind."""
    if claim.kind == "ratio":
        return judge_ratio(claim, evidence)
    if claim.kind == "trend":
        return judge_trend(claim, evidence)
    return judge_latency(claim, evidence) if claim.device else judge_accuracy(claim, evidence)


def gather(
    claims: Sequence[Claim],
    runs: Sequence[RunFile],
    refused: Sequence[str] = (),
    counterparts: Mapping[str, tuple[str, ...]] | None = None,
) -> Evidence:
    """Select from runs already read and judge every claim of the paper.

    Third-party numbers are evidence beside the paper's claims, not claims of the paper: they get no verdict.

    Args:
        claims: every published number.
        runs: complete runs, oldest first.
        refused: one line per record file that could not be read.
        counterparts: published row id -> model names; the suite's own models if None.
    """
    cells, unused = select_cells(runs)
    known = find_counterparts() if counterparts is None else counterparts
    evidence = Evidence(tuple(claims), tuple(runs), tuple(cells), (*refused, *unused), known, Timings(runs))
    verdicts = []
    for claim in claims:
        if claim.origin == "published":
            command, inputs = deciding_command(claim, known)
            verdicts.append(replace(judge(claim, evidence), command=command, inputs=inputs))
    return replace(evidence, verdicts=tuple(verdicts), findings=tuple(check_consistency(list(claims))))


def load_evidence(records: Path) -> Evidence:
    """Read the claims and a folder of records, and judge every claim.

    Args:
        records: folder of ``*.jsonl`` run files; absent or empty means that nothing was measured yet.
    """
    enabled = gc.isenabled()
    gc.disable()  # Nothing read here is garbage, and looking for some takes as long as reading.
    try:
        runs, refused = read_folder(records)
        return gather(load_claims(), runs, refused)
    finally:
        if enabled:
            gc.enable()
