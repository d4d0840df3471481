"""Health of what official files and folders really hold: flat polygons, dead links, headers that lie."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from pathlib import Path

import pytest
from PIL import Image

from suite.datasets.health import check_health, require_health
from suite.errors import DataError


def one_picture(folder: Path, segmentation: list[list[float]]) -> Path:
    """Write COCO annotations of one 300 x 400 picture with one object; the picture itself is left to the test."""
    (folder / "images").mkdir()
    path = folder / "annotations.json"
    shown = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation, "area": 0.0, "bbox": [0, 0, 0, 0]}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 400, "width": 300}],
        "annotations": [shown],
        "categories": [{"id": 1, "name": "thing"}],
    }
    path.write_text(json.dumps(content))
    return path


def test_the_flat_polygons_of_official_coco_are_no_fault(empty_root, tmp_path):
    """Two objects of train2017 are lines of no height; this one's id there is 918."""
    annotations = one_picture(tmp_path, [[296.65, 388.33, 296.65, 388.33, 297.68, 388.33, 297.68, 388.33]])
    Image.new("RGB", (300, 400)).save(tmp_path / "images" / "a.png")
    report = check_health("coco", annotations, tmp_path / "images", deep=True)
    assert report.well
    assert (report.checks[-1].what, report.checks[-1].well) == ("masks", True)


def test_health_survives_odd_image_folders(empty_root, tmp_path):
    annotations = one_picture(tmp_path, [[1, 1, 9, 1, 9, 9]])
    picture = tmp_path / "images" / "a.png"
    Image.new("RGB", (300, 400)).save(picture)
    (tmp_path / "images" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    latin_1_name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "images" / latin_1_name).write_bytes(b"of an old archive")
    assert check_health("coco", annotations, tmp_path / "images").well
    # A header that claims 60000 x 60000 pixels, which Pillow refuses to open.
    head = b"IHDR" + (60000).to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
    picture.write_bytes(picture.read_bytes()[:12] + head + zlib.crc32(head).to_bytes(4, "big"))
    for deep in (False, True):
        report = check_health("coco", annotations, tmp_path / "images", deep)
        assert str(picture) in report.text()
        assert not report.well


@pytest.mark.parametrize(
    ("change", "what", "words"),
    [
        (lambda content, folder: (folder / "0001" / "00002.png").unlink(), "files", "0001/00002.png"),
        (lambda content, folder: (folder / "0000" / "00001.png").write_bytes(b"x"), "images", "0000/00001.png"),
        (lambda content, folder: content["videos"][0].update(height=64), "images", "19 faults"),
        (
            lambda content, folder: content["annotations"][0]["segmentations"].__setitem__(
                0, {"size": [128, 192], "counts": [128 * 192]}
            ),
            "masks",
            "annotations[0].segmentations[0]",
        ),
        (
            lambda content, folder: content["annotations"][0].update(segmentations=[None] * 19),
            "tracks",
            "annotations[0]",
        ),
    ],
)
def test_health_finds(empty_root, small_shapes, tmp_path_factory, change, what, words):
    folder = tmp_path_factory.mktemp("damaged") / "val"
    shutil.copytree(small_shapes / "val", folder)
    annotations = small_shapes / "annotations" / "youtube_vis_val.json"
    assert require_health("youtube-vis", annotations, folder).well
    content = json.loads(annotations.read_text())
    change(content, folder)
    path = folder.parent / "val.json"
    path.write_text(json.dumps(content))
    report = check_health("youtube-vis", path, folder, deep=True)
    assert not report.well
    check = next(check for check in report.checks if check.what == what)
    assert not check.well
    assert words in check.detail
    assert f"BAD  {what}" in report.text()
    with pytest.raises(DataError, match=what):
        require_health("youtube-vis", path, folder)
