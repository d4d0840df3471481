"""One look at a phone, with everything that stands against measuring it now."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from suite.errors import InputError
from suite.latency.device import Device
from suite.latency.phone.checks import pinning_findings, prime_core, state_findings
from suite.latency.phone.state import PhoneState, read_state
from suite.latency.remote.findings import Finding
from suite.latency.remote.transport import Transport


@dataclass(frozen=True)
class PhoneReport:
    """What a phone told and what follows.

    Attributes:
        serial: the phone.
        core: the core to be measured on.
        state: what it told.
        findings: what stands against measuring, and what has to be said beside a number; refusals first.
    """

    serial: str
    core: int
    state: PhoneState
    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether it may be measured now."""
        return not any(finding.refuses for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values, sets sorted."""
        values = dataclasses.asdict(self.state)
        for name, value in values.items():
            if isinstance(value, frozenset):
                values[name] = sorted(value)
        findings = [dataclasses.asdict(finding) for finding in self.findings]
        return {"serial": self.serial, "core": self.core, "ready": self.ready, "state": values, "findings": findings}

    def text(self) -> str:
        """Return a few lines for a person."""
        state = self.state
        frequency = state.max_khz.get(self.core)
        speed = "" if frequency is None else f" of {frequency / 1e6:.2f} GHz"
        lines = [
            f"{self.serial}: {state.product or 'unnamed phone'}, {', '.join(sorted(state.soc)) or 'unknown chip'}, "
            f"Android {state.android or 'of unknown release'}",
            f"core {self.core}{speed}: {'ready' if self.ready else 'not ready'}",
        ]
        return "\n".join([*lines, *(finding.line() for finding in self.findings)])


def inspect_phone(phone: Transport, device: Device, core: int | None = None) -> PhoneReport:
    """Ask a phone for its state and apply the device file's guards.

    Args:
        phone: the phone.
        device: the device file it has to be.
        core: the core to be measured on; the one with the highest built-in frequency if None.

    Raises:
        InputError: if the device file is not for adb, or no single fastest core is known.
        NothingMeasuredError: if the phone was lost meanwhile.
    """
    if device.backend != "adb":
        raise InputError(f"{device.name}.toml: is reached by {device.backend}, not adb; name a phone")
    state = read_state(phone)
    chosen = prime_core(state) if core is None else core
    findings = state_findings(state, device, chosen) + pinning_findings(phone, chosen)
    return PhoneReport(phone.name, chosen, state, tuple(sorted(findings, key=lambda finding: not finding.refuses)))
