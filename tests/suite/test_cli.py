from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from PIL import Image

from suite.cli import entry, main
from suite.command_options import show


def commands(group: click.Group = entry, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Return every command with the words that a user types for it."""
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        found.append(((*words, name), command))
        if isinstance(command, click.Group):
            found += commands(command, (*words, name))
    return found


COMMANDS = commands()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nonsense"], "nonsense"),
        (["--nonsense"], "--nonsense"),
        (["score", "cocoa"], "python -m suite score --help"),
        (["export", "--checkpoint", "shapes", "--out", "/dev/null"], "/dev/null"),
        (["export", "--out", "model.onnx", "--checkpoint", "/dev/zero"], "/dev/zero"),
        (["predict", "coco", "--annotations", "a", "--images", "b", "--out", "/"], "--out"),
        (["score", "youtube-vis", "--annotations", "a", "--results", "b", "--hota", "inf"], "--hota"),
        (["latency", "gate", "--tolerance", "nan"], "--tolerance"),
        (["score", "coco", "--annotations", "a", "--results", "b", "--resamples", "1000000000000"], "--resamples"),
        (["predict", "a", "--score-threshold", "nan"], "--score-threshold"),
        (["latency", "host", "--models", "a", "--pairs", "1000000000000"], "--pairs"),
        (["export", "--checkpoint", "shapes", "--out", "x" * 5000], "x: File name too long"),
        (["export", "--out", "model.onnx", "--checkpoint", "x" * 5000], "x: File name too long"),
        (["predict", "x" * 5000], "x: File name too long"),
        (["model", "mobileinst_topformer_base_640", "--size", "640"], "--size"),
        (["model", "mobileinst_topformer_base_640", "--size", "31x640"], "--size"),
        (["model", "mobileinst_topformer_base_640", "--size", "640x4097"], "--size"),
    ],
)
def test_a_usage_error_is_one_line_that_names_the_word(words: list[str], named: str, refused: Any) -> None:
    assert named in refused(words, 2)


def test_a_loop_of_links_in_place_of_an_output_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "instances.json").symlink_to(tmp_path / "instances.json")
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    assert main(["predict", str(tmp_path / "a.png"), "--save", str(tmp_path)]) == 2
    assert "instances.json" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_every_command_has_help_and_no_option_of_it_is_unexplained(
    words: tuple[str, ...], command: click.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--help"]) == 0
    assert capsys.readouterr().out
    assert command.help
    assert [o.name for o in command.params if isinstance(o, click.Option) and not o.help] == []


def test_every_seed_is_a_whole_number_from_0() -> None:
    seeds = [option for _, command in COMMANDS for option in command.params if option.name in ("seed", "seeds")]
    assert len(seeds) > 3
    assert all(isinstance(option.type, click.IntRange) and option.type.min in (0, 1) for option in seeds)


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("from suite.cli import main; main(['--help'])", {"numpy", "msgspec"}),
        ("import reference_model.config, suite.models; suite.models.discover()", {"torch"}),
        ("import reference_model", {"torch"}),
        ("import reference_model; reference_model.load", {"cv2"}),
    ],
)
def test_what_is_not_needed_is_not_loaded(code: str, absent: set[str]) -> None:
    code += f"; import sys; sys.exit(bool({absent} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_extra_is_one_line_that_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None; from suite.cli import main; sys.exit(main(['train']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert ".[train]" in done.stderr


def test_records_fit_a_terminal_and_are_exact_as_csv(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["records", "--metric", "mask_ap"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.split()[:2] == ["mask_ap", "0.667253"] for line in lines)
    assert main(["records", "--metric", "mask_ap", "--csv"]) == 0
    assert "0.6672526516701379" in capsys.readouterr().out


def test_what_a_terminal_obeys_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show(False, {}, "a\x1b[2J\tb\n\x9bc")
    assert main(["model", "\x1b[31mx"]) == 2
    out, error = capsys.readouterr()
    assert (out, "\x1b" in error) == ("a[2J\tb\nc\n", False)
