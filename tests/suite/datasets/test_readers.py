from __future__ import annotations

import copy
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from suite.datasets.categories import COCO_TO_YOUTUBE_VIS, YOUTUBE_VIS
from suite.datasets.coco import CocoDataset
from suite.datasets.masks import to_mask
from suite.datasets.pictures import pictures_digest
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import DataError, InputError

SQUARE = [[1, 1, 5, 1, 5, 5, 1, 5]]
COCO_FILE: dict[str, Any] = {
    "images": [
        {"id": 7, "file_name": "a.png", "height": 8, "width": 9},
        {"id": 3, "file_name": "b/c.png", "height": 8, "width": 9},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 5, "segmentation": SQUARE, "area": 16, "bbox": [1, 1, 4, 4]},
        {
            "id": 2,
            "image_id": 7,
            "category_id": 2,
            "segmentation": {"size": [8, 9], "counts": [70, 2]},
            "area": 2.0,
            "bbox": [7, 6, 1, 2],
            "iscrowd": 1,
        },
    ],
    "categories": [{"id": 5, "name": "cup"}, {"id": 2, "name": "dog"}],
}
VIDEO_FILE: dict[str, Any] = {
    "videos": [{"id": 4, "height": 8, "width": 9, "length": 2, "file_names": ["v/0.png", "v/1.png"]}],
    "annotations": [
        {
            "id": 1,
            "video_id": 4,
            "category_id": 2,
            "segmentations": [None, {"size": [8, 9], "counts": [70, 2]}],
            "areas": [None, 2],
            "bboxes": [None, [7, 6, 1, 2]],
            "iscrowd": 0,
        }
    ],
    "categories": [{"id": 5, "name": "cup"}, {"id": 2, "name": "dog"}],
}
FILES = ((CocoDataset, COCO_FILE), (YoutubeVisDataset, VIDEO_FILE))
REMOVE = object()


def changed(content: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """Return a copy with one place, like ``annotations.0.area``, set or removed."""
    result = copy.deepcopy(content)
    *parents, last = (int(part) if part.isdigit() else part for part in place.split("."))
    target: Any = result
    for part in parents:
        target = target[part]
    if value is REMOVE:
        del target[last]
    else:
        target[last] = value
    return result


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_coco_classes_follow_the_ids_whatever_the_order_of_the_list(tmp_path):
    turned = changed(COCO_FILE, "categories", COCO_FILE["categories"][::-1])
    for place, content in enumerate((COCO_FILE, turned)):
        dataset = CocoDataset.load(write(tmp_path / f"{place}.json", content))
        assert [image.image_id for image in dataset.images] == [7, 3]
        assert dataset.categories.ids == (2, 5)
        assert dataset.categories.names == ("dog", "cup")
        assert dataset.rows_of(7) == [0, 1]
        assert dataset.objects.class_index.tolist() == [1, 0]
        assert dataset.objects.crowd.tolist() == [False, True]
        assert dataset.rows_of(3) == []
        with pytest.raises(InputError):
            dataset.read(dataset.images[0])


def test_an_image_list_without_annotations_is_a_dataset(tmp_path):
    dataset = CocoDataset.load(write(tmp_path / "a.json", changed(COCO_FILE, "annotations", REMOVE)))
    assert dataset.rows_of(7) == []
    assert not dataset.annotated


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        ("images", REMOVE, "images"),
        ("images.1.id", "3", "images[1].id"),
        ("images.1.id", 2.0**53, "images[1].id"),
        ("images.1.id", 7, "images[1].id"),
        ("images.0.height", 0, "images[0].height"),
        ("images.0.height", 40_000, "images[0].height"),
        ("images.0.file_name", "../../etc/passwd", "images[0].file_name"),
        ("images.0.file_name", "..\\..\\secret", "images[0].file_name"),
        ("images.0.file_name", "", "images[0].file_name"),
        ("categories", REMOVE, "categories"),
        ("categories.1.id", 5, "categories[1].id"),
        ("annotations.0.image_id", 8, "annotations[0].image_id"),
        ("annotations.0.category_id", 1, "annotations[0].category_id"),
        ("annotations.1.id", 1, "annotations[1].id"),
        ("annotations.0.area", -1, "annotations[0].area"),
        ("annotations.1.iscrowd", 2, "annotations[1].iscrowd"),
        ("videos", REMOVE, "videos"),
        ("videos.0", {"id": 4, "height": 8, "width": 9, "length": 2.5}, "videos[0].length"),
        ("videos.0", {"id": 4, "height": 8, "width": 9, "length": -1}, "videos[0].length"),
        ("videos.0.file_names.1", "../x.png", "videos[0].file_names[1]"),
        ("annotations.0.video_id", 5, "annotations[0].video_id"),
        ("annotations.0.segmentations", [None], "annotations[0].segmentations"),
        ("annotations.0.segmentations.1", "x", "annotations[0].segmentations[1]"),
    ],
)
def test_faults_name_file_and_place(tmp_path, place, value, named):
    reader, content = FILES["videos" in place or "video_id" in place or "segmentations" in place or "areas" in place]
    path = write(tmp_path / "annotations.json", changed(content, place, value))
    with pytest.raises(InputError) as caught:
        reader.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert named in str(caught.value)


@pytest.mark.parametrize("value", [REMOVE, None, [[]], [], {}])
def test_objects_without_a_mask_are_left_out_and_counted(tmp_path, value):
    dataset = CocoDataset.load(write(tmp_path / "a.json", changed(COCO_FILE, "annotations.0.segmentation", value)))
    assert dataset.objects.without_mask == (0,)
    assert [dataset.objects.ids[row] for row in dataset.rows_of(7)] == [2]
    assert "annotations[0]" in dataset.notes()[0]


def test_prediction_reads_images_sizes_and_categories_only(tmp_path):
    path = write(tmp_path / "a.json", changed(COCO_FILE, "annotations", [{"nonsense": True}, 3]))
    dataset = CocoDataset.load(path, truth=False)
    assert (len(dataset.images), len(dataset.objects)) == (2, 0)
    path = write(tmp_path / "b.json", changed(VIDEO_FILE, "annotations", "nothing"))
    assert len(YoutubeVisDataset.load(path, truth=False).videos) == 1


@pytest.mark.parametrize("value", [[None, []], [None, {}], [[], {}]])
def test_an_absent_frame_may_be_null_or_empty(tmp_path, value):
    path = write(tmp_path / "a.json", changed(VIDEO_FILE, "annotations.0.segmentations", value))
    (track,) = YoutubeVisDataset.load(path).tracks
    assert track.segmentations == (None, None)


@pytest.mark.parametrize("annotations", [REMOVE, None])
def test_the_official_valid_file_has_videos_but_no_annotations(tmp_path, annotations):
    path = write(tmp_path / "valid.json", changed(VIDEO_FILE, "annotations", annotations))
    dataset = YoutubeVisDataset.load(path)
    assert not dataset.annotated
    assert dataset.tracks_of(4) == ()


def test_files_of_another_kind_are_refused(tmp_path):
    for kind in (CocoDataset, YoutubeVisDataset):
        with pytest.raises(InputError):
            kind.load(write(tmp_path / "a.json", []))
        with pytest.raises(DataError, match=re.escape(str(tmp_path / "none.json"))):
            kind.load(tmp_path / "none.json")
    with pytest.raises(InputError):
        YoutubeVisDataset.load(write(tmp_path / "b.json", COCO_FILE))
    with pytest.raises(DataError, match="nowhere"):
        CocoDataset.load(write(tmp_path / "c.json", COCO_FILE), tmp_path / "nowhere")
    with pytest.raises(DataError, match="nowhere"):
        YoutubeVisDataset.load(write(tmp_path / "d.json", VIDEO_FILE), tmp_path / "nowhere")
    (tmp_path / "e.json").write_text('{"images": [')
    with pytest.raises(InputError, match="line 1 column 13"):
        CocoDataset.load(tmp_path / "e.json")


@pytest.mark.parametrize("split", ["train", "val"])
def test_real_coco_annotations(shared_data, split):
    folder = shared_data / "coco_mini"
    dataset = CocoDataset.load(folder / "annotations" / f"instances_{split}2017.json", folder / f"{split}2017")
    assert len(dataset.images) == 80
    assert len(dataset.categories) == 80
    objects = dataset.objects
    assert len(objects) == {"train": 705, "val": 815}[split]
    assert objects.crowd.sum() == {"train": 6, "val": 11}[split]
    for image in dataset.images[:20]:
        dataset.read(image)
        for row in dataset.rows_of(image.image_id):
            mask = to_mask(objects.segmentations[row], image.height, image.width, "mask")
            assert mask is not None
            assert abs(mask.sum() - objects.areas[row]) <= 0.1 * objects.areas[row] + 30


@pytest.mark.parametrize("name", ["train", "valid", "train_2021", "valid_2021"])
def test_real_youtube_vis_annotations(shared_data, name):
    folder = shared_data / "ytvis_mini"
    dataset = YoutubeVisDataset.load(folder / f"{name}.json", folder / name[:5] / "JPEGImages")
    assert dataset.categories.ids == tuple(range(1, 41))
    assert dataset.categories.names == YOUTUBE_VIS["youtube-vis-2021" if "2021" in name else "youtube-vis-2019"]
    assert sum(video.length for video in dataset.videos) == (94 if name.startswith("train") else 85)
    for video in dataset.videos:
        assert next(dataset.read_frames(video)).shape == (video.height, video.width, 3)
        for track in dataset.tracks_of(video.video_id):
            masks = [to_mask(s, video.height, video.width, "mask") for s in track.segmentations]
            assert [None if mask is None else mask.sum() for mask in masks] == list(track.areas)


SAME_THING = {"bicycle": "motorbike", "motorcycle": "motorbike", "skis": "snowboard", "frisbee": "flying_disc"}
SAME_THING["car"] = "sedan"


@pytest.mark.parametrize(("dataset", "targets"), [("youtube-vis-2019", 19), ("youtube-vis-2021", 21)])
def test_every_mapped_coco_category_maps_to_the_one_of_the_same_name(shared_data, dataset, targets):
    mapping, table = COCO_TO_YOUTUBE_VIS[dataset], YOUTUBE_VIS[dataset]
    content = json.loads((shared_data / "coco_mini" / "annotations" / "instances_val2017.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    assert len(set(mapping.values())) == targets
    for coco_id, target in mapping.items():
        name, there = names[coco_id].replace(" ", "_"), table[target - 1]
        assert name == there or SAME_THING[name] == there


def test_a_repeated_id_in_a_large_file_is_found_at_once(tmp_path: Path) -> None:
    images = [{"id": number, "file_name": "a.png", "height": 1, "width": 1} for number in [*range(200_000), 199_999]]
    (tmp_path / "truth.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    started = time.process_time()
    with pytest.raises(InputError, match=r"images\[200000\]\.id: 199999 is the id of images\[199999\]"):
        CocoDataset.load(tmp_path / "truth.json")
    assert time.process_time() < started + 30, "a comparison with all before would take minutes"


@pytest.mark.parametrize("suffix", ["bmp", "jpg"])
def test_pictures_of_one_size_are_told_apart_and_copies_are_not(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{name}.{suffix}" for name in "abc"]
    pixels = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    for path in paths[:2]:
        Image.fromarray(pixels).save(path)
    pixels[:100] = 255 - pixels[:100]
    Image.fromarray(pixels).save(paths[2])
    first, copy, other = (pictures_digest([path]) for path in paths)
    assert first == copy != other
    assert pictures_digest([tmp_path / "none.jpg"]) != first
