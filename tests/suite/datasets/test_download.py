from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import threading
from pathlib import Path

import pytest

from suite.datasets import download as download_module
from suite.datasets.download import DownloadOptions, download
from suite.datasets.pins import load_pins
from suite.errors import DataError, InputError
from tests.suite.datasets.fault_server import Behaviour, serving

CONTENT = b"PK\x03\x04" + random.Random(0).randbytes(3_000_000)
QUICK = DownloadOptions(timeout_s=0.5, attempts=2, pause_s=0.01)
TARGET = "data/archives/a.zip"


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def behaviour():
    return Behaviour(files={"a.zip": CONTENT})


@pytest.fixture
def address(behaviour):
    with serving(behaviour) as url:
        yield url


@pytest.fixture
def pin(empty_root, address):
    return pinned(empty_root, address)


def pinned(root: Path, address: str, content: bytes = CONTENT, size: bool = True, md5: bool = True):
    digest = f"  md5: '{hashlib.md5(content).hexdigest()}'\n  hash: md5\n" if md5 else ""
    length = f"  size: {len(content)}\n" if size else ""
    meta = f"  meta: {{group: test, url: '{address}/zips/a.zip'}}\n"
    (root / "datasets.dvc").write_text(f"outs:\n- path: {TARGET}\n{digest}{length}  cache: false\n{meta}")
    return load_pins()["a"]


def tree(root: Path) -> dict[str, bytes]:
    """All files below data/, except the memory of digests."""
    files = (path for path in (root / "data").rglob("*") if path.is_file() and path.name != ".digests.json")
    return {path.name: path.read_bytes() for path in files}


def fault(pin, words: str, options: DownloadOptions = QUICK) -> str:
    with pytest.raises(DataError, match=words) as caught:
        download(pin, options)
    message = str(caught.value)
    assert TARGET in message or "/zips/a.zip" in message
    return message


def test_a_fresh_download_and_nothing_the_second_time(empty_root, pin, behaviour):
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}
    download(pin, QUICK)
    assert len(behaviour.requests) == 1


def test_cuts_are_resumed_within_one_run(empty_root, pin, behaviour):
    behaviour.cut_at, behaviour.cuts = 1_000_000, 2
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}
    assert [wanted for _, wanted in behaviour.requests] == [None, "bytes=1000000-", "bytes=2000000-"]


def test_a_truncated_download_is_kept_and_resumed_by_the_next_run(empty_root, pin, behaviour):
    behaviour.cut_at, behaviour.cuts = 700_000, 1
    with pytest.MonkeyPatch.context() as patch:

        def killed(*arguments: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(download_module, "say", killed)
        with pytest.raises(KeyboardInterrupt):
            download(pin, QUICK)
    assert tree(empty_root)["a.zip.part"] == CONTENT[:700_000]
    assert "a.zip" not in tree(empty_root)
    download(pin, QUICK)
    assert behaviour.requests[-1] == ("/zips/a.zip", "bytes=700000-")
    assert tree(empty_root) == {"a.zip": CONTENT}


def test_a_server_that_never_sends_the_end(empty_root, pin, behaviour):
    behaviour.cut_at = 1_000_000
    behaviour.files["a.zip"] = CONTENT
    behaviour.ranges = False
    message = fault(pin, "truncated, 1000000 of 3000004 bytes arrived", DownloadOptions(None, None, 0.5, 2, 0.01))
    assert "a.zip.part" in message
    assert "run the same command again" in message
    assert "a.zip" not in tree(empty_root)


def test_one_flipped_bit_is_set_aside(empty_root, pin, behaviour):
    wrong = bytearray(CONTENT)
    wrong[2_000_000] ^= 16
    behaviour.files["a.zip"] = bytes(wrong)
    before = (empty_root / "datasets.dvc").read_bytes()
    message = fault(pin, r"digest of the download is [0-9a-f]{32} but datasets\.dvc pins [0-9a-f]{32}")
    assert hashlib.md5(wrong).hexdigest() in message
    assert pin.md5 in message
    assert tree(empty_root) == {"a.zip.bad": bytes(wrong)}
    assert (empty_root / "datasets.dvc").read_bytes() == before
    behaviour.files["a.zip"] = CONTENT
    download(pin, QUICK)
    assert tree(empty_root)["a.zip"] == CONTENT


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "answers 404 Not Found; the file may have moved"),
        (403, r"access refused \(403\)"),
        (401, "access refused"),
    ],
)
def test_refusals_leave_nothing(empty_root, pin, behaviour, status, words):
    behaviour.status = status
    fault(pin, words)
    assert tree(empty_root) == {}
    assert len(behaviour.requests) == 1


def test_a_failing_server_is_asked_again(empty_root, pin, behaviour):
    behaviour.status = 503
    fault(pin, "cannot be reached .*503")
    assert len(behaviour.requests) == QUICK.attempts
    assert tree(empty_root) == {}


@pytest.mark.parametrize("page_type", ["text/html; charset=utf-8", "application/octet-stream"])
@pytest.mark.parametrize("already", [0, 500_000])
def test_a_login_page_is_recognised_and_spares_what_has_arrived(empty_root, pin, behaviour, page_type, already):
    part = empty_root / (TARGET + ".part")
    if already:
        part.parent.mkdir(parents=True)
        part.write_bytes(CONTENT[:already])
    behaviour.page = b"\n<!DOCTYPE html><title>Sign in</title>" + b" " * 5000
    behaviour.page_type = page_type
    assert "--from" in fault(pin, "answers with a web page")
    assert tree(empty_root) == ({"a.zip.part": CONTENT[:already]} if already else {})


def test_a_slow_server_is_waited_for(empty_root, pin, behaviour):
    behaviour.pause_s = 0.1
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}


def test_a_silent_server_is_not_waited_for_forever(empty_root, pin, behaviour):
    behaviour.stall = True
    behaviour.ranges = False
    message = fault(pin, "truncated", DownloadOptions(None, None, 0.2, 1, 0.01))
    assert "nothing for too long" in message


def test_a_file_that_changed_upstream_between_two_runs(empty_root, pin, behaviour):
    part = empty_root / (TARGET + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"old" * 100_000)
    part.with_name(part.name + ".etag").write_text('"another version"')
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}
    assert behaviour.requests == [("/zips/a.zip", "bytes=300000-")]


def test_a_file_that_changed_upstream_on_a_server_without_versions(empty_root, pin, behaviour):
    behaviour.etags = False
    part = empty_root / (TARGET + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"old" * 100_000)
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}
    assert [wanted for _, wanted in behaviour.requests] == ["bytes=300000-", None]


def test_another_size_upstream_is_refused_before_downloading(empty_root, pin, behaviour):
    behaviour.files["a.zip"] = CONTENT + b"more"
    fault(pin, "offers 3000008 bytes but datasets.dvc pins 3000004")
    assert tree(empty_root) == {}


def test_a_server_without_ranges_starts_again(empty_root, pin, behaviour):
    behaviour.ranges = False
    behaviour.cut_at, behaviour.cuts = 1_000_000, 1
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}


def test_a_part_that_is_already_whole_or_too_long(empty_root, pin, behaviour):
    part = empty_root / (TARGET + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    download(pin, QUICK)
    assert behaviour.requests == []
    assert tree(empty_root) == {"a.zip": CONTENT}
    (empty_root / TARGET).unlink()
    part.write_bytes(CONTENT + b"more")
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}


def test_without_pinned_size_or_digest(empty_root, address, behaviour):
    behaviour.length = False
    download(pinned(empty_root, address, size=False), QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}
    (empty_root / TARGET).unlink()
    download(pinned(empty_root, address, size=False, md5=False), QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}


def test_a_cut_of_an_answer_without_a_length_is_seen_by_the_pinned_size(empty_root, pin, behaviour):
    behaviour.length = False
    behaviour.cut_at, behaviour.cuts = 1_000_000, 1
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}
    assert [wanted for _, wanted in behaviour.requests] == [None, "bytes=1000000-"]


def test_offline(empty_root):
    pin = pinned(empty_root, "http://127.0.0.1:9")
    assert "--mirror" in fault(pin, "cannot be reached")
    assert tree(empty_root) == {}


def test_a_mirror_replaces_the_host(empty_root, address, behaviour):
    pin = pinned(empty_root, "http://nowhere.invalid")
    download(pin, DownloadOptions(f"{address}/bucket/", None, 0.5, 1))
    assert behaviour.requests == [("/bucket/zips/a.zip", None)]


def test_a_proxy_is_asked_instead_of_the_host(empty_root, address, behaviour, monkeypatch):
    monkeypatch.delenv("no_proxy")
    pin = pinned(empty_root, "http://nowhere.invalid")
    download(pin, DownloadOptions(None, address, 0.5, 1))
    assert behaviour.requests == [("http://nowhere.invalid/zips/a.zip", None)]


def test_addresses_that_are_none(empty_root):
    pin = pinned(empty_root, "file:///etc")
    with pytest.raises(InputError, match="only http and https"):
        download(pin, QUICK)
    assert tree(empty_root) == {}


def test_two_at_once(empty_root, pin, behaviour):
    behaviour.pause_s = 0.05
    faults: list[BaseException] = []

    def run() -> None:
        try:
            download(pin, QUICK)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(behaviour.requests) == 1
    assert tree(empty_root) == {"a.zip": CONTENT}


def test_a_wrong_file_in_its_place_is_set_aside(empty_root, pin, capsys):
    target = empty_root / TARGET
    target.parent.mkdir(parents=True)
    target.write_bytes(b"x" * len(CONTENT))
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT, "a.zip.bad": b"x" * len(CONTENT)}
    assert "set aside as a.zip.bad" in capsys.readouterr().err


def test_too_little_room(empty_root, pin, behaviour, monkeypatch):
    usage = shutil.disk_usage(empty_root)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    fault(pin, "needs 3 MB but the disk has 1 MB free")
    assert behaviour.requests == []
    assert tree(empty_root) == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_the_disk_fills_up_meanwhile(empty_root, pin):
    part = empty_root / (TARGET + ".part")
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.MonkeyPatch.context() as patch:
        # Reading /dev/full never ends, so the earlier part counts as empty here.
        patch.setattr("suite.datasets.partial.Path.exists", lambda self, **_: False)
        fault(pin, "the disk is full")
    assert not (empty_root / TARGET).exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_written(empty_root, pin):
    folder = (empty_root / TARGET).parent
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    try:
        fault(pin, "permissions")
    finally:
        folder.chmod(0o700)


def test_a_refused_write_is_explained(empty_root, pin, monkeypatch):
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    fault(pin, r"cannot be written \(Permission denied\); check the folder's permissions")
