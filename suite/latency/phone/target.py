"""A phone as a target of a measurement: inspected, kept awake meanwhile, watched between the blocks."""

from __future__ import annotations

import re

from suite.errors import NothingMeasuredError
from suite.latency.device import Device
from suite.latency.phone.checks import state_findings
from suite.latency.phone.inspect import PhoneReport, inspect_phone
from suite.latency.phone.state import PhoneState, read_state
from suite.latency.remote.findings import Finding
from suite.latency.remote.folder import set_aside
from suite.latency.remote.identity import who_answers
from suite.latency.remote.target import Target
from suite.latency.remote.transport import Transport
from suite.latency.validity import Problem
from suite.records.schema import Machine

# Keep the screen on, on power and on battery: a sleeping phone runs slower, without an error.
AWAKE_SETTINGS = (("global", "stay_on_while_plugged_in", "15"), ("system", "screen_off_timeout", "2147483647"))


def phone_machine(state: PhoneState, device: Device, architecture: str) -> Machine:
    """Describe a phone for a record."""
    return Machine(
        name=device.name,
        cpu=f"{', '.join(sorted(state.soc))} ({state.product})",
        architecture=architecture,
        cores=device.details["cores"]["count"],
        memory_gib=None,
        system=f"Android {state.android}",
        isa_flags=[],
    )


class PhoneTarget(Target):
    """One phone; see `suite.latency.remote.target.Target`."""

    def __init__(self, phone: Transport, device: Device, report: PhoneReport) -> None:
        state = report.state
        sensors = device.details["cores"]["sensors"].get(str(report.core), [])
        super().__init__(
            phone,
            device,
            report.core,
            phone_machine(state, device, phone.shell("uname -m").output.strip()),
            who_answers(phone),
            {name: state.zone_files[name] for name in sensors if name in state.zone_files},
            state.max_khz.get(report.core),
        )

    def look(self) -> list[Finding]:
        """Ask the phone for its state again and apply the guards."""
        return state_findings(read_state(self.transport), self.device, self.core)

    def prepare(self, folder: str) -> None:
        """Keep the screen on, after noting how it was.

        Raises:
            NothingMeasuredError: if the phone was lost, or the note could not be written.
        """
        for table, name, value in AWAKE_SETTINGS:
            before = self.transport.shell(f"settings get {table} {name}").output.strip()
            if before == "null":
                restore = f"settings delete {table} {name}"
            elif re.fullmatch(r"-?\d+", before):
                restore = f"settings put {table} {name} {before}"
            else:
                continue  # not readable, so it could not be put back
            set_aside(self.transport, folder, restore)
            self.transport.shell(f"settings put {table} {name} {value}")

    def slowed_down(self) -> list[Problem]:
        """Return Android's own word on throttling."""
        status = read_state(self.transport).thermal_status
        limit = self.device.details["guards"]["max_thermal_status"]
        if status is not None and status > limit:
            return [Problem("throttled", f"Android reports thermal status {status} after the run (allowed {limit})")]
        return []


def phone_target(phone: Transport, device: Device, core: int | None) -> tuple[PhoneTarget, list[str]]:
    """Inspect a phone and make a target of it.

    A phone that is only too warm is waited for.

    Args:
        phone: the phone.
        device: the device file it has to be.
        core: the core to measure on; the fastest if None.

    Returns:
        The target, and notes to be said beside the numbers.

    Raises:
        InputError: if the device file is not for adb, or no single fastest core is known.
        NothingMeasuredError: if something stands against measuring.
    """
    report = inspect_phone(phone, device, core)
    lasting = [finding for finding in report.findings if finding.refuses and not finding.passes]
    if lasting:
        told = "; ".join(f"{finding.what}: {finding.remedy}" for finding in lasting)
        raise NothingMeasuredError(f"phone {report.serial}: not ready ({told})")
    return PhoneTarget(phone, device, report), [finding.what for finding in report.findings if not finding.refuses]
