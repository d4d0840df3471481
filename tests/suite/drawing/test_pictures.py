"""Pictures show what the files say, by a rule that does not look at the results, in the same bytes every time."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from suite.datasets.coco import CocoDataset
from suite.datasets.masks import encode_mask
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.drawing.detections import draw_detections
from suite.drawing.overlay import COLOURS, Shape, paint, resized
from suite.drawing.tracks import Track, assign_colours, draw_track_animation, draw_track_strip, show_video, track_iou
from suite.errors import InputError

SIZE = (40, 60)


def square(top: int, left: int, side: int = 12) -> np.ndarray:
    mask = np.zeros(SIZE, np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        Image.fromarray(np.full((*SIZE, 3), 20 * number + 60, np.uint8)).save(tmp_path / f"{number}.png")
    categories = [{"id": 4, "name": "cup"}, {"id": 9, "name": "plate"}]
    masks = [square(5, 5), square(20, 30)]
    annotations = [
        {
            "id": 2 * image + place + 1,
            "image_id": image + 10,
            "category_id": categories[place]["id"],
            "segmentation": encode_mask(mask),
            "area": int(mask.sum()),
            "bbox": [0, 0, 1, 1],
            "iscrowd": 0,
        }
        for image in range(3)
        for place, mask in enumerate(masks)
    ]
    images = [{"id": 10 + k, "file_name": f"{k}.png", "height": SIZE[0], "width": SIZE[1]} for k in range(3)]
    coco = {"images": images, "categories": categories, "annotations": annotations}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    tracks = [
        {
            "id": place + 1,
            "video_id": 1,
            "category_id": categories[place]["id"],
            "segmentations": [
                encode_mask(np.roll(mask, 2 * frame, 1)) if frame != 1 or place else None for frame in range(3)
            ],
            "areas": [144 if frame != 1 or place else None for frame in range(3)],
            "iscrowd": 0,
        }
        for place, mask in enumerate(masks)
    ]
    video = {"id": 1, "file_names": [f"{k}.png" for k in range(3)], "height": SIZE[0], "width": SIZE[1], "length": 3}
    (tmp_path / "vis.json").write_text(json.dumps({"videos": [video], "categories": categories, "annotations": tracks}))
    return tmp_path


def write_results(folder: Path, results: Any) -> Path:
    path = folder / "results.json"
    path.write_text(json.dumps(results))
    return path


def detection(mask: np.ndarray, **changes: Any) -> dict[str, Any]:
    return {"image_id": 10, "category_id": 4, "score": 0.9, "segmentation": encode_mask(mask)} | changes


def has_colour(path: Path, colour: tuple[int, int, int], half: str) -> bool:
    pixels = np.asarray(Image.open(path).convert("RGB"))
    middle = len(pixels) // 2
    part = pixels[:middle] if half == "upper" else pixels[middle:]
    return bool((part == np.array(colour)).all(-1).any())


def test_masks_have_their_category_colour_and_low_scores_are_hidden(folder: Path):
    dataset = CocoDataset.load(folder / "coco.json", folder)
    results = write_results(folder, [detection(square(5, 5)), detection(square(20, 30), category_id=9, score=0.2)])
    out = folder / "out" / "masks.png"
    caption = draw_detections(dataset, results, out)
    assert has_colour(out, COLOURS[0], "upper")
    assert has_colour(out, COLOURS[1], "upper")
    assert has_colour(out, COLOURS[0], "lower")
    assert not has_colour(out, COLOURS[1], "lower")
    assert "3 of 3 images, evenly spaced" in caption
    assert "0.3" in caption
    draw_detections(dataset, results, out, score_threshold=0.1)
    assert has_colour(out, COLOURS[1], "lower")


@pytest.mark.parametrize(
    ("results", "place"),
    [
        ({"images": []}, r"\.json"),
        ([{"image_id": 10}], r"\[0\].*category_id"),
        ([detection(square(5, 5)), detection(square(5, 5), score="high")], r"\[1\].*score"),
        ([detection(square(5, 5), category_id=5)], r"\[0\]\.category_id"),
        ([detection(np.ones((3, 3), np.bool_))], r"\[0\].*\[3, 3\]"),
    ],
)
def test_damaged_results_are_refused_and_nothing_is_written(folder: Path, results: Any, place: str):
    dataset = CocoDataset.load(folder / "coco.json", folder)
    with pytest.raises(InputError, match=place):
        draw_detections(dataset, write_results(folder, results), folder / "a.png")
    assert not (folder / "a.png").exists()


def track(masks: list[np.ndarray | None], **changes: Any) -> dict[str, Any]:
    encoded = [None if mask is None else encode_mask(mask) for mask in masks]
    return {"video_id": 1, "category_id": 4, "score": 0.9, "segmentations": encoded} | changes


def test_a_predicted_track_takes_the_colour_of_the_track_it_follows_and_the_animation_has_every_frame(folder: Path):
    dataset = YoutubeVisDataset.load(folder / "vis.json", folder)
    follower = track([np.roll(square(20, 30), 2 * frame + 1, 1) for frame in range(3)], category_id=9)
    video, out = show_video(dataset, write_results(folder, [follower])), folder / "strip.png"
    caption = draw_track_strip(video, out)
    assert has_colour(out, COLOURS[0], "upper")
    assert has_colour(out, COLOURS[1], "lower")
    assert not has_colour(out, COLOURS[0], "lower")
    assert "1 of 2" in caption
    assert "frames 1, 2, 3" in caption

    out = folder / "moving.png"
    assert "all 3 frames" in draw_track_animation(video, out)
    with Image.open(out) as picture:
        assert (picture.n_frames, picture.info["loop"]) == (3, 0)
        shown = []
        for frame in range(3):
            picture.seek(frame)
            shown.append(np.asarray(picture.convert("RGB")))
            assert picture.info["duration"] == 500
    assert not any(np.array_equal(one, other) for one, other in itertools.combinations(shown, 2))
    colour = np.array(COLOURS[1])
    half = shown[0].shape[1] // 2
    places = [np.flatnonzero((np.abs(frame[:, half:].astype(int) - colour) < 12).all(-1).any(0)) for frame in shown]
    assert places[0].min() < places[1].min() < places[2].min(), "the predicted square moves to the right"
    assert not re.findall(rb"tEXt|iTXt|zTXt|tIME", out.read_bytes())
    draw_track_animation(video, folder / "again.png")
    assert (folder / "again.png").read_bytes() == out.read_bytes()


def test_objects_whose_track_changes_or_rarely_finds_them_do_not_count_as_kept(folder: Path):
    dataset = YoutubeVisDataset.load(folder / "vis.json", folder)
    cup, plate = ([np.roll(square(*corner), 2 * frame, 1) for frame in range(3)] for corner in ((5, 5), (20, 30)))
    kept, changed = [track(cup), track(plate)], [track([*cup[:2], plate[2]]), track([*plate[:2], cup[2]])]
    for results, count in ((kept, 2), (changed, 0), ([track([None, None, plate[2]])], 0), ([], 0)):
        assert f"({count} of 2)" in show_video(dataset, write_results(folder, results)).rule


def test_tracks_for_other_videos_lengths_or_categories_are_refused(folder: Path):
    dataset = YoutubeVisDataset.load(folder / "vis.json", folder)
    for bad in (track([square(0, 0)] * 2), track([square(0, 0)] * 3, category_id=7)):
        with pytest.raises(InputError, match=r"\[0\]"):
            show_video(dataset, write_results(folder, [bad]))


def test_a_strip_of_two_pixels_is_not_drawn_at_gigabytes():
    assert paint(np.zeros((4000, 2, 3), np.uint8), [], 480).size == (4, 8000)


@pytest.mark.parametrize(("height", "width", "drawn_width"), [(480, 640, 100), (1512, 2016, 1280), (4320, 7680, 300)])
def test_no_object_of_one_pixel_vanishes(height: int, width: int, drawn_width: int):
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = np.zeros((height, width), bool)
        mask[rng.integers(height), rng.integers(width)] = True
        assert np.count_nonzero(resized(mask, drawn_width, round(height * drawn_width / width))) == 1


def test_an_object_of_one_pixel_is_drawn_and_named_in_a_small_picture():
    for place in range(8):
        mask = np.zeros((480, 640), bool)
        mask[100 + place, 200 + place] = True
        drawn = np.asarray(paint(np.zeros((480, 640, 3), np.uint8), [Shape(mask, (255, 0, 0), "cup")], 100))
        assert np.flatnonzero(drawn[..., 0]).size > 40  # the label, and in it or beside it the object


def test_track_iou_sums_before_it_divides():
    one, other = square(0, 0, 10), square(0, 5, 10)
    assert track_iou([one, one], [one, None]) == pytest.approx(100 / 200)
    assert track_iou([one, None], [other, None]) == pytest.approx(50 / 150)
    assert track_iou([None], [None]) == 0


def test_each_annotated_track_gives_its_colour_once():
    def as_track(mask: np.ndarray) -> Track:
        return Track((mask,), "cup", 0.5)

    truth = [as_track(square(0, 0)), as_track(square(20, 30))]
    predicted = [as_track(square(20, 31)), as_track(square(20, 29)), as_track(square(0, 1)), as_track(square(28, 0))]
    assert assign_colours(truth, predicted) == [1, 2, 0, 3]


def test_real_video_and_real_results(shared_data: Path, tmp_path: Path):
    folder = shared_data / "ytvis_mini"
    dataset = YoutubeVisDataset.load(folder / "valid.json", folder / "valid" / "JPEGImages")
    out = tmp_path / "strip.png"
    caption = draw_track_strip(show_video(dataset, folder / "sample_results_valid.json", score_threshold=0.5), out)
    assert "0.5" in caption
    assert Image.open(out).size[0] == 6 * 304 - 4
