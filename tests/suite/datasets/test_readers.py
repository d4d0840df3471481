from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from suite.datasets.categories import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from suite.datasets.coco import CocoDataset, read_image
from suite.datasets.masks import to_mask
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


def test_coco_ids_become_contiguous_in_the_files_order(tmp_path):
    dataset = CocoDataset.load(write(tmp_path / "a.json", COCO_FILE))
    assert [image.image_id for image in dataset.images] == [7, 3]
    assert dataset.categories.ids == (5, 2)
    assert dataset.categories.names == ("cup", "dog")
    first, second = dataset.annotations_of(7)
    assert (first.class_index, second.class_index) == (0, 1)
    assert (first.iscrowd, second.iscrowd) == (False, True)
    assert dataset.annotations_of(3) == ()
    with pytest.raises(InputError, match="no image with id 1"):
        dataset.annotations_of(1)
    with pytest.raises(InputError, match="--images"):
        dataset.read(dataset.images[0])


def test_an_image_list_without_annotations_is_a_dataset(tmp_path):
    dataset = CocoDataset.load(write(tmp_path / "a.json", changed(COCO_FILE, "annotations", REMOVE)))
    assert dataset.annotations_of(7) == ()


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("images", REMOVE, "the file has no 'images'"),
        ("images", {}, "'images' must be a list, not an object"),
        ("images.1", 3, r"images\[1\] must be an object"),
        ("images.1.id", REMOVE, r"images\[1\] has no 'id'"),
        ("images.1.id", "3", r"images\[1\]\.id must be an integer, not '3'"),
        ("images.1.id", True, r"images\[1\]\.id must be an integer"),
        ("images.1.id", 7, r"images\[1\] and images\[0\] have the same id 7"),
        ("images.0.height", 0, r"images\[0\]\.height must be at least 1"),
        ("images.0.file_name", "../../etc/passwd", "leads out of the image folder"),
        ("images.0.file_name", "/etc/passwd", "leads out of the image folder"),
        ("images.0.file_name", None, "must be a file name"),
        ("categories", REMOVE, "no 'categories'"),
        ("categories", [], "'categories' is empty"),
        ("categories.1.id", 5, r"categories\[1\] and categories\[0\] have the same id 5"),
        ("categories.1.name", "cup", r"categories\[1\]\.name"),
        ("annotations", 3, "'annotations' must be a list"),
        ("annotations.0.image_id", 8, r"annotations\[0\]\.image_id 8 is not among"),
        ("annotations.0.category_id", 1, r"annotations\[0\]\.category_id 1 is not among"),
        ("annotations.1.id", 1, r"annotations\[1\] and annotations\[0\] have the same id 1"),
        ("annotations.0.bbox", [1, 2, 3], r"annotations\[0\] needs"),
        ("annotations.0.area", "16", r"annotations\[0\] needs"),
        ("annotations.0.segmentation", None, r"annotations\[0\]\.segmentation"),
        ("annotations.1.iscrowd", 2, r"annotations\[1\]\.iscrowd must be 0 or 1"),
    ],
)
def test_coco_faults_name_file_and_place(tmp_path, place, value, words):
    path = write(tmp_path / "instances.json", changed(COCO_FILE, place, value))
    with pytest.raises(InputError, match=words) as caught:
        CocoDataset.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("videos", REMOVE, "no 'videos'"),
        ("videos.0.length", 3, r"videos\[0\] has length 3 but 2 file_names"),
        ("videos.0.file_names", [], "at least one file name"),
        ("videos.0.file_names", "v/0.png", "must be a list"),
        ("videos.0.file_names.1", "../x.png", r"file_names\[1\] '../x.png' leads out"),
        ("videos.0.width", 2.5, r"videos\[0\]\.width must be an integer"),
        ("annotations.0.video_id", 5, r"annotations\[0\]\.video_id 5 is not among"),
        ("annotations.0.category_id", 9, "category_id 9"),
        ("annotations.0.segmentations", [None], r"segmentations has 1 entries but video 4 has 2 frames"),
        ("annotations.0.segmentations", REMOVE, "no 'segmentations'"),
        ("annotations.0.segmentations.1", "x", r"annotations\[0\]\.segmentations\[1\]"),
        ("annotations.0.areas", [1, 2, 3], "areas has 3 entries"),
        ("annotations.0.areas.1", "2", r"areas\[1\] must be a number or null"),
        ("annotations.0.id", None, r"annotations\[0\]\.id"),
    ],
)
def test_youtube_vis_faults_name_file_and_place(tmp_path, place, value, words):
    path = write(tmp_path / "valid.json", changed(VIDEO_FILE, place, value))
    with pytest.raises(InputError, match=words) as caught:
        YoutubeVisDataset.load(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("annotations", [REMOVE, None])
def test_the_official_valid_file_has_videos_but_no_annotations(tmp_path, annotations):
    path = write(tmp_path / "valid.json", changed(VIDEO_FILE, "annotations", annotations))
    dataset = YoutubeVisDataset.load(path)
    assert not dataset.annotated
    assert dataset.tracks_of(4) == ()
    with pytest.raises(InputError, match="no video with id 9"):
        dataset.tracks_of(9)


def test_files_of_another_kind_are_recognised(tmp_path):
    with pytest.raises(InputError, match="is it a results file"):
        CocoDataset.load(write(tmp_path / "a.json", []))
    with pytest.raises(InputError, match="it is a COCO file"):
        YoutubeVisDataset.load(write(tmp_path / "b.json", COCO_FILE))
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "none.json"))):
        CocoDataset.load(tmp_path / "none.json")
    with pytest.raises(DataError, match="no such image folder"):
        CocoDataset.load(write(tmp_path / "c.json", COCO_FILE), tmp_path / "nowhere")
    with pytest.raises(DataError, match="no such frame folder"):
        YoutubeVisDataset.load(write(tmp_path / "d.json", VIDEO_FILE), tmp_path / "nowhere")
    (tmp_path / "e.json").write_text('{"images": [')
    with pytest.raises(InputError, match="line 1 column 13"):
        CocoDataset.load(tmp_path / "e.json")


def test_images_are_read_as_rgb_and_checked(tmp_path):
    grey = np.arange(72, dtype=np.uint8).reshape(8, 9)
    Image.fromarray(grey).save(tmp_path / "a.png")
    dataset = CocoDataset.load(write(tmp_path / "a.json", COCO_FILE), tmp_path)
    assert np.array_equal(dataset.read(dataset.images[0]), np.stack([grey] * 3, 2))
    with pytest.raises(DataError, match=r"c\.png: no such image"):
        dataset.read(dataset.images[1])
    with pytest.raises(InputError, match="is 9x8 pixels but its annotations say 8x9"):
        read_image(tmp_path / "a.png", (9, 8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    with pytest.raises(InputError, match=r"cut\.png: cannot be read as an image"):
        read_image(tmp_path / "cut.png")


@pytest.mark.parametrize("split", ["train", "val"])
def test_real_coco_annotations(shared_data, split):
    folder = shared_data / "coco_mini"
    dataset = CocoDataset.load(folder / "annotations" / f"instances_{split}2017.json", folder / f"{split}2017")
    assert len(dataset.images) == 80
    assert len(dataset.categories) == 80
    everything = [annotation for image in dataset.images for annotation in dataset.annotations_of(image.image_id)]
    assert len(everything) == {"train": 705, "val": 815}[split]
    assert sum(annotation.iscrowd for annotation in everything) == {"train": 6, "val": 11}[split]
    for image in dataset.images[:20]:
        dataset.read(image)
        for annotation in dataset.annotations_of(image.image_id):
            mask = to_mask(annotation.segmentation, image.height, image.width, "mask")
            assert mask is not None
            assert abs(mask.sum() - annotation.area) <= 0.1 * annotation.area + 30


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("train", YOUTUBE_VIS_2019),
        ("valid", YOUTUBE_VIS_2019),
        ("train_2021", YOUTUBE_VIS_2021),
        ("valid_2021", YOUTUBE_VIS_2021),
    ],
)
def test_real_youtube_vis_annotations(shared_data, name, names):
    folder = shared_data / "ytvis_mini"
    dataset = YoutubeVisDataset.load(folder / f"{name}.json", folder / name[:5] / "JPEGImages")
    assert dataset.categories.ids == tuple(range(1, 41))
    assert dataset.categories.names == names
    assert sum(video.length for video in dataset.videos) == (94 if name.startswith("train") else 85)
    for video in dataset.videos:
        assert next(dataset.read_frames(video)).shape == (video.height, video.width, 3)
        for track in dataset.tracks_of(video.video_id):
            masks = [to_mask(s, video.height, video.width, "mask") for s in track.segmentations]
            assert [None if mask is None else mask.sum() for mask in masks] == list(track.areas)
