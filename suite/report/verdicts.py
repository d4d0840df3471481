"""From a claim and the measurements beside it to a verdict, and the command whose record would decide the claim.

Tolerances and wording of the verdicts are in `rules.toml`; what trains a model is a shipped recipe.
"""

from __future__ import annotations

import gc
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from suite.claims.claim import METRIC_LABELS, SNAPDRAGON, Claim
from suite.claims.loader import load_claims
from suite.datasets.local_split import LOCAL_TRAIN, LOCAL_VALID
from suite.models import find_counterparts
from suite.records.cells import Cell, select_cells, short_cpu
from suite.records.store import read_folder
from suite.report.ablation import DATASET, ablation_scores, deciding_trend, power
from suite.report.evidence import Evidence, Verdict, VerdictWord, same_split
from suite.report.models import is_primary, masks_span
from suite.report.rules import RULES

RECIPES = Path(__file__).parents[1] / "training" / "recipes"


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
        third = next((other for other in evidence.claims.values() if other.repeats(claim)), None)
        ours, origin = (None, None) if third is None else (third.value, "third-party")
        return Verdict(claim, "not run", "", missing_data(claim), ours, None, origin)
    own_split = [cell for cell in candidates if same_split(claim, cell.dataset)]
    cell = (own_split or candidates)[-1]
    ours = cell.value * 100
    interval = (cell.interval.low * 100, cell.interval.high * 100) if cell.interval else None
    name = "accuracy" if own_split else "other_split"
    tolerance = (RULES.accuracy if own_split else RULES.other_split).tolerance
    split = cell.dataset.split if cell.dataset else ""
    rule = RULES.sentence(name, split=split, published_split=claim.dataset.split()[-1])
    good: VerdictWord = "reproduced" if own_split else "partly"
    word = good if ours >= claim.value - tolerance else "not reproduced"
    reason = f"{ours - claim.value:+z.1f} AP"
    return Verdict(claim, word, rule, reason, ours, interval, cell.origin, cell.run_ids, cell.dataset)


def missing_data(claim: Claim) -> str:
    """Say what is needed to measure a published AP."""
    printed = claim.dataset.replace("youtube-vis-", "YouTube-VIS ").removesuffix(" valid")
    data = "COCO 2017" if claim.family == "coco" else printed
    if claim.own:
        return f"needs {data} and weights trained on it (the authors released none)"
    return f"prior art's AP: needs {data} and that method's trained weights"


def device_times(claim: Claim, evidence: Evidence) -> list[Cell]:
    """Return our milliseconds on a claim's device, at the model's primary input size and up to its masks."""
    return [
        cell
        for model in evidence.counterparts.get(claim.row_id, ())
        for cell in evidence.find("latency_wall_ms", model, {"span": masks_span(model), "key_frame_interval": None})
        if str(cell.get("device")).replace("_", "-") == claim.device and is_primary(cell)
    ]


def judge_latency(claim: Claim, evidence: Evidence) -> Verdict:
    """Compare published milliseconds with milliseconds on the same device only; an estimate stays an estimate.

    The paper does not say which precision its times are of, so estimates in fp16 are told beside those in fp32.
    """
    cells = device_times(claim, evidence)
    single = [cell for cell in cells if cell.get("precision") != "fp16"]
    if not single:
        return Verdict(claim, "not run", "", f"needs {METRIC_LABELS[claim.metric].removeprefix('ms on ')}")
    measured = [cell for cell in single if cell.origin != "estimated"]
    cell = (measured or single)[-1]
    if measured:
        off = cell.value / claim.value - 1
        word: VerdictWord = "reproduced" if abs(off) <= RULES.latency.tolerance else "not reproduced"
        said = RULES.sentence("latency")
        return Verdict(claim, word, said, f"{off:+.0%}", cell.value, None, cell.origin, cell.run_ids)
    interval = (cell.interval.low, cell.interval.high) if cell.interval else None
    reason, run_ids = f"published / estimate {claim.value / cell.value:.2f} in fp32", cell.run_ids
    for half in [other for other in cells if other.get("precision") == "fp16" and other.origin == "estimated"][-1:]:
        reason += f", {claim.value / half.value:.2f} in fp16 ({half.value:.0f} ms)"
        run_ids = tuple(dict.fromkeys((*run_ids, *half.run_ids)))
    said = RULES.sentence("estimate")
    return Verdict(claim, "estimated", said, reason, cell.value, interval, cell.origin, run_ids)


def judge_ratio(claim: Claim, evidence: Evidence) -> Verdict:
    """Compare a published latency ratio with the same ratio on this host: never better than "partly"."""
    above, below = (evidence.counterparts.get(operand.rsplit("/", 1)[0], ()) for operand in claim.operands)
    if not (above and below):
        return Verdict(claim, "not run", "", "needs that prior method runnable beside MobileInst")
    pairs = (evidence.timings.ratio(numerator, denominator) for numerator in above for denominator in below)
    found = next(filter(None, pairs), None)
    if found is None:
        return Verdict(claim, "not run", "", "needs both models timed on one core in one run")
    ours, rule = found.interval, RULES.ratio
    factor = ours.value / claim.value
    even = max(abs(claim.value - 1), abs(ours.value - 1)) <= rule.even_tolerance
    word: VerdictWord = "not reproduced"
    if even or (ours.value < 1) == (claim.value < 1):
        word = "partly" if abs(factor - 1) <= rule.tolerance else "direction holds"
    said = RULES.sentence("ratio", cpu=short_cpu(found.run.machine.cpu))
    reason, interval = f"{factor:.2f} times the published ratio", (ours.low, ours.high)
    return Verdict(claim, word, said, reason, ours.value, interval, "measured", (found.run.run_id,))


def judge_trend(claim: Claim, evidence: Evidence) -> Verdict:
    """Compare a published gain with the same ablation of ours, paired by seed."""
    scores = ablation_scores(evidence)
    trend = deciding_trend(claim.claim_id, scores)
    gain = scores.gain(trend.better, trend.worse)
    rule = RULES.trend
    if gain is None or len(gain.by_seed) < rule.min_seeds:
        needed = f"needs the ablation: {rule.min_seeds} seeds with and {rule.min_seeds} without it"
        return Verdict(claim, "not run", "", needed)
    words: dict[str, VerdictWord] = {"better": "partly", "undecided": "undecided"}
    word = words.get(gain.word, "not reproduced")
    reason = f"{len(gain.by_seed)} seeds, standard error {gain.standard_error or 0:.1f}; {power(gain)}"
    if trend.caution:
        word, reason = "undecided", f"{reason}; {trend.caution}"
    said = RULES.sentence("trend", dataset=DATASET)
    return Verdict(claim, word, said, reason, gain.value, None, "measured", scores.runs(trend.better, trend.worse))


def judge(claim: Claim, evidence: Evidence) -> Verdict:
    """Apply the rule for the claim's kind."""
    if claim.kind == "ratio":
        return judge_ratio(claim, evidence)
    if claim.kind == "trend":
        return judge_trend(claim, evidence)
    return judge_latency(claim, evidence) if claim.device else judge_accuracy(claim, evidence)


def deciding_command(claim: Claim, counterparts: Mapping[str, tuple[str, ...]]) -> tuple[str, str]:
    """Return the command whose record would decide a claim, and the commands that make what it reads.

    The first is empty where none of the suite could (a device or a method that is not here), the second where it reads
    nothing. ``counterparts`` gives the names of the models that stand for a published row.
    """
    if claim.kind == "trend":
        return "python -m suite ablation", ""
    if claim.kind == "ratio":
        groups = [counterparts.get(operand.rsplit("/", 1)[0], ()) for operand in claim.operands]
        names = ",".join(dict.fromkeys(group[0] for group in groups if group))
        return (f"python -m suite latency host --models {names} --record" if all(groups) else ""), ""
    models = counterparts.get(claim.row_id, ())
    if claim.device:
        if not models or claim.metric != SNAPDRAGON:
            return "", ""
        makes = (
            f"phone on adb, runner of docs/phone.md; estimated: python -m suite latency estimate --models {models[0]}"
        )
        return f"python -m suite latency device --models {models[0]} --record", makes
    on_coco, year = claim.family == "coco", claim.dataset.split()[0]
    pin = year.replace("-", "_")
    if claim.own and models:
        what = "coco" if on_coco else f"youtube-vis --pin {pin}_train --local-split --allow-unpinned"
        fetch = "coco-train coco-val" if on_coco else year
        training = "".join(f"; weights: {_training_command(name)}" for name in recipes_for(models, year)[:1])
        command = f"python -m suite reproduce --dataset {what} --checkpoint model.safetensors"
        return command, f"data: python -m suite data fetch {fetch}{training}"
    what = "coco --annotations data/coco/annotations/instances_val2017.json"
    what = what if on_coco else f"youtube-vis --annotations data/{pin}/local-valid.json"
    makes = "fetch coco-val" if on_coco else f"split {year}"
    inputs = f"annotations: python -m suite data {makes}; results.json: that method's own code"
    return f"python -m suite score {what} --results results.json", inputs


@lru_cache
def recipe(name: str) -> dict[str, Any]:
    """Return a shipped recipe, with what the one that it is based on says."""
    own = tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8"))
    return {**(recipe(own["based_on"]) if "based_on" in own else {}), **own}


def recipes_for(models: tuple[str, ...], dataset: str) -> list[str]:
    """Return the recipes that train one of these models on a dataset, the plainest first."""
    known = {path.stem: recipe(path.stem) for path in sorted(RECIPES.glob("*.toml"))}
    fits = [name for name, said in known.items() if said["model"] in models and said["dataset"] == dataset]
    return sorted(fits, key=len)


def _training_command(name: str) -> str:
    """Return the command that trains a recipe, with the weights that it starts from."""
    start = "--backbone FILE"
    if recipe(name)["initial_weights"] != "imagenet":
        pin = recipe(name)["dataset"].replace("-", "_")
        start = f"--initial-weights runs/coco/NAME/model.safetensors --split-ids suite/datasets/local_splits/{pin}.json"
    return f"python -m suite train {name} {start}"


def load_evidence(records: Path) -> Evidence:
    """Read the claims and a folder of records, and judge every claim of the paper.

    Third-party numbers are evidence beside the paper's claims, not claims of the paper: they get no verdict.

    Args:
        records: folder of ``*.jsonl`` run files; absent or empty means that nothing was measured yet.
    """
    enabled = gc.isenabled()
    gc.disable()  # Nothing read here is garbage; looking for some, now or later, takes as long as reading.
    try:
        runs, refused = read_folder(records)
        cells, unused = select_cells(runs)
        claims = {claim.claim_id: claim for claim in load_claims()}
        evidence = Evidence(claims, tuple(runs), tuple(cells), (*refused, *unused), find_counterparts())
        for claim_id, claim in claims.items():
            if claim.origin == "published":
                command, inputs = deciding_command(claim, evidence.counterparts)
                evidence.verdicts[claim_id] = replace(judge(claim, evidence), command=command, inputs=inputs)
        return evidence
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
