"""Run an aarch64 program under QEMU and return the blocks of instructions that it ran, with how often each ran."""

from __future__ import annotations

import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from suite.errors import DataError, InputError
from suite.latency.estimate.tools import Tools
from suite.signals import leaving_on_signals

CPU = "cortex-a76"
"""QEMU's core of the A78's instruction set as far as engines ask for it (half precision, dot products)."""
Words = tuple[int, ...]
"""A block: its instruction words of 32 bits, straight-line code up to a branch."""


def is_branch(word: int) -> bool:
    """Tell whether an instruction word is a branch, an exception or a system instruction, which end a block."""
    return (word >> 26) & 7 == 5


def run_emulated(
    tools: Tools, words: Sequence[str], limit_s: float, environment: Mapping[str, str] | None = None
) -> dict[Words, int]:
    """Run a program and return what it ran between its first two calls of ``sched_yield``.

    Args:
        tools: of `suite.latency.estimate.tools.find_tools`.
        words: an aarch64 Linux program and its arguments; shared libraries are looked for in the tools' root.
        limit_s: wall seconds after which it is stopped.
        environment: further variables that the program sees.

    Returns:
        Runs of every block. Blocks that QEMU's translator cut, at the end of a page, are joined again.

    Raises:
        InputError: if the program fails, does not end in time, or does not call ``sched_yield`` twice.
    """
    root = tools.root
    seen = {
        "LD_LIBRARY_PATH": str(root / "usr/lib/aarch64-linux-gnu"),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        **(environment or {}),
    }
    with tempfile.TemporaryDirectory(prefix="mobileinst-estimate-") as folder:
        counts = Path(folder) / "counts"
        command = [tools.qemu, "-cpu", CPU, "-plugin", f"{tools.plugin},out={counts}", "-L", str(root)]
        for name, value in seen.items():
            command += ["-E", f"{name}={value}"]
        try:
            with leaving_on_signals():
                done = subprocess.run(
                    [*command, *words],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=limit_s,
                )
        except subprocess.TimeoutExpired:
            raise InputError(
                f"{words[0]}: did not end in {limit_s:.0f} s under emulation; check that it ends at all"
            ) from None
        if done.returncode != 0:
            last = ([line for line in done.stderr.splitlines() if line.strip()] or ["no message"])[-1]
            raise InputError(f"{words[0]}: ended with code {done.returncode} under emulation ({last.strip()[:200]})")
        if not counts.is_file():
            raise InputError(
                f"{words[0]}: did not call sched_yield twice; call it right before and right after one inference"
            )
        return joined(read_blocks(counts))


def read_blocks(path: Path) -> dict[tuple[int, Words], int]:
    """Read the plugin's file: runs by address and instruction words.

    Raises:
        DataError: naming the line that is none of the plugin's.
    """
    found: dict[tuple[int, Words], int] = defaultdict(int)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            address, runs, *words = line.split()
            found[int(address, 16), tuple(int(word, 16) for word in words)] += int(runs)
        except ValueError:
            raise DataError(
                f"{path} line {number}: not a block's count; the emulation was cut off, run again"
            ) from None
    return found


def joined(blocks: Mapping[tuple[int, Words], int]) -> dict[Words, int]:
    """Join blocks that run on into the only block at their end, as often as it runs, and add up equal ones.

    Args:
        blocks: runs by address and instruction words.

    Returns:
        Runs by instruction words; instructions times runs add up to what they did before.
    """
    at_address: dict[int, list[Words]] = defaultdict(list)
    for address, words in blocks:
        at_address[address].append(words)
    absorbed: set[tuple[int, Words]] = set()

    def following(address: int, words: Words, runs: int) -> Iterator[Words]:
        """Yield the blocks that this one runs on into, each once."""
        while not is_branch(words[-1]):
            end = address + 4 * len(words)
            rest = at_address.get(end, [])
            if len(rest) != 1 or blocks[end, rest[0]] != runs or (end, rest[0]) in absorbed:
                return
            absorbed.add((end, rest[0]))
            address, words = end, rest[0]
            yield words

    total: dict[Words, int] = defaultdict(int)
    for (address, words), runs in sorted(blocks.items()):
        if (address, words) not in absorbed:
            whole = words
            for more in following(address, words, runs):
                whole += more
            total[whole] += runs
    return dict(total)
