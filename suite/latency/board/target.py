"""A Linux board as a target of a measurement."""

from __future__ import annotations

import re
import shlex

from suite.errors import InputError, NothingMeasuredError
from suite.latency.device import Device
from suite.latency.phone.checks import core_findings, pinning_findings
from suite.latency.phone.state import COMMANDS, PhoneState, parse_state
from suite.latency.remote.findings import Finding
from suite.latency.remote.identity import who_answers
from suite.latency.remote.target import Target
from suite.latency.remote.transport import Transport
from suite.latency.validity import Problem
from suite.records.provenance import RECORDED_ISA_FLAGS
from suite.records.schema import Machine

# What a board tells in the same words as a phone does; the rest is Android's.
SHARED_COMMANDS = ("cores", "frequencies", "status", "zones")
NEEDED_PROGRAMS = ("taskset", "sha256sum", "mktemp", "readlink", "grep")


def read_board(board: Transport) -> PhoneState:
    """Ask a board for its state; what it does not tell stays unknown.

    Raises:
        NothingMeasuredError: if the board was lost meanwhile.
    """
    # One connection for all: every line says itself which file it is from.
    told = board.shell("; ".join(COMMANDS[name] for name in SHARED_COMMANDS)).output
    return parse_state(dict.fromkeys(SHARED_COMMANDS, told))


def fastest_core(state: PhoneState) -> int:
    """Return the usable core with the highest built-in frequency; of equals the last, which serves fewer interrupts.

    Raises:
        InputError: if the board does not tell which cores may be used.
    """
    usable = state.allowed if state.allowed is not None else state.online
    if not usable:
        raise InputError("ssh: the board does not tell its cores; name one with --core")
    return max(usable, key=lambda core: (state.max_khz.get(core, 0), core))


def board_machine(board: Transport, device: Device, state: PhoneState) -> Machine:
    """Describe a board for a record, without its host name."""
    text = board.shell("cat /proc/cpuinfo").output
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    model = board.shell("tr -d '\\000' < /proc/device-tree/model").output.strip()
    parts = sorted(set(re.findall(r"^CPU part\s*: (\S+)", text, flags=re.MULTILINE)))
    named = fields.get("model name") or (f"CPU parts {', '.join(parts)}" if parts else "processor not named")
    kibibytes = re.search(r"^MemTotal:\s+(\d+)", board.shell("cat /proc/meminfo").output, flags=re.MULTILINE)
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return Machine(
        name=device.name,
        cpu=f"{model}, {named}" if model else named,
        architecture=board.shell("uname -m").output.strip(),
        cores=len(state.online) if state.online else 1,
        memory_gib=round(int(kibibytes[1]) / 2**20, 1) if kibibytes else None,
        system=board.shell("uname -s -r").output.strip(),
        isa_flags=[flag for flag in RECORDED_ISA_FLAGS if flag in flags],
    )


class BoardTarget(Target):
    """One board; see `suite.latency.remote.target.Target`."""

    def __init__(self, board: Transport, device: Device, core: int, state: PhoneState) -> None:
        super().__init__(
            board,
            device,
            core,
            board_machine(board, device, state),
            who_answers(board),
            {re.sub(r"\s+", "_", name): file for name, file in state.zone_files.items()},
            state.max_khz.get(core),
        )

    def look(self) -> list[Finding]:
        """Ask the board for its state again and apply the guards."""
        state = read_board(self.transport)
        found = core_findings(state, self.core)
        limit = self.device.details["guards"]["max_core_c"]
        for name, temperature in state.zones_c.items():
            if temperature > limit:
                what = f"sensor {name} reads {temperature:.0f} C (limit {limit:.0f})"
                found.append(Finding(True, what, "let the board cool", passes=True))
        if not state.zones_c:
            found.append(Finding(False, "the board tells no temperature", "throttling is judged by its speed alone"))
        disk = self.transport.shell(f"df -k {shlex.quote(self.transport.base_folder)}").output
        free = re.search(r"\s(\d+)\s+\d+%\s", disk)
        needed = self.device.details["guards"]["min_free_mib"]
        if free and int(free[1]) // 1024 < needed:
            what = f"{int(free[1]) // 1024} MiB free in {self.transport.base_folder} (needs {needed})"
            found.append(Finding(True, what, "free some space, or name another folder with --folder"))
        return found

    def prepare(self, folder: str) -> None:
        """Change nothing: a board has no screen to keep on."""

    def slowed_down(self) -> list[Problem]:
        """Return nothing: a board has no word of its own on throttling; frequency and calibration loop judge it."""
        return []


def board_target(board: Transport, device: Device, core: int | None) -> tuple[BoardTarget, list[str]]:
    """Inspect a board and make a target of it; a board that is only too warm is waited for.

    Args:
        board: the board.
        device: the device file, one with the backend ``ssh``.
        core: the core to measure on; the fastest if None.

    Returns:
        The target, and notes to be said beside the numbers.

    Raises:
        InputError: if the device file is not for ssh, or the board lacks a program.
        NothingMeasuredError: if something stands against measuring.
    """
    if device.backend != "ssh":
        raise InputError(f"{device.name}.toml: is reached by {device.backend}, not ssh; name a board")
    missing = board.shell(f"for p in {' '.join(NEEDED_PROGRAMS)}; do command -v $p > /dev/null || echo $p; done")
    if missing.output.split():
        raise InputError(f"ssh {board.name}: the board lacks {', '.join(missing.output.split())}; install them there")
    state = read_board(board)
    target = BoardTarget(board, device, fastest_core(state) if core is None else core, state)
    found = target.look() + pinning_findings(board, target.core)
    lasting = [finding for finding in found if finding.refuses and not finding.passes]
    if lasting:
        told = "; ".join(f"{finding.what}: {finding.remedy}" for finding in lasting)
        raise NothingMeasuredError(f"board {board.name}: not ready ({told})")
    return target, [finding.what for finding in found if not finding.refuses]
