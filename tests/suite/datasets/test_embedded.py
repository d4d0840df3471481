from __future__ import annotations

import io
import json
import os
import re
import shutil
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from suite.datasets import embedded
from suite.datasets.coco import CocoDataset
from suite.datasets.pins import load_pins
from suite.datasets.png import compress, encode_palette_png
from suite.datasets.shapes_scene import CATEGORIES, VISIBLE_MIN_PX
from suite.datasets.state import directory_digest
from suite.datasets.video_traits import EASY, videos_by_trait
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import DataError
from tests.suite.datasets.conftest import REPOSITORY, SMALL


def split_of(folder: Path, split: str) -> tuple[CocoDataset, YoutubeVisDataset]:
    annotations = folder / "annotations"
    return (
        CocoDataset.load(annotations / f"instances_{split}.json", folder / split),
        YoutubeVisDataset.load(annotations / f"youtube_vis_{split}.json", folder / split),
    )


def test_the_whole_set_is_the_pinned_one_and_ensure_generates_it_only_once(empty_root):
    (empty_root / "datasets.dvc").write_bytes((REPOSITORY / "datasets.dvc").read_bytes())
    pinned = load_pins()["shapes"]
    assert embedded.ensure() == pinned.md5
    folder = empty_root / "data" / "shapes"
    assert directory_digest(folder)[:2] == (pinned.md5, pinned.size)
    assert [path.name for path in folder.parent.iterdir()] == ["shapes"]
    written = (folder / "val" / "0000" / "00000.png").stat().st_mtime_ns
    assert embedded.ensure() == pinned.md5
    assert (folder / "val" / "0000" / "00000.png").stat().st_mtime_ns == written


@pytest.mark.parametrize("split", ["train", "val"])
def test_official_readers_agree_with_the_stored_areas_and_boxes(small_shapes, split):
    path = small_shapes / "annotations" / f"instances_{split}.json"
    coco = COCO(path)
    for annotation in coco.loadAnns(coco.getAnnIds()):
        assert annotation["area"] == int(coco_mask.area(annotation["segmentation"])) >= VISIBLE_MIN_PX
        assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()
        assert annotation["iscrowd"] == 0
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(CATEGORIES)


@pytest.mark.parametrize("split", ["train", "val"])
def test_both_formats_hold_the_same_masks(small_shapes, split):
    coco, videos = split_of(small_shapes, split)
    names = {image.file_name: image.image_id for image in coco.images}
    count = 0
    for video in videos.videos:
        assert (video.height, video.width) == (128, 192)
        assert video.length in (*range(4, 9), *range(16, 25))
        tracks = videos.tracks_of(video.video_id)
        for frame, name in enumerate(video.file_names):
            in_frame = [
                (track.class_index, track.segmentations[frame].counts, track.areas[frame])
                for track in tracks
                if track.segmentations[frame] is not None
            ]
            objects = coco.objects
            in_image = [
                (objects.class_index[row], objects.segmentations[row].counts, objects.areas[row])
                for row in coco.rows_of(names[name])
            ]
            assert in_frame == in_image
            count += len(in_frame)
    assert count == len(coco.objects)
    assert len(coco.images) == sum(video.length for video in videos.videos)


@pytest.mark.parametrize("split", ["train", "val"])
def test_hard_videos_hold_look_alikes_and_easy_ones_no_hard_trait(small_shapes, split):
    annotations = small_shapes / "annotations" / f"youtube_vis_{split}.json"
    labels = {video["id"]: video["difficulty"] for video in json.loads(annotations.read_text())["videos"]}
    dataset = YoutubeVisDataset.load(annotations)
    easy = videos_by_trait(dataset)[EASY]
    assert set(labels.values()) == {"easy", "hard"}
    for video in dataset.videos:
        alike = Counter(track.class_index for track in dataset.tracks_of(video.video_id)).most_common(1)[0][1]
        if labels[video.video_id] == "hard":
            # In a short video one of three may stay hidden.
            assert 2 + (video.length >= 16) <= alike <= 5
        else:
            assert (alike, video.length < 16, video.video_id in easy) == (1, True, True)


def small_root(root: Path, md5: str) -> None:
    text = (REPOSITORY / "datasets.dvc").read_text()
    (root / "datasets.dvc").write_text(re.sub(r"[0-9a-f]{32}\.dir", md5, text))


def test_one_flipped_byte_is_refused_with_both_digests_and_the_remedy(empty_root, small_shapes):
    pinned = directory_digest(small_shapes)[0]
    small_root(empty_root, pinned)
    copy = empty_root / "data" / "shapes"
    copy.parent.mkdir()
    copy.symlink_to(small_shapes)
    assert embedded.ensure() == pinned
    copy.unlink()
    embedded.generate(copy, SMALL)
    frame = copy / "val" / "0001" / "00002.png"
    content = bytearray(frame.read_bytes())
    content[-20] ^= 1
    frame.write_bytes(content)
    with pytest.raises(DataError) as caught:
        embedded.ensure()
    message = str(caught.value)
    assert pinned in message
    assert directory_digest(copy)[0] in message
    assert "data/shapes" in message
    frame.unlink()
    with pytest.raises(DataError, match="data/shapes"):
        embedded.ensure()
    os.mkfifo(frame)
    with pytest.raises(DataError, match=frame.name):
        embedded.ensure()


def test_a_generator_that_makes_something_else_leaves_nothing_behind(empty_root, monkeypatch):
    small_root(empty_root, "0" * 32 + ".dir")
    original = embedded.generate
    monkeypatch.setattr(embedded, "generate", lambda folder: original(folder, replace(SMALL, train_videos=1)))
    with pytest.raises(DataError, match="0" * 32):
        embedded.ensure()
    assert list((empty_root / "data").iterdir()) == []


def test_of_two_at_once_one_generates(empty_root, small_shapes, monkeypatch):
    small_root(empty_root, directory_digest(small_shapes)[0])
    asked: list[Path] = []

    def generate(folder: Path) -> None:
        asked.append(folder)
        shutil.copytree(small_shapes, folder)

    monkeypatch.setattr(embedded, "generate", generate)
    (empty_root / "data" / ".shapes.killed.part" / "shapes").mkdir(parents=True)
    with ThreadPoolExecutor(2) as pool:
        digests = list(pool.map(lambda _: embedded.ensure(), range(2)))
    assert digests == [directory_digest(small_shapes)[0]] * 2
    assert len(asked) == 1
    assert [path.name for path in (empty_root / "data").iterdir()] == ["shapes"]


@pytest.mark.parametrize("value", [0, 143, 144, 255])
def test_any_number_of_equal_bytes_is_inflated_again(value):
    for count in range(1, 800):
        data = bytes([1] + [value] * count + [2])
        assert zlib.decompress(compress(data)) == data


@settings(max_examples=60, deadline=None)
@given(st.tuples(st.integers(1, 40), st.integers(1, 300)), st.integers(1, 16), st.data())
def test_pillow_reads_back_every_pixel(shape, colours, data):
    indices = data.draw(arrays(np.uint8, shape, elements=st.integers(0, colours - 1)))
    palette = data.draw(arrays(np.uint8, (colours, 3)))
    image = Image.open(io.BytesIO(encode_palette_png(indices, palette)))
    assert image.mode == "P"
    assert np.array_equal(np.array(image), indices)
    assert np.array_equal(np.array(image.convert("RGB")), palette[indices])
