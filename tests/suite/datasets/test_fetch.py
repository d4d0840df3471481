from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path

import pytest

from suite.cli import main
from suite.datasets.pins import load_pins
from suite.datasets.state import examine
from tests.suite.datasets.conftest import REPOSITORY
from tests.suite.datasets.fault_server import Behaviour, serving


@pytest.fixture
def archives(shared_data: Path, tmp_path: Path) -> dict[str, bytes]:
    """Each folder packed under its own name, as the official archives are."""
    packed = {}
    for name in ("val2017", "annotations"):
        folder, path = shared_data / "coco_mini" / name, tmp_path / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.iterdir()):
                archive.write(file, f"{name}/{file.name}")
        packed[path.name] = path.read_bytes()
    return packed


def pin_all(root: Path, archives: dict[str, bytes], address: str) -> None:
    split = "split: {task: coco, annotations: annotations/instances_val2017.json, images: val2017}"
    outs = (
        f"- md5: '{hashlib.md5(content).hexdigest()}'\n  size: {len(content)}\n  hash: md5\n  cache: false\n"
        f"  path: data/archives/{name}\n"
        f"  meta: {{group: coco-val, url: '{address}/zips/{name}', unpack: data/coco, {split}}}\n"
        for name, content in archives.items()
    )
    (root / "datasets.dvc").write_text("outs:\n" + "".join(outs))


def official_pins(root: Path) -> Path:
    """Give a root the repository's own datasets.dvc."""
    path = root / "datasets.dvc"
    path.write_bytes((REPOSITORY / "datasets.dvc").read_bytes())
    return path


def test_real_coco_goes_the_whole_way_and_the_second_time_nothing_happens(dvc_root, archives, capsys):
    behaviour = Behaviour(files=archives, cut_at=3_000_000, cuts=2)
    with serving(behaviour) as address:
        pin_all(dvc_root, archives, address)
        assert main(["data", "fetch", "coco-val", "--json"]) == 0
        captured = capsys.readouterr()
        assert {row["status"] for row in json.loads(captured.out).values()} == {"verified"}
        assert {"80", "815"} <= set(re.findall(r"\d+", captured.err))
        asked = len(behaviour.requests)
        assert main(["data", "fetch", "coco-val"]) == 0
        assert len(behaviour.requests) == asked
        assert "unpacked into" not in capsys.readouterr().err
    annotations = dvc_root / "data/coco/annotations/instances_val2017.json"
    images = dvc_root / "data/coco/val2017"
    words = ["data", "health", "--dataset", "coco", "--annotations", str(annotations), "--images", str(images)]
    assert main([*words, "--deep"]) == 0
    capsys.readouterr()
    (images / "000000005001.jpg").unlink()
    assert main([*words, "--json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert {check["what"]: check["well"] for check in report["checks"]}["files"] is False


def test_files_nobody_pinned_are_linked_and_pinned_and_may_be_added_again(empty_root, tmp_path_factory, capsys):
    page = "  cache: false\n  meta: {group: g, page: 'a page (login)'}\n"
    (empty_root / "datasets.dvc").write_text(f"outs:\n- path: data/a.bin\n{page}- path: data/b.bin\n{page}")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "a.bin").write_bytes(b"a")
    assert main(["data", "add", "g", str(elsewhere)]) == 4
    assert "data/b.bin" in capsys.readouterr().err
    assert (empty_root / "data" / "a.bin").exists()
    (elsewhere / "other name").write_bytes(b"b")
    assert main(["data", "add", "b", str(elsewhere / "other name")]) == 0
    assert main(["data", "add", "g", str(elsewhere)]) == 0
    assert (empty_root / "data" / "a.bin").samefile(elsewhere / "a.bin")
    assert (empty_root / "data" / "b.bin").samefile(elsewhere / "other name")
    assert {pin.md5 for pin in load_pins().values()} == {hashlib.md5(content).hexdigest() for content in (b"a", b"b")}
    (empty_root / "data" / "a.bin").unlink()
    (elsewhere / "a.bin").write_bytes(b"another")
    assert main(["data", "add", "g", str(elsewhere)]) == 4
    assert not (empty_root / "data" / "a.bin").exists()


def test_a_pin_is_measured_after_the_health_check(empty_root, small_shapes, capsys):
    known = official_pins(empty_root)
    before = known.read_text()
    words = ["data", "add", "youtube_vis_2021_valid"]
    assert main(words) == 4
    path = empty_root / "data/archives/youtube_vis_2021/valid.zip"
    path.parent.mkdir(parents=True)
    frames = sorted((small_shapes / "val").rglob("*.png"))
    for count in (0, -1, None):
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(small_shapes / "annotations" / "youtube_vis_val.json", "valid/instances.json")
            for frame in frames[:count]:
                archive.write(frame, f"valid/JPEGImages/{frame.relative_to(small_shapes / 'val')}")
        assert examine(load_pins()["youtube_vis_2021_valid"]).status == "unpinned"
        assert main(words) == (0 if count is None else 4)
        assert (known.read_text() == before) == (count is not None)
    assert frames[-1].name in capsys.readouterr().err
    pinned = load_pins()["youtube_vis_2021_valid"]
    assert pinned.md5 == hashlib.md5(path.read_bytes()).hexdigest() == examine(pinned).have
    assert pinned.size == path.stat().st_size
    changed = set(known.read_text().splitlines()) ^ set(before.splitlines())
    assert {line.strip("- ").split(":")[0] for line in changed} == {"md5", "size", "path"}
    assert main(["data", "add", "nothing"]) == 2


@pytest.mark.parametrize("spoilt", ["other content", "bomb", "bad pictures"])
def test_an_archive_that_is_refused_leaves_its_place_to_the_right_one(empty_root, tmp_path, small_shapes, spoilt):
    official_pins(empty_root)
    frames = sorted((small_shapes / "val").rglob("*.png"))
    for name in ("wrong", "right"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(small_shapes / "annotations" / "youtube_vis_val.json", "valid/instances.json")
            for frame in frames[: 0 if (name, spoilt) == ("wrong", "other content") else None]:
                inside = f"valid/JPEGImages/{frame.relative_to(small_shapes / 'val')}"
                if (name, spoilt) == ("wrong", "bad pictures"):
                    archive.writestr(inside, b"no picture")
                else:
                    archive.write(frame, inside)
            if (name, spoilt) == ("wrong", "bomb"):
                archive.writestr("valid/zeros", bytes(100_000_000))
    words = ["data", "add", "youtube_vis_2021_valid"]
    assert main([*words, str(tmp_path / "wrong.zip")]) == 4
    assert not any((empty_root / "data").rglob("zeros"))
    assert main([*words, str(tmp_path / "right.zip")]) == 0
    assert load_pins()["youtube_vis_2021_valid"].md5 == hashlib.md5((tmp_path / "right.zip").read_bytes()).hexdigest()


def test_a_deliberately_changed_generator_gets_a_new_pin(empty_root):
    official_pins(empty_root)
    folder = empty_root / "data" / "shapes"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("other content")
    assert main(["data", "status", "embedded", "--check"]) == 4
    assert main(["data", "add", "shapes"]) == 0
    assert main(["data", "status", "embedded", "--check"]) == 0
    assert load_pins()["shapes"].size == len("other content")
