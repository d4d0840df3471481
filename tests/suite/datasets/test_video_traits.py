from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from suite.datasets.video_traits import EASY, TRAITS, videos_by_trait
from suite.datasets.youtube_vis import YoutubeVisDataset
from tests.suite.accuracy.cases import compressed, rectangle

SIZE = 20


def square(left: int | None) -> dict[str, Any] | None:
    """Return a square of 5 x 5 pixels as compressed RLE, None for an absent one."""
    return None if left is None else compressed(rectangle(SIZE, SIZE, 5, left, 5, 5))


def dataset(folder: Path, tracks: list[tuple[int, list[int | None]]]) -> YoutubeVisDataset:
    """Write one video of these (category id, left edge per frame) tracks."""
    frames = len(tracks[0][1])
    content = {
        "videos": [{"id": 7, "height": SIZE, "width": SIZE, "length": frames}],
        "categories": [{"id": 1, "name": "disc"}, {"id": 2, "name": "ring"}],
        "annotations": [
            {
                "id": place,
                "video_id": 7,
                "category_id": category,
                "iscrowd": 0,
                "segmentations": [square(left) for left in lefts],
                "areas": [None if left is None else 25 for left in lefts],
            }
            for place, (category, lefts) in enumerate(tracks, start=1)
        ],
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    return YoutubeVisDataset.load(path)


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        ([(1, [0, 1]), (1, [12, 11])], set()),
        ([(1, [0, 4]), (1, [12, 8])], {"look_alikes"}),
        ([(1, [0, 4]), (2, [12, 8])], set()),
        ([(1, [0, None, 1])], {"occlusion"}),
        ([(1, [None, 0, 1]), (1, [12, 12, None])], set()),
        ([(1, [0, 4])], set()),
        ([(1, [0, 5])], {"fast_motion"}),
        ([(1, [0, None, 15])], {"occlusion"}),
    ],
)
def test_a_video_has_the_traits_its_annotations_show(
    tmp_path: Path, tracks: list[tuple[int, list[int | None]]], expected: set[str]
) -> None:
    found = videos_by_trait(dataset(tmp_path, tracks))
    assert set(found) == set(TRAITS)
    assert {trait for trait, ids in found.items() if ids == {7}} == (expected or {EASY})
