from __future__ import annotations

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
    listed = capsys.readouterr().out.split("Commands:")[1].strip().splitlines()
    assert listed
    for line in listed:
        name, _, summary = line.strip().partition(" ")
        assert summary.strip(), f"{name} has no help line"
        assert main([name, "--help"]) == 0


def test_module_and_console_script_are_one_door() -> None:
    done = subprocess.run([sys.executable, "-m", "suite", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
