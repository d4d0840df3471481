from __future__ import annotations

import hashlib
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from suite.datasets.download import DownloadOptions, download
from suite.datasets.pins import load_pins
from suite.errors import DataError, InputError
from suite.files import DiskError
from tests.suite.datasets.fault_server import Behaviour, serving

CONTENT = b"PK\x03\x04" + random.Random(0).randbytes(3_000_000)
QUICK = DownloadOptions(timeout_s=0.5, attempts=2, pause_s=0.01)
TARGET = "data/archives/a.zip"


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


def pinned(root: Path, address: str, content: bytes = CONTENT, size: bool = True):
    length = f"  size: {len(content)}\n" if size else ""
    (root / "datasets.dvc").write_text(
        f"outs:\n- path: {TARGET}\n  md5: '{hashlib.md5(content).hexdigest()}'\n{length}"
        f"  cache: false\n  meta: {{group: test, url: '{address}/zips/a.zip'}}\n"
    )
    return load_pins()["a"]


def tree(root: Path) -> dict[str, bytes]:
    """All files below data/, except the memory of digests."""
    files = (path for path in (root / "data").rglob("*") if path.is_file() and path.name != ".digests.json")
    return {path.name: path.read_bytes() for path in files}


def begun(root: Path, content: bytes) -> None:
    """Leave what an earlier run has brought."""
    part = root / (TARGET + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(content)


def fault(pin, options: DownloadOptions = QUICK) -> str:
    with pytest.raises((DataError, DiskError)) as caught:
        download(pin, options)
    assert TARGET in str(caught.value)
    return str(caught.value)


def asked(behaviour: Behaviour) -> list[str | None]:
    return [wanted for _, wanted in behaviour.requests]


@pytest.mark.parametrize("length", [True, False], ids=["length announced", "no length"])
def test_cuts_are_resumed_within_one_run(empty_root, pin, behaviour, length):
    behaviour.cut_at, behaviour.cuts, behaviour.length = 1_000_000, 2, length
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}
    assert asked(behaviour) == [None, "bytes=1000000-", "bytes=2000000-"]


@pytest.mark.parametrize("cut_by", [0, 70_000, -70_000], ids=["same cut", "later each time", "earlier each time"])
def test_a_server_that_begins_anew_and_never_sends_the_end_is_left(empty_root, pin, behaviour, cut_by):
    behaviour.ranges, behaviour.cut_at, behaviour.cut_by = False, 1_000_000, cut_by
    assert "a.zip.part" in fault(pin, DownloadOptions(None, 0.5, 4, 0.001))
    assert len(behaviour.requests) == 5  # the first made progress, four did not
    assert set(tree(empty_root)) == {"a.zip.part"}


@pytest.mark.parametrize("offset", [1, 1000, 400_000])
def test_a_range_from_another_offset_is_not_appended(empty_root, pin, behaviour, offset):
    begun(empty_root, CONTENT[:500_000])
    behaviour.offset = offset
    download(pin, QUICK)
    assert asked(behaviour) == ["bytes=500000-", None]
    assert tree(empty_root) == {"a.zip": CONTENT}


def test_a_server_that_brings_a_few_bytes_each_time_is_left(empty_root, pin, behaviour):
    behaviour.cut_at = 1000
    fault(pin)
    assert len(behaviour.requests) == QUICK.attempts


@pytest.mark.parametrize("length", [True, False], ids=["length announced", "no length"])
def test_never_more_bytes_than_the_pin_says(empty_root, pin, behaviour, length):
    behaviour.files["a.zip"], behaviour.length = CONTENT + b"more", length
    assert str(len(CONTENT)) in fault(pin)
    assert tree(empty_root) == {}


def test_without_a_pinned_size_no_more_than_the_disk_has_room_for(empty_root, address, behaviour, monkeypatch):
    behaviour.length = False
    pin = pinned(empty_root, address, size=False)
    usage = shutil.disk_usage(empty_root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=65_000_000))
    fault(pin)
    assert tree(empty_root) == {}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}


def test_one_flipped_bit_is_set_aside(empty_root, pin, behaviour):
    wrong = bytearray(CONTENT)
    wrong[2_000_000] ^= 16
    behaviour.files["a.zip"] = bytes(wrong)
    before = (empty_root / "datasets.dvc").read_bytes()
    message = fault(pin)
    assert hashlib.md5(wrong).hexdigest() in message
    assert pin.md5 in message
    assert tree(empty_root) == {"a.zip.bad": bytes(wrong)}
    assert (empty_root / "datasets.dvc").read_bytes() == before
    behaviour.files["a.zip"] = CONTENT
    download(pin, QUICK)
    assert tree(empty_root)["a.zip"] == CONTENT


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (401, 1), (503, QUICK.attempts), (429, 2)])
def test_refusals_leave_nothing(empty_root, pin, behaviour, status, tries):
    behaviour.status = status
    assert str(status) in fault(pin)
    assert tree(empty_root) == {}
    assert len(behaviour.requests) == tries


@pytest.mark.parametrize("page_type", ["text/html; charset=utf-8", "application/octet-stream"])
@pytest.mark.parametrize("already", [0, 500_000])
def test_a_login_page_is_recognised_and_spares_what_has_arrived(empty_root, pin, behaviour, page_type, already):
    begun(empty_root, CONTENT[:already])
    behaviour.page = b"\n<!DOCTYPE html><title>Sign in</title>" + b" " * 5000
    behaviour.page_type = page_type
    assert "data add" in fault(pin)
    assert tree(empty_root) == {"a.zip.part": CONTENT[:already]}


def test_a_slow_server_is_waited_for_and_a_silent_one_is_not(empty_root, pin, behaviour):
    behaviour.stall, behaviour.ranges = True, False
    assert "a.zip.part" in fault(pin, DownloadOptions(None, 0.2, 1, 0.01))
    behaviour.stall, behaviour.pause_s = False, 0.1
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT}


@pytest.mark.parametrize(
    ("content", "requests"),
    [
        (CONTENT[:700_000], ["bytes=700000-"]),
        (b"old" * 100_000, ["bytes=300000-", None]),
        (CONTENT, []),
        (CONTENT + b"more", [None]),
        (b"x" * len(CONTENT), [None]),
    ],
    ids=["killed", "another file's", "whole", "too long", "whole but wrong"],
)
def test_what_an_earlier_run_has_left(empty_root, pin, behaviour, content, requests):
    begun(empty_root, content)
    download(pin, QUICK)
    assert asked(behaviour) == requests
    assert tree(empty_root) == {"a.zip": CONTENT}


def test_the_environments_proxy_is_asked_instead_of_the_host(empty_root, address, behaviour, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", address)
    download(pinned(empty_root, "http://nowhere.invalid"), QUICK)
    assert behaviour.requests == [("http://nowhere.invalid/zips/a.zip", None)]


@pytest.mark.parametrize("address", ["ftp://127.0.0.1", "file:///etc", "http://127.0.0.1:notaport", "http://"])
def test_what_is_no_address_is_refused(empty_root, address):
    with pytest.raises(InputError):
        download(pinned(empty_root, address), QUICK)


def test_three_at_once_download_it_once(empty_root, pin, behaviour):
    behaviour.pause_s = 0.05
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(download, [pin] * 3, [QUICK] * 3))
    assert len(behaviour.requests) == 1
    assert tree(empty_root) == {"a.zip": CONTENT}


def test_a_wrong_file_in_its_place_is_set_aside(empty_root, pin):
    target = empty_root / TARGET
    target.parent.mkdir(parents=True)
    target.write_bytes(b"x" * len(CONTENT))
    download(pin, QUICK)
    assert tree(empty_root) == {"a.zip": CONTENT, "a.zip.bad": b"x" * len(CONTENT)}
