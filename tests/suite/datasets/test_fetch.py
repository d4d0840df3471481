from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from suite.cli import main
from suite.datasets.health import require_health
from suite.datasets.pins import load_pins
from suite.datasets.state import examine, verified_digest
from suite.errors import DataError
from tests.suite.datasets.conftest import REPOSITORY
from tests.suite.datasets.fault_server import Behaviour, serving

OFFLINE = "http://127.0.0.1:9"


def zipped(folder: Path, path: Path) -> bytes:
    """Pack a folder under its own name, as the official archives are."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{folder.name}/{file.name}")
    return path.read_bytes()


def out(name: str, content: bytes, meta: str) -> str:
    return (
        f"- md5: '{hashlib.md5(content).hexdigest()}'\n  size: {len(content)}\n  hash: md5\n  path: {name}\n"
        f"  cache: false\n  meta: {{group: coco-val, {meta}, unpack: data/coco}}\n"
    )


@pytest.fixture
def archives(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("archives")
    coco = shared_data / "coco_mini"
    return {
        "val2017.zip": zipped(coco / "val2017", folder / "val2017.zip"),
        "annotations_trainval2017.zip": zipped(coco / "annotations", folder / "annotations.zip"),
    }


def pin_all(root: Path, archives: dict[str, bytes], address: str) -> None:
    outs = (
        out(f"data/archives/{name}", content, f"url: '{address}/zips/{name}'") for name, content in archives.items()
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
        assert "80 images, 815 objects" in captured.err
        asked = len(behaviour.requests)
        assert main(["data", "fetch", "coco-val"]) == 0
        assert len(behaviour.requests) == asked
        assert "unpacked into" not in capsys.readouterr().err
    assert main(["data", "status", "coco-val", "--check"]) == 0
    annotations = dvc_root / "data/coco/annotations/instances_val2017.json"
    images = dvc_root / "data/coco/val2017"
    words = ["data", "health", "--dataset", "coco", "--annotations", str(annotations), "--images", str(images)]
    assert main([*words, "--deep"]) == 0
    capsys.readouterr()
    (images / "000000005001.jpg").unlink()
    assert main([*words, "--json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert {check["what"]: check["well"] for check in report["checks"]}["files"] is False


def test_one_flipped_byte_fails_every_check(empty_root, archives, capsys):
    pin_all(empty_root, archives, OFFLINE)
    target = empty_root / "data" / "archives" / "val2017.zip"
    target.parent.mkdir(parents=True)
    content = bytearray(archives["val2017.zip"])
    content[1000] ^= 1
    target.write_bytes(content)
    assert main(["data", "status", "val2017", "--check"]) == 4
    assert "data/archives/val2017.zip" in capsys.readouterr().out
    assert main(["data", "add", "val2017"]) == 4
    with pytest.raises(DataError, match=r"val2017\.zip"):
        verified_digest("val2017")


def test_what_is_damaged_after_unpacking_is_unpacked_again(empty_root, archives):
    pin_all(empty_root, archives, OFFLINE)
    (empty_root / "data" / "archives").mkdir(parents=True)
    for name, content in archives.items():
        (empty_root / "data" / "archives" / name).write_bytes(content)
    assert main(["data", "fetch", "coco-val"]) == 0
    annotations = empty_root / "data/coco/annotations/instances_val2017.json"
    images = empty_root / "data/coco/val2017"
    next(images.iterdir()).unlink()
    assert main(["data", "fetch", "coco-val"]) == 4
    shutil.rmtree(images)
    assert main(["data", "fetch", "coco-val"]) == 0
    assert require_health("coco", annotations, images).well


def test_what_needs_a_login_is_described(empty_root, capsys):
    official_pins(empty_root)
    assert main(["data", "fetch", "youtube-vis-2021"]) == 4
    message = capsys.readouterr().err
    for name in ("train", "valid", "test"):
        assert f"data/archives/youtube_vis_2021/{name}.zip" in message
    assert "https://youtube-vos.org/dataset/vis/" in message
    assert "data add youtube_vis_2021_train" in message


def test_archives_elsewhere_are_linked_not_copied(empty_root, archives, tmp_path_factory, capsys):
    pin_all(empty_root, archives, OFFLINE)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name, content in archives.items():
        (elsewhere / name).write_bytes(content)
    assert main(["data", "add", "coco-val", str(elsewhere)]) == 0
    assert (empty_root / "data/archives/val2017.zip").samefile(elsewhere / "val2017.zip")
    assert (empty_root / "data/coco/val2017").is_dir()
    assert main(["data", "add", "coco-val", str(empty_root / "nowhere")]) == 4
    assert "nowhere" in capsys.readouterr().err


def test_a_wrong_archive_elsewhere_is_neither_linked_nor_touched(empty_root, archives, tmp_path_factory, capsys):
    pin_all(empty_root, archives, OFFLINE)
    path = tmp_path_factory.mktemp("elsewhere") / "val2017.zip"
    wrong = archives["val2017.zip"][:-1] + b"x"
    for content, source in ((wrong, path), (wrong[:100], path.parent)):
        path.write_bytes(content)
        assert main(["data", "add", "val2017", str(source)]) == 4
        assert str(path) in capsys.readouterr().err
        assert path.read_bytes() == content
    path.unlink()
    assert main(["data", "add", "val2017", str(path.parent)]) == 4
    assert "val2017.zip" in capsys.readouterr().err
    assert not (empty_root / "data/archives/val2017.zip").exists()


def test_files_nobody_pinned_are_linked_and_pinned_and_may_be_added_again(empty_root, tmp_path_factory, capsys):
    page = "  cache: false\n  meta: {group: g, page: 'a page (login)'}\n"
    (empty_root / "datasets.dvc").write_text(f"outs:\n- path: data/a.bin\n{page}- path: data/b.bin\n{page}")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "a.bin").write_bytes(b"a")
    assert main(["data", "add", "g", str(elsewhere)]) == 4
    assert "data/b.bin" in capsys.readouterr().err
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


def videos_zip(root: Path, count: int) -> Path:
    path = root / "data/archives/youtube_vis_2021/valid.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for video in range(count):
            for frame in range(2):
                archive.writestr(f"valid/JPEGImages/{video:04d}/{frame:05d}.jpg", b"")
        archive.writestr("valid/instances.json", "{}")
    return path


def test_a_pin_is_measured_after_the_counts_were_compared(empty_root, capsys):
    known = official_pins(empty_root)
    before = known.read_text()
    words = ["data", "add", "youtube_vis_2021_valid", "--no-unpack"]
    assert main(words) == 4
    videos_zip(empty_root, 420)
    assert main(words) == 4
    message = capsys.readouterr().err
    assert "420" in message
    assert "421" in message
    assert known.read_text() == before
    path = videos_zip(empty_root, 421)
    assert examine(load_pins()["youtube_vis_2021_valid"]).status == "unpinned"
    assert main(words) == 0
    pinned = load_pins()["youtube_vis_2021_valid"]
    assert pinned.md5 == hashlib.md5(path.read_bytes()).hexdigest() == verified_digest("youtube_vis_2021_valid")
    assert pinned.size == path.stat().st_size
    changed = set(known.read_text().splitlines()) ^ set(before.splitlines())
    assert {line.strip("- ").split(":")[0] for line in changed} == {"md5", "size", "path"}
    assert main(["data", "add", "nothing"]) == 2


def test_a_list_in_place_of_annotations_is_not_pinned(empty_root, capsys):
    before = official_pins(empty_root).read_bytes()
    path = empty_root / "data" / "youtube_vis_2019" / "valid.json"
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    assert main(["data", "add", "youtube_vis_2019_valid_annotations"]) == 2
    assert "valid.json" in capsys.readouterr().err
    assert (empty_root / "datasets.dvc").read_bytes() == before


def test_a_deliberately_changed_generator_gets_a_new_pin(dvc_root):
    official_pins(dvc_root)
    folder = dvc_root / "data" / "shapes"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("other content")
    assert main(["data", "status", "embedded", "--check"]) == 4
    assert main(["data", "add", "shapes"]) == 0
    assert main(["data", "status", "embedded", "--check"]) == 0
    assert load_pins()["shapes"].size == len("other content")
