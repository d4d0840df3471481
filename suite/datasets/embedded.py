"""The embedded dataset ``shapes``: short videos of moving textured shapes, generated to the byte.

It exists so that the whole path (train, predict, score, track) runs in minutes on a machine without downloads. A
category has a shape and a texture and shares its colours with another. Tracking is tested: look-alikes cross the
picture and each other's ways, leave, come back elsewhere and hide. An AP on it says nothing about COCO or YouTube-VIS.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.mask import toBbox

from suite.datasets import shapes_render
from suite.datasets.coco import CocoDataset
from suite.datasets.inputs import RealInput
from suite.datasets.masks import encode_mask
from suite.datasets.pins import PINS_NAME, Pin, Task, load_pins
from suite.datasets.png import encode_palette_png
from suite.datasets.shapes_scene import (
    CATEGORIES,
    HEIGHT_PX,
    VISIBLE_MIN_PERCENT,
    VISIBLE_MIN_PX,
    WIDTH_PX,
    Scene,
    ShapesConfig,
    draw_scene,
)
from suite.datasets.state import directory_digest, verified_digest
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import DataError
from suite.files import disk_faults
from suite.locks import exclusive
from suite.progress import track

NAME = "shapes"
SPLITS = ("train", "val")
_INFO = {
    "description": "shapes: generated videos of moving textured shapes, the embedded set of mobileinst-suite. "
    "An average precision on it says nothing about COCO or YouTube-VIS.",
    "version": "2.0",
    "year": 2026,
    "contributor": "mobileinst-suite",
    "url": "",
    "date_created": "2026/11/29",
}
_LICENSES = [{"id": 1, "name": "CC0 1.0", "url": "https://creativecommons.org/publicdomain/zero/1.0/"}]
_CATEGORIES = [{"id": k + 1, "name": name, "supercategory": "shape"} for k, name in enumerate(CATEGORIES)]
_SIZE = {"height": HEIGHT_PX, "width": WIDTH_PX}


class _Split:
    """Collects the two official JSON files of one split while its videos are rendered."""

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.instances: list[dict[str, Any]] = []
        self.videos: list[dict[str, Any]] = []
        self.tracks: list[dict[str, Any]] = []

    def video(self, folder: Path, name: str, scene: Scene) -> None:
        """Render one video into ``folder/name`` and note its frames, objects and tracks."""
        video_id = len(self.videos) + 1
        colours = shapes_render.palette(scene)
        file_names = [f"{name}/{frame:05d}.png" for frame in range(len(scene.actors[0].poses))]
        tracks: list[list[dict[str, Any] | None]] = [[] for _ in scene.actors]
        (folder / name).mkdir(parents=True)
        for number, frame in enumerate(shapes_render.render(scene)):
            (folder / file_names[number]).write_bytes(encode_palette_png(frame.indices, colours))
            self.images.append(
                {"id": len(self.images) + 1, "file_name": file_names[number], **_SIZE, "license": 1}
                | {"video_id": video_id, "frame_index": number}
            )
            for actor, full_area_px in enumerate(frame.full_areas_px):
                mask = frame.owners == actor + 1
                area_px = int(np.count_nonzero(mask))
                least_px = max(VISIBLE_MIN_PX, full_area_px * VISIBLE_MIN_PERCENT // 100)
                view = None
                if area_px >= least_px:
                    code = encode_mask(mask)
                    view = {"segmentation": code, "area": area_px, "bbox": toBbox(code).astype(int).tolist()}
                tracks[actor].append(view)
        self._add_tracks(video_id, scene, tracks)
        self.videos.append(
            {"id": video_id, **_SIZE, "length": len(file_names), "file_names": file_names, "license": 1}
            | {"date_captured": "", "flickr_url": "", "coco_url": "", "difficulty": "hard" if scene.hard else "easy"}
        )

    def _add_tracks(self, video_id: int, scene: Scene, tracks: list[list[dict[str, Any] | None]]) -> None:
        first_image = len(self.images) - len(tracks[0]) + 1
        for actor, views in zip(scene.actors, tracks, strict=True):
            if not any(views):
                continue
            track_id, category_id = len(self.tracks) + 1, actor.look.category + 1
            self.tracks.append(
                {
                    "id": track_id,
                    "video_id": video_id,
                    "category_id": category_id,
                    "iscrowd": 0,
                    **_SIZE,
                    "length": len(views),
                    "segmentations": [view and view["segmentation"] for view in views],
                    "bboxes": [view and view["bbox"] for view in views],
                    "areas": [view and view["area"] for view in views],
                }
            )
            for frame, view in enumerate(views):
                if view:
                    identity = {"id": len(self.instances) + 1, "image_id": first_image + frame}
                    kind = {"category_id": category_id, "iscrowd": 0, "track_id": track_id}
                    self.instances.append(identity | kind | view)

    def write(self, folder: Path, split: str) -> None:
        """Write the COCO and the YouTube-VIS annotations."""
        common = {"info": _INFO, "licenses": _LICENSES, "categories": _CATEGORIES}
        files = {
            f"instances_{split}.json": common | {"images": self.images, "annotations": self.instances},
            f"youtube_vis_{split}.json": common | {"videos": self.videos, "annotations": self.tracks},
        }
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
            (folder / name).write_bytes(text.encode("ascii"))


def generate(folder: Path, config: ShapesConfig | None = None) -> None:
    """Generate the dataset.

    Args:
        folder: where to write it: ``train/``, ``val/`` and ``annotations/``; must be absent or empty.
        config: the options; None for the pinned set.
    """
    config = config or ShapesConfig()
    folder.mkdir(parents=True, exist_ok=True)
    with track("generate shapes", sum(map(config.videos, SPLITS))) as step:
        for split in SPLITS:
            collected = _Split()
            for number in range(config.videos(split)):
                collected.video(folder / split, f"{number:04d}", draw_scene(config, split, number))
                step()
            collected.write(folder / "annotations", split)


def ensure() -> str:
    """Make sure that the pinned dataset is at its place, generating it if it is absent; one process does so at a time.

    Returns:
        The digest, equal to the pinned one.

    Raises:
        DataError: if what is there, or what this machine generates, is not the pinned dataset.
    """
    pin = load_pins()[NAME]
    if not pin.file.exists():
        with disk_faults(pin.path), exclusive(pin.file):
            if not pin.file.exists():
                _generate_pinned(pin)
    return verified_digest(pin)


def _generate_pinned(pin: Pin) -> None:
    for left in pin.file.parent.glob(f".{NAME}.*.part"):  # by a killed process: the lock is this one's
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=pin.file.parent, prefix=f".{NAME}.", suffix=".part") as aside:
        fresh = Path(aside) / NAME
        generate(fresh)
        have, _, _ = directory_digest(fresh)
        if have != pin.md5:
            raise DataError(
                f"{pin.path}: this machine generates {have} but {PINS_NAME} pins {pin.md5}; after a change of the "
                "generator run 'python -m suite data add shapes'"
            )
        fresh.rename(pin.file)


def annotations_path(kind: str, split: str) -> Path:
    """Return the path of an annotations file.

    Args:
        kind: ``"instances"`` (COCO) or ``"youtube_vis"``.
        split: ``"train"`` or ``"val"``.
    """
    return load_pins()[NAME].file / "annotations" / f"{kind}_{split}.json"


def data(task: Task, split: str) -> RealInput:
    """Return a split as input of a task, like the user's files and the pinned ones; `ensure` must have run."""
    pin, annotations = load_pins()[NAME], annotations_path("instances" if task == "coco" else "youtube_vis", split)
    return RealInput(task, annotations, pin.file / split, NAME, split, verified_digest(pin), pinned=True)


def images(split: str) -> CocoDataset:
    """Read a split as images; `ensure` must have run."""
    return CocoDataset.load(annotations_path("instances", split), load_pins()[NAME].file / split)


def videos(split: str) -> YoutubeVisDataset:
    """Read a split as videos; `ensure` must have run."""
    return YoutubeVisDataset.load(annotations_path("youtube_vis", split), load_pins()[NAME].file / split)
