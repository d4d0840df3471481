from __future__ import annotations

import json

import pytest

from suite.datasets.categories import (
    COCO_TO_YOUTUBE_VIS_2019,
    COCO_TO_YOUTUBE_VIS_2021,
    COCO_UNUSED_IDS,
    YOUTUBE_VIS_2019,
    YOUTUBE_VIS_2021,
)

SAME_THING = {
    "bicycle": "motorbike",
    "motorcycle": "motorbike",
    "skis": "snowboard",
    "frisbee": "flying_disc",
    "car": "sedan",
}


@pytest.mark.parametrize(
    ("mapping", "table", "targets"),
    [(COCO_TO_YOUTUBE_VIS_2019, YOUTUBE_VIS_2019, 19), (COCO_TO_YOUTUBE_VIS_2021, YOUTUBE_VIS_2021, 21)],
)
def test_every_mapped_coco_category_maps_to_the_one_of_the_same_name(shared_data, mapping, table, targets):
    content = json.loads((shared_data / "coco_mini" / "annotations" / "instances_val2017.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    assert set(names) == set(range(1, 91)) - COCO_UNUSED_IDS
    assert len(set(mapping.values())) == targets
    for coco_id, target in mapping.items():
        name, there = names[coco_id].replace(" ", "_"), table[target - 1]
        assert name == there or SAME_THING[name] == there
