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
from suite.latency.remote.state import (
    DeviceState,
    Finding,
    fastest_core,
    pinning_findings,
    read_state,
    state_findings,
)
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


def _machine(device: Transport, file: RemoteDevice, state: DeviceState) -> Machine:
    """Describe a device for a record, without its host name or serial number."""
    architecture = device.shell("uname -m").output.strip()
    if isinstance(file, Phone):
        cpu = f"{', '.join(sorted(state.soc))} ({state.product})"
        system = f"Android {state.android}"
        return Machine(file.name, cpu, architecture, file.cores, None, system, [])
    text = device.shell("cat /proc/cpuinfo /proc/meminfo").output
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    model = device.shell("tr -d '\\000' < /proc/device-tree/model").output.strip()
    parts = sorted(set(re.findall(r"^CPU part\s*: (\S+)", text, flags=re.MULTILINE)))
    named = fields.get("model name") or (f"CPU parts {', '.join(parts)}" if parts else "processor not named")
    kibibytes = re.match(r"(\d+)", fields.get("MemTotal", ""))
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return Machine(
        name=file.name,
        cpu=f"{model}, {named}" if model else named,
        architecture=architecture,
        cores=len(state.online) if state.online else 1,
        memory_gib=round(int(kibibytes[1]) / 2**20, 1) if kibibytes else None,
        system=device.shell("uname -s -r").output.strip(),
        isa_flags=[flag for flag in RECORDED_ISA_FLAGS if flag in flags],
    )


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
    def ready(self) -> bool:
        """Whether it may be measured now."""
        return not any(finding.refuses for finding in self.findings)

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
        lasting = [finding for finding in self.findings if finding.refuses and not finding.passes]
        if lasting:
            told = "; ".join(f"{finding.what}: {finding.remedy}" for finding in lasting)
            raise NothingMeasuredError(f"{self.transport.title}: not ready ({told})")
        return [finding.what for finding in self.findings if not finding.refuses]

    def describe(self) -> tuple[Machine, dict[str, Scalar]]:
        """Return the machine, and what a record says of the device: its name only if a device answered.

        Raises:
            NothingMeasuredError: if the device was lost.
        """
        real = device_answers(self.transport)
        asked = "getprop ro.build.fingerprint" if isinstance(self.device, Phone) else "uname -r -v -m"
        machine = _machine(self.transport, self.device, self.state)
        return machine, {
            "device": self.device.name if real else STAND_IN,
            "real_device": real,
            "device_digest": self.transport.name_digest,
            "device_build": self.transport.shell(asked).output.strip(),
            "device_cpu": machine.cpu,
        }

    def wait_until_ready(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait while all that stands against measuring passes by itself.

        Args:
            sleep: waits so many seconds.

        Raises:
            NothingMeasuredError: if something stands against it that waiting does not mend, or it took too long.
        """
        waited_s, guards = 0.0, self.device.guards
        while refusals := self._refusals():
            lasting = [finding for finding in refusals if not finding.passes]
            if lasting or waited_s >= guards.max_cool_down_s:
                worst = (lasting or refusals)[0]
                after = f" after {waited_s:.0f} s of waiting" if waited_s else ""
                raise NothingMeasuredError(
                    f"{self.transport.kind}: {worst.what}{after}; {worst.remedy}, and start again"
                )
            if waited_s == 0:
                say(f"{self.transport.kind}: {refusals[0].what}; waiting")
            sleep(guards.check_every_s)
            waited_s += guards.check_every_s

    def _refusals(self) -> list[Finding]:
        """Look at the device again."""
        found = state_findings(read_state(self.transport), self.device, self.core)
        return [finding for finding in found if finding.refuses]

    def slowed_down(self) -> list[Problem]:
        """Return Android's own word on throttling; a board has none, its frequency and calibration loop are judged."""
        if not isinstance(self.device, Phone):
            return []
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
        return {"core": self.core, "ready": self.ready, "state": values, "findings": findings}

    def text(self) -> str:
        """Return a few lines for a person."""
        state = self.state
        speed = "" if self.built_khz is None else f" of {self.built_khz / 1e6:.2f} GHz"
        named = f"{state.product or 'unnamed'}, {', '.join(sorted(state.soc)) or 'chip not reported'}"
        lines = [
            f"{self.transport.name}: {named}" if isinstance(self.device, Phone) else self.transport.name,
            f"core {self.core}{speed}: {'ready' if self.ready else 'not ready'}",
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
