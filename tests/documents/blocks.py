"""The code blocks of Markdown pages, and a runner that does what their reader does."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from suite.cli import main

REPOSITORY = Path(__file__).parents[2]
FENCE = re.compile(
    r'(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w+)(?: title="(?P<file>[^"\n]+)")?\n'
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block: why it is not run, if so; its language; the file that the reader makes of it; its text."""

    reason: str | None
    language: str
    file: str | None
    text: str


def blocks(page: str) -> list[Block]:
    """Return the code blocks of a page, named from the repository's root, in order."""
    return [Block(**found.groupdict()) for found in FENCE.finditer((REPOSITORY / page).read_text(encoding="utf-8"))]


def run(page: str) -> dict[str, object]:
    """Do in the current folder what a page says: write its files, run its commands and its Python; return its names."""
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        if block.file:
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python" and not block.reason:
            exec(compile(block.text, page, "exec"), names)
        elif block.language == "bash" and not block.reason:
            for line in block.text.replace("\\\n", " ").splitlines():
                command, *words = shlex.split(line, comments=True) or [""]
                if command in ("suite", "mobileinst-suite"):
                    passed = (0, 3) if words[0] == "latency" else (0,)  # 3: this machine is too restless to time
                    assert main(words) in passed, line
                elif command:
                    assert command == "python", f"{page}: mark this block with the reason why it is not run: {line}"
                    subprocess.run([sys.executable, *words], check=True)
    return names
