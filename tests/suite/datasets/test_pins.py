from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from suite.cli import main
from suite.datasets.digests import IGNORED_NAMES, directory_md5, file_md5, remember, remembered_md5
from suite.datasets.dvc_check import dvc_changes
from suite.datasets.pins import examine, load_pins, select_pins, verified_digest
from suite.errors import DataError, InputError

REPOSITORY = Path(__file__).resolve().parents[3]

OUT = """
- {digest}
  size: {size}
  hash: md5
  path: {path}
  cache: false
  meta: {{group: {group}, url: 'http://127.0.0.1/{path}'}}
"""


def root_with(root: Path, **files: bytes) -> None:
    """Put files and a datasets.dvc that pins them into ``root``, with DVC's own configuration beside it."""
    import hashlib

    outs = ""
    for name, content in files.items():
        (root / f"{name}.zip").write_bytes(content)
        digest = f"md5: '{hashlib.md5(content).hexdigest()}'"
        outs += OUT.format(digest=digest, size=len(content), path=f"{name}.zip", group="pair")
    (root / "datasets.dvc").write_text(f"outs:{outs}")
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    (root / ".dvcignore").write_bytes((REPOSITORY / ".dvcignore").read_bytes())


def test_the_repositorys_pins_are_the_published_ones():
    pins = load_pins(REPOSITORY / "datasets.dvc")
    assert pins["val2017"].md5 == "442b8da7639aecaf257c1dceb8ba8c80"
    assert pins["train2017"].size == 19336861798
    assert pins["test2017"].md5 == "77ad2c53ac5d0aea611d422c0938fb35"
    assert pins["annotations_trainval2017"].size == 252907541
    assert pins["image_info_test2017"].md5 == "85da7065e5e600ebfee8af1edb634eb5"
    assert pins["shapes"].md5.endswith(".dir")
    for pin in pins.values():
        if pin.group.startswith("youtube-vis") or pin.group == "backbones":
            assert pin.md5 is None
            assert pin.page.startswith("https://")
    assert [pin.name for pin in select_pins((), pins)] == ["shapes"]
    assert {pin.name for pin in select_pins(("coco-val",), pins)} == {"val2017", "annotations_trainval2017"}
    assert select_pins(("all",), pins) == list(pins.values())
    with pytest.raises(InputError, match="no group or dataset 'coco'; groups: embedded, coco-val"):
        select_pins(("coco",), pins)


def test_verified_digest(empty_root):
    root_with(empty_root, one=b"content")
    assert verified_digest("one") == file_md5(empty_root / "one.zip")
    with pytest.raises(InputError, match="no dataset 'two'; known: one"):
        verified_digest("two")
    (empty_root / "one.zip").write_bytes(b"cOntent")
    with pytest.raises(DataError, match=r"one\.zip: digest is [0-9a-f]{32} but datasets\.dvc pins [0-9a-f]{32}; move"):
        verified_digest("one")
    (empty_root / "one.zip").write_bytes(b"con")
    with pytest.raises(DataError, match=r"one\.zip: truncated, has 3 of 7 bytes"):
        verified_digest("one")
    (empty_root / "one.zip").unlink()
    with pytest.raises(DataError, match=r"one\.zip: absent; run 'python -m suite data fetch pair'"):
        verified_digest("one")
    (empty_root / "one.zip").mkdir()
    with pytest.raises(DataError, match="should be a file"):
        verified_digest("one")


def test_an_unpinned_file_is_used_only_where_that_is_allowed(empty_root):
    (empty_root / "datasets.dvc").write_text(
        "outs:\n- path: a.zip\n  cache: false\n  meta: {group: g, page: 'https://example.org/ (login)'}\n"
    )
    with pytest.raises(DataError, match=r"a\.zip: absent; get it from https://example\.org/ \(login\)"):
        verified_digest("a", allow_unpinned=True)
    (empty_root / "a.zip").write_bytes(b"x")
    with pytest.raises(DataError, match="pins no digest"):
        verified_digest("a")
    assert verified_digest("a", allow_unpinned=True) == file_md5(empty_root / "a.zip")


def test_dvc_agrees_file_by_file(empty_root):
    root_with(empty_root, one=b"first", two=b"second")
    assert dvc_changes(["one.zip", "two.zip"]) == {}
    (empty_root / "two.zip").write_bytes(b"seconD")
    assert dvc_changes(["one.zip", "two.zip"]) == {"two.zip": "modified"}
    (empty_root / "two.zip").unlink()
    assert dvc_changes(["two.zip"]) == {"two.zip": "deleted"}
    assert [examine(pin).status for pin in load_pins().values()] == ["verified", "absent"]


def test_a_folders_digest_is_the_one_dvc_computes(empty_root):
    folder = empty_root / "set"
    for name in ("b/2.txt", "b/10.txt", "b-a/1.txt", "a.txt", "ü/é.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for name in IGNORED_NAMES:
        (folder / "b" / name).write_text("left by a desktop")
    (empty_root / "datasets.dvc").write_text(
        f"outs:\n- md5: {directory_md5(folder)}\n  hash: md5\n  path: set\n  cache: false\n"
        "  meta: {group: embedded, generator: make it}\n"
    )
    (empty_root / ".dvc").mkdir()
    (empty_root / ".dvc" / "config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    (empty_root / ".dvcignore").write_bytes((REPOSITORY / ".dvcignore").read_bytes())
    assert dvc_changes(["set"]) == {}
    assert verified_digest("set") == directory_md5(folder)
    (folder / "extra.txt").touch()
    assert dvc_changes(["set"]) == {"set": "modified"}
    with pytest.raises(DataError, match="set: digest is"):
        verified_digest("set")


def test_dvc_understands_the_repositorys_own_file(tmp_path):
    (tmp_path / "datasets.dvc").write_bytes((REPOSITORY / "datasets.dvc").read_bytes())
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    command = [sys.executable, "-m", "dvc", "status", "-q", "datasets.dvc"]
    settings = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}
    run = subprocess.run(command, cwd=tmp_path, env=settings | os.environ, capture_output=True, text=True, check=False)
    # 1 means "something is not as pinned" (nothing is here); 255 would mean that DVC cannot read the file.
    assert run.returncode == 1, run.stderr


def test_digests_are_remembered_until_the_file_changes(empty_root):
    path = empty_root / "big.zip"
    path.write_bytes(b"old")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert remembered_md5(path) is None
    remember(path, file_md5(path))
    assert remembered_md5(path) == file_md5(path)
    path.write_bytes(b"new")
    assert remembered_md5(path) is None
    # Too fresh to tell a change within the clock's resolution: not remembered.
    remember(path, file_md5(path))
    assert remembered_md5(path) is None
    (empty_root / "data" / ".digests.json").write_text("{broken")
    assert remembered_md5(path) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("outs: [", "not valid YAML at line 1 column 8"),
        ("outs: 3", "no list 'outs'"),
        ("[]", "no list 'outs'"),
        ("outs:\n- 3", r"outs\[0\]: each out needs a 'path'"),
        ("outs:\n- path: /etc/passwd", "inside the repository"),
        ("outs:\n- path: ../a", "inside the repository"),
        ("outs:\n- path: a\n  cache: false", r"outs\[0\] \(a\): needs 'meta'"),
        ("outs:\n- path: a\n  url: x\n  meta: {group: g, url: x}", "unknown out key 'url'"),
        ("outs:\n- path: a\n  cache: false\n  meta: {group: g, urls: x}", "unknown meta key 'urls'"),
        ("outs:\n- path: a\n  cache: false\n  meta: {group: g}", "one of url, page, generator"),
        ("outs:\n- path: a\n  meta: {group: g, url: x}", "needs 'cache: false'"),
        ("outs:\n- {path: a, cache: false, md5: abc, meta: {group: g, url: x}}", "md5 'abc' is not 32"),
        (f"outs:\n- {{path: a, cache: false, md5: {'1' * 32}, meta: {{group: g, url: x}}}}", "put it in quotes"),
        ("outs:\n- {path: a, cache: false, size: big, meta: {group: g, url: x}}", "size must be a number"),
        ("outs:\n- {path: a, cache: false, meta: {group: g, url: 3}}", r"meta\.url must be text"),
        ("outs:\n- {path: a, cache: false, meta: {group: g, url: x, unpack: /}}", r"meta\.unpack must be a folder"),
        ("outs:\n" + "- {path: a, cache: false, meta: {group: g, url: x}}\n" * 2, r"outs\[1\] \(a\): name or path"),
    ],
)
def test_a_broken_datasets_dvc_is_explained(empty_root, text, words):
    (empty_root / "datasets.dvc").write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        load_pins()
    assert str(caught.value).startswith("datasets.dvc: ")


def test_commands(empty_root, capsys):
    assert main(["data", "status"]) == 4
    assert "datasets.dvc: absent" in capsys.readouterr().err
    root_with(empty_root, one=b"first", two=b"second")
    assert main(["data", "verify", "pair"]) == 0
    table = capsys.readouterr().out
    assert table.count("verified") == 2
    (empty_root / "two.zip").write_bytes(b"seconD")
    assert main(["data", "verify", "pair"]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("error: two.zip: digest is ")
    assert main(["data", "status", "pair", "--json"]) == 0
    out = capsys.readouterr().out
    assert '"status": "mismatch"' in out
    assert main(["data", "verify", "nothing"]) == 2
    assert "no group or dataset 'nothing'" in capsys.readouterr().err
