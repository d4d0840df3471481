from __future__ import annotations

import hashlib
import random
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from suite.datasets.fetch import unpack
from suite.datasets.pins import Pin, load_pins
from suite.datasets.state import examine
from suite.errors import DataError


def link_entry(name: str, target: str) -> tuple[zipfile.ZipInfo, str]:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry, target


def archive(root: Path, entries: list[tuple[str | zipfile.ZipInfo, str]], name: str = "a") -> Pin:
    path = root / "data" / "archives" / f"{name}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry, content in entries:
            target.writestr(entry, content)
    return pin(root, name)


def pin(root: Path, name: str = "a") -> Pin:
    path = root / "data" / "archives" / f"{name}.zip"
    known = root / "datasets.dvc"
    text = known.read_text() if known.exists() else "outs:\n"
    known.write_text(
        f"{text}- path: data/archives/{name}.zip\n  md5: '{hashlib.md5(path.read_bytes()).hexdigest()}'\n"
        f"  cache: false\n  meta: {{group: g, page: 'http://127.0.0.1/{name}.zip', unpack: data/set}}\n"
    )
    return load_pins()[name]


def files(root: Path) -> dict[str, str]:
    folder = root / "data" / "set"
    found = (path for path in folder.rglob("*") if path.is_file() and ".unpacked" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def test_unpacking_once_and_then_nothing(empty_root):
    target = archive(empty_root, [("val/", ""), ("val/1.txt", "one"), ("val/deep/2.txt", "two")])
    assert unpack(target)
    assert files(empty_root) == {"val/1.txt": "one", "val/deep/2.txt": "two"}
    written = (empty_root / "data/set/val/1.txt").stat().st_mtime_ns
    assert not unpack(target)
    assert (empty_root / "data/set/val/1.txt").stat().st_mtime_ns == written
    assert sorted(path.name for path in (empty_root / "data/set").iterdir()) == [".unpacked", "val"]
    # The archive may go; what is gone is unpacked again.
    content = target.file.read_bytes()
    target.file.unlink()
    assert examine(target).status == "unpacked"
    assert not unpack(target)
    shutil.rmtree(empty_root / "data/set/val")
    assert examine(target).status == "absent"
    with pytest.raises(DataError, match=r"a\.zip"):
        unpack(target)
    target.file.write_bytes(content)
    assert unpack(target)
    assert files(empty_root) == {"val/1.txt": "one", "val/deep/2.txt": "two"}


def test_what_a_killed_process_left_half_unpacked_is_removed(empty_root):
    target = archive(empty_root, [("val/1.txt", "one")])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        # A process that is killed does not get to remove its temporary folder.
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        patch.setattr("suite.datasets.fetch._move_into", killed)
        with pytest.raises(KeyboardInterrupt):
            unpack(target)
    left = [path.name for path in (empty_root / "data/set").iterdir() if path.name != ".unpacked"]
    assert len(left) == 1
    assert unpack(target)
    assert sorted(path.name for path in (empty_root / "data/set").iterdir()) == [".unpacked", "val"]


@pytest.mark.parametrize(
    "entry",
    [
        ("../evil.txt", "x"),
        ("val/../../evil.txt", "x"),
        ("/tmp/evil.txt", "x"),
        ("..\\evil.txt", "x"),
        link_entry("val/link", "/etc/passwd"),
        ("val/1.txt", "two"),
        ("val/1.txt/below.txt", "x"),
        (".unpacked/b.json", '{"digest": "x", "tops": []}'),
        ("val/" + 256 * "n", "x"),
    ],
    ids=["up", "up inside", "absolute", "backslash", "link", "twice", "below a file", "stamp", "long"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_leaves_the_folder_or_comes_twice_stops_everything(empty_root, entry):
    target = archive(empty_root, [("val/1.txt", "one"), entry])
    with pytest.raises(DataError, match=r"data/archives/a\.zip"):
        unpack(target)
    assert files(empty_root) == {}
    assert not (empty_root / "evil.txt").exists()
    assert not (empty_root / "data/evil.txt").exists()


def test_a_damaged_archive_leaves_nothing(empty_root):
    archive(empty_root, [("val/0.txt", "zero"), ("val/1.txt", "one" * 1000)])
    path = empty_root / "data/archives/a.zip"
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as whole:
        entry = whole.getinfo("val/1.txt")
    content[entry.header_offset + 30 + len(entry.filename) + 4] ^= 255
    path.write_bytes(content)
    (empty_root / "datasets.dvc").unlink()
    damaged = pin(empty_root)
    with pytest.raises(DataError, match=r"a\.zip"):
        unpack(damaged)
    assert files(empty_root) == {}
    assert [path.name for path in (empty_root / "data/set").iterdir()] == [".unpacked"]
    path.write_bytes(b"no zip at all")
    (empty_root / "datasets.dvc").unlink()
    with pytest.raises(DataError, match=r"a\.zip"):
        unpack(pin(empty_root))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_with_any_bytes_changed_are_unpacked_or_refused(empty_root, method):
    path = empty_root / "data/archives/a.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", method) as target:
        target.writestr("val/é.txt", "one" * 100)
    whole, rng = path.read_bytes(), random.Random(0)
    refused = []
    for _ in range(40):
        changed = bytearray(whole)
        changed[rng.randrange(len(whole))] = rng.randrange(256)
        path.write_bytes(changed)
        (empty_root / "datasets.dvc").unlink(missing_ok=True)
        try:
            unpack(pin(empty_root))
        except DataError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 40
    assert all("data/archives/a.zip" in message for message in refused)


@pytest.mark.parametrize("link", ["val", "val/sub"])
def test_a_linked_folder_is_never_written_into(empty_root, tmp_path_factory, link):
    target = archive(empty_root, [("val/sub/1.txt", "one")])
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (empty_root / "data/set" / link).parent.mkdir(parents=True)
    (empty_root / "data/set" / link).symlink_to(elsewhere)
    with pytest.raises(DataError, match=f"data/set/{link}"):
        unpack(target)
    assert list(elsewhere.iterdir()) == []
