"""Cycles that a core takes for counted blocks, as LLVM's ``llvm-mca`` models its pipes; nothing is fitted.

A block that ends in a branch back to its own start is a loop: it costs what the model finds once the loop is in a
steady state. Neighbours of any other block overlap with it, so it costs its throughput: what its busiest pipe needs, or
what four decoders need, whichever is more.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suite.errors import NothingMeasuredError
from suite.latency.estimate.emulation import Words
from suite.latency.estimate.tools import Tools

COVERED = 0.995
"""Share of the instructions whose blocks are modelled, the hottest first; the rest costs as much per instruction."""
DECODERS = 4
ITERATIONS = 20
REGIONS = 60
"""Blocks in one call of ``llvm-mca``."""
FEATURES = "+v8.6a,+fullfp16,+dotprod,+bf16,+i8mm"
NOT_MODELLED = ("svc", "mrs", "dmb", "udf", "brk")
BRANCH = re.compile(r"(b|bl|br|blr|ret|cbz|cbnz|tbz|tbnz)\b|b\.")
LIMIT_S = 300


@dataclass(frozen=True)
class Cycles:
    """What counted blocks cost.

    Attributes:
        instructions: instructions that ran.
        cycles: modelled cycles, the share that is not covered included.
        covered_share: share of the instructions in the blocks that were modelled (0 to 1).
        blocks: how many were modelled.
        loop_share: share of the instructions in loops among them (0 to 1).
        hottest: of the blocks with most cycles, up to five: instructions, runs, share of all cycles, disassembly.
    """

    instructions: int
    cycles: int
    covered_share: float
    blocks: int
    loop_share: float
    hottest: tuple[tuple[int, int, float, str], ...] = ()


def is_loop(words: Words) -> bool:
    """Tell whether a block ends in a conditional branch back to its own first instruction."""
    last = words[-1]
    if last & 0xFF000010 == 0x54000000 or last & 0x7E000000 == 0x34000000:  # b.cond; cbz, cbnz
        bits, offset = 19, (last >> 5) & 0x7FFFF
    elif last & 0x7E000000 == 0x36000000:  # tbz, tbnz
        bits, offset = 14, (last >> 5) & 0x3FFF
    else:
        return False
    return offset - (1 << bits) == 1 - len(words) if offset >> (bits - 1) else False


def _output(words: Sequence[str], text: str) -> str:
    """Return what a tool of LLVM prints for a text.

    Raises:
        NothingMeasuredError: with its last line, if it fails.
    """
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=LIMIT_S)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NothingMeasuredError(f"{words[0]}: ended with code {done.returncode} ({last[:200]})")
    return done.stdout


def _disassembled(tools: Tools, blocks: Sequence[Words]) -> list[list[str]]:
    """Return the assembly lines of each block; a block with an unknown instruction has ``nop`` in all places."""

    def lines(chosen: Sequence[Words]) -> list[str]:
        bytes_of = [
            " ".join(f"0x{byte:02x}" for byte in word.to_bytes(4, "little")) for words in chosen for word in words
        ]
        command = [tools.assembler, "--disassemble", "--triple=aarch64", f"--mattr={FEATURES},+sve"]
        text = _output(command, "\n".join(bytes_of))
        return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(".")]

    def one(words: Words) -> list[str]:
        found = lines([words])
        return found if len(found) == len(words) else ["nop"] * len(words)

    together = lines(blocks)
    if len(together) != sum(map(len, blocks)):
        return [one(words) for words in blocks]
    rest = iter(together)
    return [[next(rest) for _ in words] for words in blocks]


def _modelled(line: str) -> str:
    """Return an assembly line as ``llvm-mca`` can model it: branches without target, no system instructions."""
    if line.split()[0] in NOT_MODELLED:
        return "nop"
    return "b #0" if BRANCH.match(line) else line


def _costs(tools: Tools, mca_model: str, blocks: Sequence[Words]) -> Iterator[tuple[float, float, list[str]]]:
    """Yield every block's cycles in a steady state, its throughput's cycles, and its assembly."""
    for start in range(0, len(blocks), REGIONS):
        part = blocks[start : start + REGIONS]
        assembly = _disassembled(tools, part)
        text = []
        for number, lines in enumerate(assembly):
            text += [f"# LLVM-MCA-BEGIN block{number}", *map(_modelled, lines), "# LLVM-MCA-END"]
        command = [tools.mca, "-mtriple=aarch64", f"-mcpu={mca_model}", f"-mattr={FEATURES}", "-json"]
        command += [f"-iterations={ITERATIONS}", "-skip-unsupported-instructions=lack-sched"]
        regions: list[dict[str, Any]] = json.loads(_output(command, "\n".join(text) + "\n"))["CodeRegions"]
        for lines, region in zip(assembly, regions, strict=True):
            summary = region["SummaryView"]
            yield summary["TotalCycles"] / summary["Iterations"], summary["BlockRThroughput"], lines


def model_cycles(tools: Tools, mca_model: str, blocks: Mapping[Words, int]) -> Cycles:
    """Return what counted blocks cost on a core.

    Args:
        tools: of `suite.latency.estimate.tools.find_tools`.
        mca_model: the core, as ``llvm-mca -mcpu`` names it, e.g. ``"neoverse-n1"``.
        blocks: runs by instruction words, of `suite.latency.estimate.emulation.run_emulated`.

    Raises:
        NothingMeasuredError: if nothing was counted or a tool of LLVM fails.
    """
    total = sum(runs * len(words) for words, runs in blocks.items())
    if not total:
        raise NothingMeasuredError("nothing ran between the two calls of sched_yield; check the program")
    hot: list[Words] = []
    covered = 0
    for words in sorted(blocks, key=lambda words: -blocks[words] * len(words)):
        hot.append(words)
        covered += blocks[words] * len(words)
        if covered > COVERED * total:
            break
    cycles, in_loops = 0.0, 0
    costs = []
    for words, (steady, throughput, lines) in zip(hot, _costs(tools, mca_model, hot), strict=True):
        loop = is_loop(words)
        cost = blocks[words] * (steady if loop else max(throughput, len(words) / DECODERS))
        cycles += cost
        in_loops += blocks[words] * len(words) if loop else 0
        costs.append((cost, words, lines))
    costs.sort(key=lambda item: -item[0])
    hottest = tuple(
        (len(words), blocks[words], cost / cycles, "; ".join(" ".join(line.split()) for line in lines))
        for cost, words, lines in costs[:5]
    )
    return Cycles(total, round(cycles * total / covered), covered / total, len(hot), in_loops / total, hottest)
