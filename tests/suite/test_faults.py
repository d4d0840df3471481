"""What the suite does when the machine, not the user, is at fault: streams that are closed or full, defects."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from suite.cli import main
from suite.commands import explain
from suite.datasets.pictures import read_picture
from suite.distributed import start_processes
from suite.errors import InputError
from suite.records.store import read_run

SUITE = [sys.executable, "-m", "suite"]


@pytest.mark.parametrize(
    ("command", "code", "named"),
    [
        ("suite ledger >&-", 2, "standard output"),
        pytest.param(
            "suite ledger >/dev/full",
            2,
            "standard output",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full"),
        ),
        ("suite ledger | true", 0, None),
        ("suite ledger 2>&- >/dev/null", 0, None),
        ("suite ledger --nonsense 2>&-", 2, None),
    ],
)
def test_output_that_nobody_can_take(command: str, code: int, named: str | None) -> None:
    line = re.sub(r"\bsuite\b", " ".join(SUITE), command)
    run = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
    assert run.stderr.count("\n") == (named is not None)
    if named:
        assert named in run.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [("predict {frames} --frames --save {out}", "frames.mp4"), ("publish --to {out}", "model.safetensors")],
)
def test_a_disk_that_takes_no_more_leaves_nothing_cut_short(
    words: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit on the size of files stands in for a full disk: the write fails half-way in the same place."""
    frames, out = tmp_path / "frames", tmp_path / "out"
    frames.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (12, 96, 96, 3), dtype=np.uint8)
    for number, frame in enumerate(noise):
        Image.fromarray(frame).save(frames / f"{number:05d}.png")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 10, hard))  # Python ignores SIGXFSZ: a write beyond is an error
    try:
        assert main(words.format(frames=frames, out=out).split()) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(out / named) in capsys.readouterr().err.splitlines()[-1]
    assert not list(out.glob("*"))


@pytest.fixture
def defect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[BaseException]:
    """Make `explain` raise the exception that is put into the list; temporary files go to a folder of the test."""
    raised: list[BaseException] = []

    def fail(**_: object) -> None:
        raise raised[0]

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(explain, "command", click.Command("explain", callback=fail))
    return raised


@pytest.mark.parametrize(
    "error", [KeyError("a key"), MemoryError(), RuntimeError("two\nlines"), FileNotFoundError(2, "x")]
)
def test_a_defect_has_an_exit_code_of_its_own_and_keeps_its_traceback(
    defect: list[BaseException], error: BaseException, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    defect.append(error)
    assert main(["explain"]) == 70
    (kept,) = tmp_path.iterdir()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert str(kept) in shown.err
    assert type(error).__name__ in shown.err
    assert "in fail" in kept.read_text()


def test_a_defect_with_nowhere_to_keep_the_traceback(
    defect: list[BaseException], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    defect.append(KeyError("a key"))
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    assert main(["explain"]) == 70
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("names", [["reports/tables"], []])
def test_a_disk_that_refuses_is_no_defect(
    defect: list[BaseException], names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    defect.append(OSError(30, "Read-only file system", *names))
    assert main(["explain"]) == 2
    shown = capsys.readouterr().err
    assert all(name in shown for name in names)
    assert "standard output" not in shown


@pytest.mark.parametrize(("rank", "count"), [("x", "2"), ("2", "2"), ("0", "-1"), ("0", "2")])
def test_processes_that_nobody_started_are_named(monkeypatch: pytest.MonkeyPatch, rank: str, count: str) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", count)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(InputError, match=f"RANK={rank}|WORLD_SIZE={count}"):
        start_processes()


@pytest.mark.parametrize("read", [read_picture, read_run])
def test_a_pipe_a_device_or_a_name_without_end_is_no_picture_and_no_record(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match=str(path)):
            read(path)
