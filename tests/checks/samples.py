"""The real photographs and videos that the checks learn."""

from __future__ import annotations

import json
import os
from pathlib import Path

from suite.datasets.local_split import part_of


def sample_folder() -> Path:
    """Return the folder of samples: MOBILEINST_SHARED_DATA, or ``shared/data`` beside the repository."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    return Path(os.environ.get("MOBILEINST_SHARED_DATA", beside))


def write_first_images(annotations: Path, path: Path, count: int) -> None:
    """Write the annotations of the first pictures of a COCO file that have an instance, without crowds."""
    whole = json.loads(annotations.read_text())
    objects = [item for item in whole["annotations"] if not item["iscrowd"]]
    shown = {item["image_id"] for item in objects}
    ids = [image["id"] for image in whole["images"] if image["id"] in shown][:count]
    path.write_text(json.dumps(part_of(whole | {"annotations": objects}, "image", set(ids))))
