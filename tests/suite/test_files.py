from __future__ import annotations

import gzip
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from suite import files
from suite.errors import DataError, InputError
from suite.files import DiskError, atomic_path, copy_together, read_json, write_json, write_text
from suite.locks import claimed, exclusive
from suite.seeds import derive_seed


def test_json_round_trip_plain_gzip_and_with_a_byte_order_mark(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, "ü"]}
    write_json(tmp_path / "a.json", value)
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps(value).encode()))
    (tmp_path / "c.json").write_bytes(json.dumps(value).encode("utf-8-sig"))
    for name in ("a.json", "b.json.gz", "c.json"):
        assert read_json(tmp_path / name) == value


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b'{"a": [1, 2', "line 1 column"),
        (b'{"a": NaN}', "NaN"),
        (b"\xff\xfe", ""),
        (b"", "line 1 column 1"),
        (gzip.compress(b"[1, 2, 3]", mtime=0)[:-6], "gzip"),
        (b"[" * 200_000, ""),
    ],
)
def test_bad_json_is_named_with_the_place(tmp_path: Path, content: bytes, place: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.json") as caught:
        read_json(path)
    assert place in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json"):
        read_json(tmp_path / "none.json")
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(InputError, match=str(path)):
            read_json(path)


def test_a_small_gzip_is_not_unpacked_to_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b"[" + b" " * 2_000_000 + b"]"))
    assert read_json(path) == []
    monkeypatch.setattr(files, "UNPACKED_BYTES", 1_000_000)
    with pytest.raises(InputError, match=r"bomb\.json\.gz"):
        read_json(path)


def test_nothing_is_left_half_written(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")

    def fail_half_way() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(ValueError, match="JSON"):
        write_json(target, [float("nan")])
    assert target.read_text() == "old"


WRITER = """
import os, signal, sys
from pathlib import Path
from suite.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    sys.stdin.readline()
"""


def test_what_a_killed_process_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "theirs.bin")]
    writers = []
    for _ in range(2):
        writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        writers.append(writer)
    dead, living = writers
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    assert len(list(tmp_path.iterdir())) == 2
    write_text(tmp_path / "ours.txt", "whole")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".part", ".txt"]
    living.communicate("\n")
    assert {path.name for path in tmp_path.iterdir()} == {"ours.txt", "theirs.bin"}


def test_only_regular_files_are_replaced(tmp_path: Path) -> None:
    pipe, folder, link = tmp_path / "pipe", tmp_path / "folder", tmp_path / "link"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder, Path("/dev/null")):
        with pytest.raises(InputError, match=str(path)):
            write_text(path, "x")
    assert pipe.is_fifo()
    link.symlink_to(tmp_path / "elsewhere.txt")
    write_text(link, "through the link")
    assert link.is_symlink()
    assert (tmp_path / "elsewhere.txt").read_text() == "through the link"


def test_what_the_disk_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="file") as caught:
        write_text(tmp_path / "file" / "below", "x")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # as one from a process of its own comes
    if Path("/dev/full").exists():

        def fill() -> None:
            with atomic_path(tmp_path / "big"):
                Path("/dev/full").write_text("x")

        with pytest.raises(DiskError, match="big"):
            fill()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_that_belong_together_are_replaced_together(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    copies = {tmp_path / name: tmp_path / "new" for name in ("a", "b")}
    copy_together(copies)
    (tmp_path / "new").write_text("newer")
    with pytest.raises(InputError):
        copy_together({**copies, tmp_path / "c": tmp_path / "absent"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new", "b": "new", "new": "newer"}


def test_one_at_a_time(tmp_path: Path) -> None:
    target, order = tmp_path / "folder" / "a", []

    def second() -> None:
        with claimed(target) as holder:
            assert f"process {os.getpid()}" in holder
        with exclusive(target):
            order.append("second")

    with exclusive(target):
        with claimed(target) as holder:  # whoever holds it goes on
            assert not holder
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    with claimed(target) as holder:
        assert not holder
    assert list(target.parent.iterdir()) == []


def test_seeds_differ_by_component_and_do_not_change() -> None:
    assert derive_seed(0, "weights") != derive_seed(0, "order")
    assert derive_seed(0, "weights") != derive_seed(1, "weights")
    assert derive_seed(7, "weights") == 1_582_155_821
