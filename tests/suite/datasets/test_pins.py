from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from suite.datasets.pins import load_pins, select_pins
from suite.datasets.state import IGNORED_NAMES, directory_digest, examine, remembered_md5, verified_digest
from suite.errors import DataError, InputError
from suite.paths import repository_root
from tests.suite.datasets.conftest import REPOSITORY


def pin_files(root: Path, **files: bytes) -> None:
    """Put files and a datasets.dvc that pins them into a root."""
    outs = ""
    for name, content in files.items():
        (root / f"{name}.zip").write_bytes(content)
        outs += (
            f"\n- md5: '{hashlib.md5(content).hexdigest()}'\n  size: {len(content)}\n  hash: md5\n  path: {name}.zip\n"
            f"  cache: false\n  meta: {{group: pair, url: 'http://127.0.0.1/{name}.zip'}}"
        )
    (root / "datasets.dvc").write_text(f"outs:{outs}\n")


def refusal(name: str) -> str:
    with pytest.raises(DataError) as caught:
        verified_digest(load_pins()[name])
    return str(caught.value)


def test_the_repositorys_pins_are_the_published_ones(monkeypatch):
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(REPOSITORY))
    pins = load_pins()
    assert pins["val2017"].md5 == "442b8da7639aecaf257c1dceb8ba8c80"
    assert pins["train2017"].size == 19336861798
    assert pins["test2017"].md5 == "77ad2c53ac5d0aea611d422c0938fb35"
    for pin in pins.values():
        if pin.meta.group.startswith("youtube-vis") or pin.meta.group == "backbones":
            assert pin.md5 is None
            assert pin.meta.page.startswith("https://")
        elif pin.meta.group.startswith("coco"):
            assert pin.meta.url.startswith("https://")
        assert pin.meta.split is None or pin.meta.split.annotations_pin in (*pins, "")
    assert [pin.name for pin in select_pins(())] == ["shapes"]
    assert {pin.name for pin in select_pins(("coco-val",))} == {"val2017", "annotations_trainval2017"}
    assert select_pins(("all",)) == list(pins.values())
    with pytest.raises(InputError, match="'coco'"):
        select_pins(("coco",))


def test_verified_digest(empty_root):
    pin_files(empty_root, one=b"content")
    pinned = hashlib.md5(b"content").hexdigest()
    assert verified_digest(load_pins()["one"]) == pinned
    (empty_root / "one.zip").write_bytes(b"cOntent")
    assert pinned in refusal("one")
    assert examine(load_pins()["one"]).have == hashlib.md5(b"cOntent").hexdigest()
    (empty_root / "one.zip").write_bytes(b"con")
    assert examine(load_pins()["one"]).status == "truncated"
    (empty_root / "one.zip").unlink()
    assert "one.zip" in refusal("one")
    assert "data fetch pair" in refusal("one")
    (empty_root / "one.zip").mkdir()
    assert examine(load_pins()["one"]).status == "mismatch"


def test_a_list_that_is_nested_without_end_is_one_line(empty_root):
    (empty_root / "datasets.dvc").write_text("[" * 50_000)
    with pytest.raises(InputError, match=r"datasets\.dvc"):
        load_pins()


def test_an_unpinned_file_has_no_verified_digest(empty_root):
    (empty_root / "datasets.dvc").write_text(
        "outs:\n- path: a.zip\n  cache: false\n  meta: {group: g, page: 'https://example.org/ (login)'}\n"
    )
    assert "https://example.org/ (login)" in refusal("a")
    (empty_root / "a.zip").write_bytes(b"x")
    assert "data add a" in refusal("a")


def dvc_changes(*words: str) -> dict[str, str]:
    """What DVC itself finds changed among some outs."""
    root = repository_root()
    settings = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root / "site")} | os.environ
    command = [sys.executable, "-m", "dvc", "status", "--json", *words]
    run = subprocess.run(command, cwd=root, env=settings, capture_output=True, text=True, check=True)
    stages = json.loads(run.stdout).values()
    return {path: word for stage in stages for change in stage for path, word in change["changed outs"].items()}


def test_dvc_agrees_file_by_file(dvc_root):
    pin_files(dvc_root, one=b"first", two=b"second", three=b"third")
    (dvc_root / "two.zip").write_bytes(b"seconD")
    (dvc_root / "three.zip").unlink()
    assert dvc_changes("one.zip", "two.zip") == {"two.zip": "modified"}
    assert dvc_changes("three.zip") == {"three.zip": "deleted"}
    assert [examine(pin).status for pin in load_pins().values()] == ["verified", "mismatch", "absent"]


def test_a_folders_digest_is_the_one_dvc_computes(dvc_root):
    folder = dvc_root / "set"
    for name in ("b/2.txt", "b/10.txt", "b-a/1.txt", "a.txt", "ü/é.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for name in IGNORED_NAMES:
        (folder / "b" / name).write_text("left by a desktop")
    digest, _, files = directory_digest(folder)
    assert files == 5
    (dvc_root / "datasets.dvc").write_text(
        f"outs:\n- md5: {digest}\n  hash: md5\n  path: set\n  cache: false\n  meta: {{group: g, generator: make it}}\n"
    )
    assert dvc_changes("set") == {}
    assert verified_digest(load_pins()["set"]) == digest
    (folder / "extra.txt").touch()
    assert dvc_changes("set") == {"set": "modified"}
    assert digest in refusal("set")


def test_dvc_understands_the_repositorys_own_file(dvc_root):
    (dvc_root / "datasets.dvc").write_bytes((REPOSITORY / "datasets.dvc").read_bytes())
    changes = dvc_changes("datasets.dvc")
    assert set(changes) == {pin.path for pin in load_pins().values()}
    assert set(changes.values()) == {"deleted"}


def test_digests_are_remembered_until_the_file_changes(empty_root, monkeypatch):
    path = empty_root / "big.zip"
    path.write_bytes(b"old")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    old = remembered_md5(path)
    assert old == hashlib.md5(b"old").hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr("suite.datasets.state.file_digest", lambda *_: "read")
        assert remembered_md5(path) == old
        assert remembered_md5(path, again=True) == "read"
    path.write_bytes(b"new")
    assert remembered_md5(path) == hashlib.md5(b"new").hexdigest()
    # Too fresh to tell a change within the clock's resolution: not remembered.
    assert hashlib.md5(b"new").hexdigest() not in (empty_root / "data" / ".digests.json").read_text()
    (empty_root / "data" / ".digests.json").write_text("{broken")
    assert remembered_md5(path) == hashlib.md5(b"new").hexdigest()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("outs: [", "line 2, column 1"),
        ("outs:\n- path: /etc/passwd", "outs[0].path"),
        ("outs:\n- path: a\n  cache: false\n  url: x\n  meta: {group: g, page: x}", "url"),
        ("outs:\n- path: a\n  cache: false\n  meta: {group: g}", "outs[0]"),
        ("outs:\n- path: a\n  cache: true\n  meta: {group: g, page: x}", "outs[0]"),
        ("outs:\n- path: a\n  cache: false\n  meta: {group: g, url: x}", "md5"),
        (f"outs:\n- {{path: a, cache: false, md5: {'1' * 32}, meta: {{group: g, page: x}}}}", "outs[0].md5"),
        ("outs:\n- {path: a, cache: false, meta: {group: g, page: x, unpack: /}}", "outs[0].meta.unpack"),
        ("outs:\n" + "- {path: a, cache: false, meta: {group: g, page: x}}\n" * 2, "outs[1] (a)"),
    ],
)
def test_a_broken_datasets_dvc_is_named_with_the_place(empty_root, text, place):
    (empty_root / "datasets.dvc").write_text(text)
    with pytest.raises(InputError) as caught:
        load_pins()
    assert "datasets.dvc" in str(caught.value)
    assert place in str(caught.value)
