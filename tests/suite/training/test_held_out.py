"""YouTube-VIS with videos held out: never trained on, scored, and on record as what they are."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from reference_model.weights import load_checkpoint
from suite.datasets.local_split import list_path
from suite.records.schema import check_line
from suite.training.initial import How
from suite.training.recipe import Recipe
from suite.training.run import train_recipe
from suite.training.sources import DataPaths, open_source
from tests.suite.datasets.lists import write_list
from tests.suite.training.test_recipe import small


def tiny() -> Recipe:
    changes = {"model": "mobileinst_topformer_tiny_shapes", "iterations": 1, "evaluations": 1}
    return msgspec.structs.replace(small("youtube_vis_2019"), **changes)


def held_out_list(path: Path, annotations: Path | None) -> frozenset[int]:
    """Write a list of the shortest video of a file and return it."""
    assert annotations is not None
    shortest = min(json.loads(annotations.read_text())["videos"], key=lambda video: video["length"])
    write_list(path, annotations, [shortest["id"]])
    return frozenset({shortest["id"]})


def data_of(shared: Path, split_ids: Path) -> DataPaths:
    video = shared / "ytvis_mini"
    return DataPaths(video / "train.json", video / "train/JPEGImages", split_ids=split_ids)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("root")
def test_held_out_videos_are_never_shown(tmp_path: Path, shared_data: Path) -> None:
    data = data_of(shared_data, tmp_path / "ids.json")
    listed = held_out_list(tmp_path / "ids.json", data.annotations)
    source = open_source(tiny(), 0, data)
    whole = {video["id"] for video in json.loads((data.annotations or tmp_path).read_text())["videos"]}
    shown = {video_id for iteration in range(12) for video_id in source.batch(iteration, 0, 1).image_ids}
    assert shown == whole - listed
    assert source.pool.size == len(whole) - 1
    described = source.dataset
    assert (described.name, described.split, described.pinned) == ("youtube-vis-2019", "local-train", False)


@pytest.mark.usefixtures("root")
def test_a_run_with_other_pictures_is_another(tmp_path: Path, shared_data: Path) -> None:
    held_out_list(tmp_path / "ids.json", shared_data / "ytvis_mini" / "train.json")
    data = data_of(shared_data, tmp_path / "ids.json")
    copied, other = tmp_path / "copied", tmp_path / "other"
    for folder in (copied, other):
        shutil.copytree(str(data.images), folder)
    for path in other.rglob("*.jpg"):
        Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    scored = {"evaluation_annotations": data.annotations, "evaluation_images": copied}
    choices = [data, replace(data, images=copied), replace(data, images=other), replace(data, **scored)]
    choices.append(replace(data, **scored | {"evaluation_images": other}))
    first, same, *others = [open_source(tiny(), 0, choice).identity for choice in choices]
    assert first == same
    assert len({first, *others}) == 4


@pytest.mark.parametrize("of_the_repository", [True, False])
def test_only_the_repositorys_list_makes_weights_that_a_claim_may_meet(
    root: Path, shared_data: Path, of_the_repository: bool
) -> None:
    path = list_path("youtube-vis-2019") if of_the_repository else root / "ids.json"
    data = data_of(shared_data, path)
    listed = held_out_list(path, data.annotations)
    finished = train_recipe(tiny(), 0, how=How("cpu"), paths=data)
    _, metadata = load_checkpoint(finished.checkpoint)
    assert metadata["dataset"] == ("youtube-vis-2019 local-train" if of_the_repository else "youtube-vis-2019")
    truth = {one["id"]: one["name"] for one in json.loads((data.annotations or root).read_text())["categories"]}
    table = json.loads(metadata["categories"])
    assert dict(zip(table["ids"], table["names"], strict=True)) == truth
    scored = json.loads((finished.checkpoint.parent / "evaluation_annotations.json").read_text())
    assert {video["id"] for video in scored["videos"]} == listed
    assert finished.result.curve[-1][-1] is not None
    for line in finished.record_lines():
        check_line(line)
