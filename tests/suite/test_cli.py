from __future__ import annotations

import re
import subprocess
import sys

import pytest

from suite.cli import main


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["--nonsense"], 2, "No such option"),
        (["--version"], 0, ""),
        (["--help"], 0, ""),
    ],
)
def test_usage_errors_are_one_line(words: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == code
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == (1 if code else 0)


def test_every_command_has_a_help_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.split("Commands:")[1].splitlines()
    first_lines = [line for line in listed if re.match(r"  \S", line)]
    assert len(first_lines) > 20
    for line in first_lines:
        name, _, summary = line.strip().partition(" ")
        assert summary.strip(), f"{name} has no help line"
        assert main([name, "--help"]) == 0


def test_module_and_console_script_are_one_door() -> None:
    done = subprocess.run([sys.executable, "-m", "suite", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_help_tells_in_full_what_every_command_does(capsys: pytest.CaptureFixture[str]):
    for group in ([], ["data"], ["score"], ["latency"]):
        assert main([*group, "--help"]) == 0
        shown = capsys.readouterr().out
        assert "..." not in shown.split("Commands:")[1]
    assert "count-readings" not in shown, "hidden"


def test_a_hint_can_be_typed_as_it_stands(capsys: pytest.CaptureFixture[str]):
    assert main(["score", "cocoa"]) == 2
    assert "see 'python -m suite score --help'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["train"], ["reproduce"], ["prior-art"], ["latency", "host", "--models", "x"]])
def test_a_negative_seed_is_refused_before_anything_starts(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert main([*words, "--seed", "-1"]) == 2
    assert "--seed" in capsys.readouterr().err
