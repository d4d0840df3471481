"""The official splits: how many images or videos each has, and whether anybody can score on it.

What a split is called here is what records call it: dataset ``youtube-vis-2021``, split ``valid``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["coco", "youtube-vis"]

SERVERS_CLOSED = (
    "the evaluation servers of COCO test-dev and YouTube-VIS closed with CodaLab at the end of 2025, and none has "
    "replaced them"
)


LOCAL_VALID = "local-valid"
"""Split name on record of the videos of YouTube-VIS train that are held out here, because valid cannot be scored."""

LOCAL_TRAIN = "local-train"
"""The other videos of train; weights that are judged on `LOCAL_VALID` were trained on nothing else of train."""


@dataclass(frozen=True)
class Split:
    """One official split.

    Attributes:
        task: format of its annotations.
        dataset: dataset name on record.
        name: split name on record.
        units: number of images (COCO) or videos (YouTube-VIS).
        public: whether its ground truth is published, so that it can be scored without a server.
    """

    task: Task
    dataset: str
    name: str
    units: int
    public: bool


SPLITS = (
    Split("coco", "coco", "train2017", 118287, True),
    Split("coco", "coco", "val2017", 5000, True),
    Split("coco", "coco", "test2017", 40670, False),
    Split("coco", "coco", "test-dev2017", 20288, False),
    Split("youtube-vis", "youtube-vis-2019", "train", 2238, True),
    Split("youtube-vis", "youtube-vis-2019", "valid", 302, False),
    Split("youtube-vis", "youtube-vis-2019", "test", 343, False),
    Split("youtube-vis", "youtube-vis-2021", "train", 2985, True),
    Split("youtube-vis", "youtube-vis-2021", "valid", 421, False),
    Split("youtube-vis", "youtube-vis-2021", "test", 453, False),
)
"""Counts as in `suite.datasets.official`; the two YouTube-VIS years differ in every count."""


def split_of_size(task: Task, units: int) -> Split | None:
    """Return the official split with exactly this many images or videos, or None."""
    return next((split for split in SPLITS if split.task == task and split.units == units), None)


def find_split(dataset: str, name: str) -> Split | None:
    """Return an official split by its names on record, or None."""
    return next((split for split in SPLITS if (split.dataset, split.name) == (dataset, name)), None)
