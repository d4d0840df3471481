"""The rules that turn a claim and the measurements beside it into a verdict. All tolerances are here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from suite.claims.claim import Claim
from suite.claims.consistency import check_consistency
from suite.claims.loader import load_claims
from suite.datasets.local_split import LOCAL_TRAIN, LOCAL_VALID
from suite.records.store import RunFile, read_folder
from suite.report.ablation import DATASET, MIN_SEEDS, ablation_scores, deciding_trend
from suite.report.cells import Cell, select_cells
from suite.report.evidence import Evidence, Verdict, VerdictWord, same_split
from suite.report.models import find_counterparts, is_primary, masks_span
from suite.report.timings import Timings

AP_TOLERANCE_POINTS = 0.5
OTHER_SPLIT_TOLERANCE_POINTS = 1.0
LATENCY_TOLERANCE = 0.10
RATIO_TOLERANCE = 0.25
EVEN_TOLERANCE = 0.1
"""A published ratio this near to 1 claims "about as fast as": ours may lie on the other side of 1, as near to it."""
DEVICE_NAMES = {"snapdragon-778g": "a Snapdragon 778G", "rtx-2080-ti": "an RTX 2080 Ti"}

COCO_COMMAND = (
    "python -m suite reproduce --dataset coco --annotations instances_val2017.json --images val2017 "
    "--checkpoint model.safetensors"
)
YOUTUBE_VIS_COMMAND = (
    "python -m suite reproduce --dataset youtube-vis --pin {pin}_train --split-ids {ids} --checkpoint model.safetensors"
)
"""On the local split of train: nobody can score valid any more."""
SCORE_COCO_COMMAND = "python -m suite score coco --annotations instances_val2017.json --results results.json"
SCORE_YOUTUBE_VIS_COMMAND = (
    "python -m suite score youtube-vis --annotations train.json --split-ids {ids} --results results.json"
)
LOCAL_LIST = "suite/datasets/local_splits/{pin}.json"
HOST_COMMAND = "python -m suite latency host --models {models} --record"
ABLATION_COMMAND = "python -m suite ablation"


def deciding_command(claim: Claim, counterparts: Mapping[str, tuple[str, ...]]) -> str:
    """Return the command whose record would decide this claim, as far as the suite can decide it.

    Args:
        claim: the published number.
        counterparts: published row id -> model names.

    Returns:
        A command line, or an empty string where no command of the suite could (a device or a method that is not here).
    """
    if claim.kind == "trend":
        return ABLATION_COMMAND
    if claim.kind == "ratio":
        groups = [counterparts.get(operand.rsplit("/", 1)[0], ()) for operand in claim.operands]
        names = [group[0] for group in groups if group]
        return HOST_COMMAND.format(models=",".join(dict.fromkeys(names))) if len(names) == len(groups) else ""
    if claim.device:
        return ""
    own = claim.own and bool(counterparts.get(claim.row_id))
    if claim.family == "coco":
        return COCO_COMMAND if own else SCORE_COCO_COMMAND
    pin = claim.dataset.split()[0].replace("-", "_")
    command = YOUTUBE_VIS_COMMAND if own else SCORE_YOUTUBE_VIS_COMMAND
    return command.format(pin=pin, ids=LOCAL_LIST.format(pin=pin))


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
    tolerance = AP_TOLERANCE_POINTS if same else OTHER_SPLIT_TOLERANCE_POINTS
    split = cell.dataset.split if cell.dataset else ""
    good: VerdictWord = "reproduced" if same else "partly"
    rule = f"{good} = at least the published AP - {tolerance}"
    rule += "" if same else f", on {split}, not {claim.dataset.split()[-1]}"
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
    if not cells:
        return Verdict(claim, "not run", "", f"needs {DEVICE_NAMES[claim.device or '']}")
    cell = (measured or cells)[-1]
    off = cell.value / claim.value - 1
    if measured:
        word: VerdictWord = "reproduced" if abs(off) <= LATENCY_TOLERANCE else "not reproduced"
        rule = f"reproduced = within {LATENCY_TOLERANCE:.0%} on the same device"
        return Verdict(claim, word, rule, f"{off:+.0%}", cell.value, None, cell.origin, (cell,))
    interval = (cell.interval.low, cell.interval.high) if cell.interval else None
    rule = "estimated = from a model of the device, never a measurement"
    return Verdict(claim, "estimated", rule, f"{off:+.0%}", cell.value, interval, cell.origin, (cell,))


def judge_ratio(claim: Claim, evidence: Evidence) -> Verdict:
    """Compare a published latency ratio with the same ratio on this host: never better than "partly"."""
    rows = [operand.rsplit("/", 1)[0] for operand in claim.operands]
    for numerator in evidence.counterparts.get(rows[0], ()):
        for denominator in evidence.counterparts.get(rows[1], ()):
            found = evidence.timings.ratio(numerator, denominator)
            if found is None:
                continue
            ours = found.interval
            off = ours.value / claim.value - 1
            even = abs(claim.value - 1) <= EVEN_TOLERANCE
            same_order = (ours.value < 1) == (claim.value < 1) or (even and abs(ours.value - 1) <= EVEN_TOLERANCE)
            beyond = ours.value < claim.value < 1 - EVEN_TOLERANCE
            near = same_order and abs(off) <= RATIO_TOLERANCE
            word: VerdictWord = "partly" if near or beyond else "not reproduced"
            rule = (
                f"ratio on another core ({found.cpu}): partly = within {RATIO_TOLERANCE:.0%} of the published "
                f"ratio and on its side of 1 (both within {EVEN_TOLERANCE:.0%} of 1 will do), or further in its favour"
            )
            interval = (ours.low, ours.high)
            return Verdict(claim, word, rule, f"{off:+.0%}", ours.value, interval, "measured", found.cells)
    if not all(evidence.counterparts.get(row) for row in rows):
        return Verdict(claim, "not run", "", "needs that prior method runnable beside MobileInst")
    return Verdict(claim, "not run", "", "needs both models timed on one core in one run")


def judge_trend(claim: Claim, evidence: Evidence) -> Verdict:
    """Compare a published gain with the same ablation of ours, paired by seed."""
    scores = ablation_scores(evidence)
    trend = deciding_trend(claim.claim_id, scores)
    gain = scores.gain(trend.better, trend.worse)
    if gain is None or len(gain.by_seed) < MIN_SEEDS:
        return Verdict(claim, "not run", "", f"needs the ablation: {MIN_SEEDS} seeds with and {MIN_SEEDS} without it")
    cells = (scores.found[trend.better], scores.found[trend.worse])
    words: dict[str, VerdictWord] = {"better": "partly", "undecided": "undecided"}
    rule = (
        f"on {DATASET}, not the paper's data: partly = the mean gain is above two standard errors over seeds, "
        "not reproduced = no gain within them, undecided = between"
    )
    reason = f"{len(gain.by_seed)} seeds, standard error {gain.standard_error or 0:.1f}"
    if trend.caution:
        reason = f"{reason}; {trend.caution}"
        return Verdict(claim, "undecided", rule, reason, gain.value, None, "measured", cells)
    return Verdict(claim, words.get(gain.word, "not reproduced"), rule, reason, gain.value, None, "measured", cells)


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
    verdicts = [
        replace(judge(claim, evidence), command=deciding_command(claim, known))
        for claim in claims
        if claim.origin == "published"
    ]
    return replace(evidence, verdicts=tuple(verdicts), findings=tuple(check_consistency(list(claims))))


def load_evidence(records: Path) -> Evidence:
    """Read the claims and a folder of records, and judge every claim.

    Args:
        records: folder of ``*.jsonl`` run files; absent or empty means that nothing was measured yet.
    """
    runs, refused = read_folder(records)
    return gather(load_claims(), runs, refused)
