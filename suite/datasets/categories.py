"""The category tables of YouTube-VIS 2019 and 2021, and how COCO's categories map onto them for joint training."""

from __future__ import annotations


def _names(*lines: str) -> tuple[str, ...]:
    return tuple(" ".join(lines).split())


YOUTUBE_VIS_2019 = _names(
    "person giant_panda lizard parrot skateboard sedan ape dog snake monkey hand rabbit duck cat cow fish train",
    "horse turtle bear motorbike giraffe leopard fox deer owl surfboard airplane truck zebra tiger elephant",
    "snowboard boat shark mouse frog eagle earless_seal tennis_racket",
)
"""Names in the order of the dataset ids 1..40."""

YOUTUBE_VIS_2021 = _names(
    "airplane bear bird boat car cat cow deer dog duck earless_seal elephant fish flying_disc fox frog giant_panda",
    "giraffe horse leopard lizard monkey motorbike mouse parrot person rabbit shark skateboard snake snowboard",
    "squirrel surfboard tennis_racket tiger train truck turtle whale zebra",
)
"""Names in the order of the dataset ids 1..40."""

COCO_TO_YOUTUBE_VIS_2019 = {
    1: 1, 2: 21, 3: 6, 4: 21, 5: 28, 7: 17, 8: 29, 9: 34, 17: 14, 18: 8, 19: 18, 21: 15, 22: 32, 23: 20, 24: 30,
    25: 22, 35: 33, 36: 33, 41: 5, 42: 27, 43: 40,
}  # fmt: skip
"""COCO category id -> YouTube-VIS 2019 id (VITA, and the same in DVIS, MDQE, CTVIS).

Bicycles become motorbikes and skis snowboards; COCO categories that are not listed are dropped.
"""

COCO_TO_YOUTUBE_VIS_2021 = {
    1: 26, 2: 23, 3: 5, 4: 23, 5: 1, 7: 36, 8: 37, 9: 4, 16: 3, 17: 6, 18: 9, 19: 19, 21: 7, 22: 12, 23: 2, 24: 40,
    25: 18, 34: 14, 35: 31, 36: 31, 41: 29, 42: 33, 43: 34,
}  # fmt: skip
"""COCO category id -> YouTube-VIS 2021 id, from the same sources."""

COCO_UNUSED_IDS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
"""Ids in 1..90 that COCO's 80 detection categories leave out."""
