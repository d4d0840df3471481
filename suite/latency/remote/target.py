"""A phone or board as a target of a measurement: identified, inspected, watched between the blocks."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from suite.errors import InputError, NothingMeasuredError
from suite.latency.device import Phone, RemoteDevice
from suite.latency.remote.state import Finding, fastest_core, pinning_findings, read_state, state_findings
from suite.latency.remote.transport import Adb, Ssh, Transport
from suite.latency.timing import Problem
from suite.progress import say
from suite.records.provenance import RECORDED_ISA_FLAGS
from suite.records.schema import Machine, Scalar

BOOT_ID = "/proc/sys/kernel/random/boot_id"
STAND_IN = "stand-in"


def device_answers(device: Transport) -> bool:
    """Return whether another computer than this one is at the other end.

    A record that names a device claims that the device did the work. So a question is asked that no recording can
    answer (the digest of a number drawn just now), and the kernel's identity of this boot is compared with this
    computer's: whatever runs here, a container or a loopback connection, shows the same one.

    Raises:
        NothingMeasuredError: if the device was lost meanwhile.
    """
    question = secrets.token_hex(16)
    right = hashlib.sha256(f"{question}\n".encode()).hexdigest()
    if device.shell(f"echo {question} | sha256sum").output.split()[:1] != [right]:
        return False
    told = device.shell(f"cat {BOOT_ID}").output.strip()
    own = Path(BOOT_ID).read_text(encoding="ascii").strip() if Path(BOOT_ID).is_file() else ""
    return bool(re.fullmatch(r"[0-9a-f-]{36}", told)) and told != own


class Target:
    """One device, looked at, to be measured on one core.

    Args:
        transport: how it is reached.
        device: the device file that it has to match.
        core: the core to be measured on; the fastest if None.

    Attributes:
        state: of the device when it was reached.
        findings: what stands against measuring, and what has to be said beside a number; refusals first.

    Raises:
        InputError: if no single fastest core is known.
        NothingMeasuredError: if the device was lost meanwhile.
    """

    def __init__(self, transport: Transport, device: RemoteDevice, core: int | None = None) -> None:
        self.transport, self.device = transport, device
        self.state = read_state(transport)
        self.core = fastest_core(self.state) if core is None else core
        found = state_findings(self.state, device, self.core) + pinning_findings(transport, self.core)
        self.findings = sorted(found, key=lambda finding: not finding.refuses)

    @property
    def refusals(self) -> list[Finding]:
        """What stands against measuring it now."""
        return [finding for finding in self.findings if finding.refuses]

    @property
    def built_khz(self) -> int | None:
        """Highest frequency of the core as built; None if it is not reported."""
        return self.state.max_khz.get(self.core)

    @property
    def sensors(self) -> dict[str, str]:
        """File of the temperature by sensor, for the runner to read after every round."""
        files = self.state.zone_files
        if isinstance(self.device, Phone):
            names = self.device.sensors.get(str(self.core), [])
            return {name: files[name] for name in names if name in files}
        return {re.sub(r"\s+", "_", name): file for name, file in files.items()}

    def require_fit(self) -> list[str]:
        """Return what has to be said beside the numbers; a device that is only too warm is waited for later.

        Raises:
            NothingMeasuredError: if something stands against measuring that waiting does not mend.
        """
        if lasting := [finding for finding in self.refusals if not finding.passes]:
            told = "; ".join(f"{finding.what}: {finding.remedy}" for finding in lasting)
            raise NothingMeasuredError(f"{self.transport.title}: not ready ({told})")
        return [finding.what for finding in self.findings if not finding.refuses]

    def machine(self) -> Machine:
        """Return the machine as a record says it, without its host name or serial number.

        Raises:
            NothingMeasuredError: if the device was lost.
        """
        device, state, shell = self.device, self.state, self.transport.shell
        architecture = shell("uname -m").output.strip()
        if isinstance(device, Phone):
            cpu = f"{', '.join(sorted(state.soc))} ({state.product})"
            return Machine(device.name, cpu, architecture, device.cores, None, f"Android {state.android}", [])
        text = shell("cat /proc/cpuinfo /proc/meminfo").output
        fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
        # An Arm kernel tells of the board and not of the processor.
        named = (shell("tr -d '\\000' < /proc/device-tree/model").output.strip(), fields.get("model name"))
        kibibytes = re.match(r"\d{1,15}", fields.get("MemTotal", ""))
        flags = (fields.get("flags") or fields.get("Features") or "").split()
        return Machine(
            name=device.name,
            cpu=", ".join(filter(None, named)) or "processor not named",
            architecture=architecture,
            cores=len(state.online) if state.online else 1,
            memory_gib=round(int(kibibytes[0]) / 2**20, 1) if kibibytes else None,
            system=shell("uname -s -r").output.strip(),
            isa_flags=[flag for flag in RECORDED_ISA_FLAGS if flag in flags],
        )

    def describe(self) -> tuple[Machine, dict[str, Scalar]]:
        """Return the machine, and what a record says of the device: its name only if a device answered.

        Raises:
            NothingMeasuredError: if the device was lost.
        """
        real, machine = device_answers(self.transport), self.machine()
        asked = "getprop ro.build.fingerprint" if isinstance(self.device, Phone) else "uname -r -v -m"
        return machine, {
            "device": self.device.name if real else STAND_IN,
            "real_device": real,
            "device_digest": self.transport.name_digest,
            "device_build": self.transport.shell(asked).output.strip(),
            "device_cpu": machine.cpu,
        }

    def wait_until_ready(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Look at the device again, and wait while all that stands against measuring passes by itself.

        Raises:
            NothingMeasuredError: if something stands against it that waiting does not mend, or it took too long.
        """
        waited_s, guards = 0.0, self.device.guards
        while True:
            found = state_findings(read_state(self.transport), self.device, self.core)
            refusals = sorted((finding for finding in found if finding.refuses), key=lambda finding: finding.passes)
            if not refusals:
                return
            worst = refusals[0]
            if not worst.passes or waited_s >= guards.max_cool_down_s:
                after = f" after {waited_s:.0f} s of waiting" if waited_s else ""
                raise NothingMeasuredError(
                    f"{self.transport.kind}: {worst.what}{after}; {worst.remedy}, and start again"
                )
            if waited_s == 0:
                say(f"{self.transport.kind}: {worst.what}; waiting")
            sleep(guards.check_every_s)
            waited_s += guards.check_every_s

    def slowed_down(self) -> list[Problem]:
        """Return Android's own word on throttling; a board has none, its frequency and calibration loop are judged."""
        status, limit = read_state(self.transport).thermal_status, self.device.guards.max_thermal_status
        if status is not None and status > limit:
            return [Problem("throttled", f"Android reports thermal status {status} after the run (allowed {limit})")]
        return []

    def to_json(self) -> dict[str, Any]:
        """Return state and findings as plain values, sets sorted."""
        values = {
            name: sorted(value) if isinstance(value, frozenset) else value
            for name, value in dataclasses.asdict(self.state).items()
        }
        findings = [dataclasses.asdict(finding) for finding in self.findings]
        return {"core": self.core, "ready": not self.refusals, "state": values, "findings": findings}

    def text(self) -> str:
        """Return a few lines for a person."""
        state = self.state
        speed = "" if self.built_khz is None else f" of {self.built_khz / 1e6:.2f} GHz"
        named = f": {state.product or 'unnamed'}, {', '.join(sorted(state.soc)) or 'chip not reported'}"
        lines = [
            f"{self.transport.name}{named if isinstance(self.device, Phone) else ''}",
            f"core {self.core}{speed}: {'not ready' if self.refusals else 'ready'}",
        ]
        return "\n".join([*lines, *(finding.line() for finding in self.findings)])


def open_target(
    device: RemoteDevice, serial: str | None, address: str | None, folder: str, core: int | None = None
) -> Target:
    """Reach a device and look at it.

    Args:
        device: the device file that it has to match.
        serial: which phone; None takes the only one.
        address: ``user@host`` of a board.
        folder: where work folders are made on a board.
        core: the core to be measured on; the fastest if None.

    Raises:
        InputError: if the device cannot be reached, or the address does not go with the device file.
        NothingMeasuredError: if the device was lost meanwhile.
    """
    if isinstance(device, Phone):
        if address is not None:
            raise InputError(f"--ssh {address}: {device.name}.toml is a phone's; name a board's file with --device")
        return Target(Adb(serial), device, core)
    if address is None:
        raise InputError(f"--device {device.name}: is reached over ssh; name it with --ssh USER@HOST")
    return Target(Ssh(address, folder), device, core)
