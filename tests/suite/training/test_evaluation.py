"""What is scored in the course of a run."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from suite.training.evaluation import image_subset


@pytest.mark.parametrize("count", [1, 7, 10, 19, 20])
@pytest.mark.parametrize("amount", [0, 19, 20])
def test_the_scored_images_are_spread_over_the_whole_file(tmp_path: Path, amount: int, count: int) -> None:
    """Videos follow one another in such files: the first ten of 19 would be a few of them."""
    images = [{"id": 3 * number, "file_name": "x.png", "height": 8, "width": 8} for number in range(amount)]
    document = {"images": images, "annotations": [{"id": 1, "image_id": 0}, {"id": 2, "image_id": 54}]}
    whole, part = tmp_path / "whole.json", tmp_path / "part.json"
    whole.write_text(json.dumps(document))
    chosen = json.loads(image_subset(whole, part, count).read_text())
    places = [image["id"] // 3 for image in chosen["images"]]
    assert len(places) == min(amount, count)
    gaps = [later - earlier for earlier, later in itertools.pairwise([*places, amount])]
    assert max(gaps, default=0) - min(gaps, default=0) <= 1
    assert {item["image_id"] for item in chosen["annotations"]} <= {3 * place for place in places}
