from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from reference_model.config import get_config
from reference_model.mobileinst import MobileInst
from reference_model.weights import save_checkpoint
from suite.cli import main
from suite.records.schema import Dataset
from suite.records.store import read_folder

IMAGES = 4
CATEGORIES = {"ids": [1, 2, 3, 4, 5, 6], "names": ["person", "dog", "cat", "horse", "zebra", "giraffe"]}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Weights as they are before training, of six classes that both datasets have."""
    torch.manual_seed(0)
    path = tmp_path / "untrained.safetensors"
    config = get_config("mobileinst_topformer_tiny_shapes")
    save_checkpoint(path, MobileInst(config), config, {"dataset": "nothing", "categories": json.dumps(CATEGORIES)})
    return path


def recorded(root: Path) -> Dataset:
    (run,), refused = read_folder(root / "reports" / "records")
    assert refused == []
    (dataset,) = {item.dataset for item in run.measurements}
    assert dataset is not None
    return dataset


@pytest.fixture
def coco_archives(small_root: Path, shared_data: Path) -> dict[str, str]:
    """A few real images and their annotations, packed as COCO's archives are and pinned."""
    source = shared_data / "coco_mini"
    content = json.loads((source / "annotations" / "instances_val2017.json").read_text())
    content["images"] = content["images"][:IMAGES]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] in kept]
    folder = small_root / "data" / "archives"
    folder.mkdir()
    with zipfile.ZipFile(folder / "val2017.zip", "w") as archive:
        for image in content["images"]:
            archive.write(source / "val2017" / image["file_name"], f"val2017/{image['file_name']}")
    with zipfile.ZipFile(folder / "annotations_trainval2017.zip", "w") as archive:
        archive.writestr("annotations/instances_val2017.json", json.dumps(content))
    pins = yaml.safe_load((small_root / "datasets.dvc").read_text())
    digests = {}
    for out in pins["outs"]:
        path = small_root / out["path"]
        if path.is_file():
            out["md5"], out["size"] = hashlib.md5(path.read_bytes()).hexdigest(), path.stat().st_size
            digests[path.stem] = out["md5"]
    (small_root / "datasets.dvc").write_text(yaml.safe_dump(pins, sort_keys=False))
    return digests


def test_pinned_archives_go_on_record_and_damaged_ones_are_refused(
    small_root: Path, coco_archives: dict[str, str], checkpoint: Path, refused: Any
) -> None:
    words = ["reproduce", "--dataset", "coco", "--checkpoint", str(checkpoint)]
    assert "data fetch val2017" in refused(words, 4)
    assert main(["data", "fetch", "coco-val"]) == 0
    for name in coco_archives:
        archive = small_root / "data" / "archives" / f"{name}.zip"
        intact = archive.read_bytes()
        archive.write_bytes(intact[:-30] + b"x" + intact[-29:])
        line = refused(words, 4)
        assert all(part in line for part in (f"data/archives/{name}.zip: digest is", "move it away"))
        archive.write_bytes(intact)
    assert main(words) == 0
    assert recorded(small_root) == Dataset("coco", "val2017", coco_archives["val2017"], pinned=True, images=IMAGES)


def test_unpinned_video_needs_a_word_and_is_marked(
    small_root: Path, shared_data: Path, checkpoint: Path, refused: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["reproduce", "--dataset", "youtube-vis", "--checkpoint", str(checkpoint)]
    assert "youtube_vis_2019_train" in refused(words, 2)
    words += ["--pin", "youtube_vis_2019_train"]
    assert "https://youtube-vos.org" in refused(words, 4)
    content = json.loads((shared_data / "ytvis_mini" / "valid.json").read_text())
    content["videos"] = content["videos"][:1]
    kept = content["videos"][0]["id"]
    content["annotations"] = [entry for entry in content["annotations"] if entry["video_id"] == kept]
    folder = small_root / "data" / "youtube_vis_2019"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "JPEGImages").symlink_to((shared_data / "ytvis_mini" / "valid" / "JPEGImages").resolve())
    annotations = folder / "train.json"
    annotations.write_text(json.dumps(content))
    assert "train.zip:" in refused(words, 4)
    archive = small_root / "data" / "archives" / "youtube_vis_2019" / "train.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("train/readme.txt", "")
    line = refused(words, 4)
    assert all(part in line for part in ("data add youtube_vis_2019_train", "--allow-unpinned"))
    assert main([*words, "--allow-unpinned", "--local-split"]) == 4
    assert "pinned train annotations" in capsys.readouterr().err
    assert main([*words, "--allow-unpinned"]) == 0
    digest = hashlib.sha256(annotations.read_bytes()).hexdigest()
    assert recorded(small_root) == Dataset("youtube-vis-2019", "train", digest, pinned=False, videos=1)
