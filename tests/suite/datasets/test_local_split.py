"""The local split of YouTube-VIS train: balanced, disjoint, the same whatever the order, and scored as what it is."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from suite.accuracy.video_ap import score_youtube_vis
from suite.cli import main
from suite.datasets.categories import YOUTUBE_VIS
from suite.datasets.local_split import held_out, list_path, part_of, read_local_split
from tests.suite.accuracy.cases import random_video, written
from tests.suite.datasets.lists import write_list

SIZES = {"youtube-vis-2019": (2238, 302), "youtube-vis-2021": (2985, 421)}


def table(videos: int, seed: int, categories: int = 40) -> dict[int, frozenset[int]]:
    """Return a table of videos with one to three categories of very unequal frequency, some with none."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(categories, 0.7))
    amounts = rng.choice([0, 1, 2, 3], videos, p=[0.01, 0.74, 0.2, 0.05])
    return {
        place: frozenset((rng.choice(categories, amount, p=share) + 1).tolist())
        for place, amount in enumerate(amounts.tolist(), start=1)
    }


def counted(categories_of: Mapping[int, frozenset[int]], ids: Any) -> Counter[int]:
    return Counter(category for key in ids for category in categories_of[key])


def assert_balanced(categories_of: dict[int, frozenset[int]], ids: tuple[int, ...], amount: int) -> None:
    assert len(set(ids)) == len(ids) == amount
    assert set(ids) < set(categories_of)
    assert list(ids) == sorted(ids)
    whole, held = counted(categories_of, categories_of), counted(categories_of, ids)
    for category, total in whole.items():
        share = total * amount / len(categories_of)
        assert abs(held[category] - share) <= 1 + 0.12 * share
        if total > 1:
            assert 0 < held[category] < total
        else:
            assert held[category] == 0


def test_the_rule_is_frozen() -> None:
    """A published list must never shift: the ids of a fixed table, as text, have a fixed digest."""
    ids = held_out({key: frozenset({key % 7 + 1, key % 3 + 8}) for key in range(1, 301)}, 40, "youtube-vis-2019")
    assert hashlib.sha256(repr(ids).encode()).hexdigest()[:16] == "b80f11b7e81a83be"


def train_file(dataset: str) -> dict[str, Any]:
    """Return train annotations of the official size, without masks."""
    categories_of = table(SIZES[dataset][0], 0)
    videos = [
        {"id": key, "height": 4, "width": 4, "length": 1, "file_names": [f"{key}/0.jpg"]} for key in categories_of
    ]
    pairs = [(key, category) for key, categories in categories_of.items() for category in sorted(categories)]
    tracks = [
        {"id": place, "video_id": key, "category_id": category, "segmentations": [None], "areas": [None], "iscrowd": 0}
        for place, (key, category) in enumerate(pairs, start=1)
    ]
    categories = [{"id": place, "name": name} for place, name in enumerate(YOUTUBE_VIS[dataset], start=1)]
    return {"videos": videos, "annotations": tracks, "categories": categories}


def place_train(root: Path, dataset: str, content: dict[str, Any]) -> Path:
    """Put train annotations where the pins want them and pin them; return the file."""
    name, raw = dataset.replace("-", "_"), json.dumps(content).encode()
    inside = "train/instances.json" if dataset == "youtube-vis-2021" else "train.json"
    split = {"task": "youtube-vis", "annotations": inside, "images": "train/JPEGImages"}
    archive, annotations = root / "data" / "archives" / name / "train.zip", root / "data" / name / inside
    meta: dict[str, Any] = {"group": dataset, "page": "a page"}
    metas = {archive: meta | {"name": f"{name}_train", "unpack": f"data/{name}", "split": split}}
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("train/instances.json", raw)
    if dataset == "youtube-vis-2019":
        annotations.parent.mkdir(parents=True, exist_ok=True)
        annotations.write_bytes(raw)
        split["annotations_pin"] = f"{name}_train_annotations"
        metas = {annotations: meta | {"name": f"{name}_train_annotations"}} | metas
    outs = [
        {
            "path": path.relative_to(root).as_posix(),
            "md5": hashlib.md5(path.read_bytes()).hexdigest(),
            "size": path.stat().st_size,
            "cache": False,
            "meta": own,
        }
        for path, own in metas.items()
    ]
    (root / "datasets.dvc").write_text(yaml.safe_dump({"outs": outs}))
    if dataset == "youtube-vis-2021":
        assert main(["data", "fetch", f"{name}_train"]) == 0
    return annotations


@pytest.mark.parametrize("dataset", SIZES)
def test_command_writes_the_list_and_both_parts(
    empty_root: Path, capsys: pytest.CaptureFixture[str], dataset: str
) -> None:
    content = train_file(dataset)
    annotations = place_train(empty_root, dataset, content)
    capsys.readouterr()
    assert main(["data", "split", dataset, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    path = list_path(dataset)
    split = read_local_split(path, annotations)
    assert made["ids"] == str(path)
    assert split.split == "local-valid"
    assert split.annotations_sha256 == hashlib.sha256(annotations.read_bytes()).hexdigest()
    videos, amount = SIZES[dataset]
    assert_balanced(table(videos, 0), tuple(split.held_out), amount)
    assert (made["valid_videos"], made["train_videos"]) == (amount, videos - amount)
    first = path.read_bytes()
    assert main(["data", "split", dataset]) == 0
    assert path.read_bytes() == first


def test_other_train_annotations_are_refused(empty_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = train_file("youtube-vis-2019")
    annotations = place_train(empty_root, "youtube-vis-2019", content)
    annotations.write_bytes(annotations.read_bytes().replace(b'"height": 4', b'"height": 5', 1))
    assert main(["data", "split", "youtube-vis-2019"]) == 4
    assert "datasets.dvc pins" in capsys.readouterr().err
    place_train(empty_root, "youtube-vis-2019", part_of(content, "video", range(1, 100)))
    assert main(["data", "split", "youtube-vis-2019"]) == 4
    assert {"99", "2238"} <= set(re.findall(r"\d+", capsys.readouterr().err))
    assert not list_path("youtube-vis-2019").parent.exists()


@pytest.mark.parametrize("seed", range(2))
def test_scoring_a_part_equals_scoring_its_own_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    document, results = random_video(seed)
    ids = sorted(video["id"] for video in document["videos"])[::2]
    annotations, found = written(tmp_path, document, results)
    listed = tmp_path / "ids.json"
    write_list(listed, annotations, ids)
    words = ["score", "youtube-vis", "--annotations", str(annotations), "--results", str(found)]
    assert main([*words, "--split-ids", str(listed), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    own, kept = tmp_path / "own.json", tmp_path / "kept.json"
    own.write_text(json.dumps(part_of(document, "video", ids)))
    kept.write_text(json.dumps([item for item in results if item["video_id"] in ids]))
    assert printed["stats"] == score_youtube_vis(own, kept).stats
    assert printed["counts"]["videos"] == len(ids)
    dropped = sum(item["video_id"] not in ids for item in results)
    assert any("left out" in note for note in printed["notes"]) == (dropped > 0)


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"annotations_sha256": "0" * 64}, 4, "ids.json"),
        ({"held_out": [1, 1]}, 2, "held_out"),
        ({"held_out": []}, 2, "held_out"),
        ({"held_out": [10**9]}, 2, "1000000000"),
        ({"rule": None}, 2, "rule"),
    ],
)
def test_bad_lists_are_refused(tmp_path: Path, refused: Any, changes: dict[str, Any], code: int, message: str) -> None:
    document, results = random_video(1)
    annotations, found = written(tmp_path, document, results)
    listed = tmp_path / "ids.json"
    write_list(listed, annotations, [document["videos"][0]["id"]], **changes)
    words = ["score", "youtube-vis", "--annotations", annotations, "--results", found, "--split-ids", listed]
    assert message in refused(words, code)
