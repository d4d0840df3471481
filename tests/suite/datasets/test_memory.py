"""Notes kept beside the data: they only ever save work, and a damaged one is as good as none."""

from pathlib import Path

import pytest

from suite.datasets.digests import read_notes, write_notes


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("suite.datasets.digests.data_dir", lambda: tmp_path)
    return tmp_path


def test_what_is_kept_is_recalled_under_its_own_name():
    write_notes("digests", {"a.jpg": {"md5": "0" * 32}})
    write_notes("health", {})
    assert read_notes("digests") == {"a.jpg": {"md5": "0" * 32}}
    assert read_notes("health") == {}


@pytest.mark.parametrize("damage", [b"", b'{"a.jpg": ', b"[1, 2]", b"\xff\xfe"])
def test_a_damaged_memory_is_an_empty_one(data_folder: Path, damage: bytes):
    (data_folder / "digests").write_bytes(damage)
    assert read_notes("digests") == {}


def test_a_place_that_cannot_be_written_keeps_nothing_and_harms_nothing(data_folder: Path):
    (data_folder / "digests").mkdir()
    write_notes("digests", {"a.jpg": 1})
    assert read_notes("digests") == {}
    assert list(data_folder.iterdir()) == [data_folder / "digests"]
