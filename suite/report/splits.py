"""On which split a published AP was scored, on which ours is or can be, and that the two differ."""

from __future__ import annotations

from dataclasses import dataclass

from suite.claims.claim import Claim
from suite.records.schema import Dataset
from suite.report.select import Cell

_DIFFER = {
    "coco": "val2017 and test-dev are different images: an AP on one is no AP on the other",
    "youtube-vis": "the local split is part of train, not of valid: an AP on one is no AP on the other",
}
_POSSIBLE = {
    "coco": "val2017, whose ground truth is public; test-dev only by a server, and its server is closed",
    "youtube-vis": "a local split of train; valid only by a server, and its server is closed",
}


@dataclass(frozen=True)
class Splits:
    """Where a claim and our value were scored, as words for a reader; all empty for claims that are no AP.

    Attributes:
        published: the split of the printed number, e.g. ``"coco test-dev"``.
        ours: the split of our value, or where ours can be scored.
        note: why the two must not be taken for one; empty where they are the same.
    """

    published: str = ""
    ours: str = ""
    note: str = ""


def same_split(claim: Claim, dataset: Dataset) -> bool:
    """Tell whether data on record are the split a claim is about; ``test-dev2017`` is the paper's ``test-dev``."""
    published = claim.dataset.split()[-1]
    return dataset.split in (published, f"{published}2017")


def claim_splits(claim: Claim, cells: tuple[Cell, ...], origin: str | None) -> Splits:
    """Say for a published AP on which split it was scored and on which ours was, or can be.

    Args:
        claim: the published number.
        cells: the measurements beside it.
        origin: of our value; None where there is none.
    """
    if claim.kind != "absolute" or claim.device is not None or not claim.family:
        return Splits()
    differ = _DIFFER[claim.family]
    data = next((cell.dataset for cell in cells if cell.dataset is not None), None)
    if data is not None:
        by = " (by a server)" if origin == "server" else ""
        return Splits(claim.dataset, f"{data.name} {data.split}{by}", "" if same_split(claim, data) else differ)
    possible = f"not scored yet; possible on {_POSSIBLE[claim.family]}"
    if origin == "third-party":
        possible = f"val2017 (by a third party); ours {possible}"
    return Splits(claim.dataset, possible, differ)
