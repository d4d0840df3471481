from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from suite.errors import DataError, InputError
from suite.files import atomic_path, read_json, write_json
from suite.seeds import derive_seed


def test_json_round_trip_plain_and_gzip(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, "ü"]}
    write_json(tmp_path / "a.json", value)
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps(value).encode()))
    assert read_json(tmp_path / "a.json") == read_json(tmp_path / "b.json.gz") == value


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"a": [1, 2', "line 1 column"),
        (b'{"a": NaN}', "NaN"),
        (b"\xff\xfe", "not valid JSON"),
        (b"", "line 1 column 1"),
        (gzip.compress(b"[1, 2, 3]", mtime=0)[:-6], "damaged gzip"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_bad_json_is_named(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.json") as caught:
        read_json(path)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such results file"):
        read_json(tmp_path / "none.json", "results file")


def test_nothing_is_left_half_written(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")

    def fail_half_way() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(target, [float("nan")])
    assert target.read_text() == "old"


def test_seeds_differ_by_component_and_do_not_change() -> None:
    assert derive_seed(0, "weights") != derive_seed(0, "order")
    assert derive_seed(0, "weights") != derive_seed(1, "weights")
    assert derive_seed(7, "weights") == 1_582_155_821
