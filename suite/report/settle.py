"""The command that would settle a claim, for a reader who has what the ledger says is missing."""

from __future__ import annotations

from collections.abc import Mapping

from suite.claims.claim import Claim

ANCHOR = "mobileinst_topformer_base_640"
"""The model every relative latency of the report is compared with: MobileInst's main row."""

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


def settling_command(claim: Claim, counterparts: Mapping[str, tuple[str, ...]]) -> str:
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
