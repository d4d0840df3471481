"""Whether a device may be measured now: the device file's guards applied to its state."""

from __future__ import annotations

from dataclasses import dataclass

from suite.errors import InputError
from suite.latency.device import Phone, RemoteDevice
from suite.latency.remote.state import DeviceState, allowed_cores
from suite.latency.remote.transport import Transport


@dataclass(frozen=True)
class Finding:
    """One thing that stands against measuring (``refuses``) or has to be said beside the number.

    Attributes:
        refuses: whether no run may start.
        what: what was seen.
        remedy: what to do.
        passes: whether waiting is enough, as for a device that is too warm.
    """

    refuses: bool
    what: str
    remedy: str
    passes: bool = False

    def line(self) -> str:
        """Return the finding as one line."""
        return f"{'refused' if self.refuses else 'note'}: {self.what}; {self.remedy}"


def fastest_core(state: DeviceState) -> int:
    """Return the usable core with the highest built-in frequency.

    Raises:
        InputError: if the device does not report its cores, or a phone's fastest cores are several.
    """
    usable = state.allowed if state.allowed is not None else state.online
    if state.soc:  # a phone: its fastest core is switched off, or out of reach, where it may not be measured
        usable = frozenset(state.max_khz)
    if not usable:
        raise InputError("latency: the device does not report its cores; name one with --core")
    highest = max(state.max_khz.get(core, 0) for core in usable)
    fastest = sorted(core for core in usable if state.max_khz.get(core, 0) == highest)
    if state.soc and len(fastest) > 1:
        named = ", ".join(map(str, fastest))
        raise InputError(f"latency: cores {named} share the highest frequency, {highest} kHz; name one with --core")
    return fastest[-1]  # of a board's equal cores the last, which serves fewer interrupts


def _identity(state: DeviceState, device: Phone) -> list[Finding]:
    if not state.soc:
        return [Finding(True, "the phone does not report its chip", f"measure on a {device.title.partition(',')[0]}")]
    if others := state.soc - device.identity.names():
        models = ", ".join(device.identity.soc_models)
        return [Finding(True, f"its chip says {', '.join(sorted(others))}", f"{device.name}.toml is for {models}")]
    return []


def _core(state: DeviceState, core: int) -> list[Finding]:
    """Return what stands against measuring on a core: switched off, out of reach, or capped."""
    found = []
    if state.online is not None and core not in state.online:
        found.append(Finding(True, f"core {core} is switched off", "let it cool, keep a phone's screen on, then retry"))
    if state.allowed is not None and core not in state.allowed:
        cores = ", ".join(map(str, sorted(state.allowed)))
        what = f"its shell may use cores {cores} only, not {core}"
        found.append(Finding(True, what, "keep the screen on; on a board, run outside a cpuset"))
    built, permitted = state.max_khz.get(core), state.permitted_khz.get(core)
    if built and permitted and permitted < built:
        what = f"core {core} is capped at {permitted // 1000} of {built // 1000} MHz"
        found.append(Finding(True, what, "switch power saving off and let it cool"))
    if permitted is None:
        what = f"core {core} does not report its frequency cap"
        found.append(Finding(False, what, "throttling is judged by the anchor alone"))
    return found


def _temperature(state: DeviceState, device: RemoteDevice, core: int) -> list[Finding]:
    """Return what its sensors say: a phone's sensors of the core and Android's own word, all sensors of a board."""
    found = []
    known = dict(state.zones_c)
    if isinstance(device, Phone):
        known = {name: known[name] for name in device.cores.sensors.get(str(core), []) if name in known}
        if f"CPU{core}" in state.hal_c:
            known[f"CPU{core}"] = state.hal_c[f"CPU{core}"]
        if state.thermal_status is not None and state.thermal_status > device.guards.max_thermal_status:
            what = f"Android reports thermal status {state.thermal_status} (0 = none)"
            found.append(Finding(True, what, "let the phone cool for ten minutes", passes=True))
    limit = device.guards.max_core_c
    for name, temperature in known.items():
        if temperature > limit:
            what = f"sensor {name} reads {temperature:.0f} C (limit {limit:.0f})"
            found.append(Finding(True, what, "let the device cool for ten minutes", passes=True))
    if not known:
        found.append(Finding(False, f"no sensor of core {core} can be read", "throttling is judged by its speed"))
    if not known and isinstance(device, Phone) and state.thermal_status is None:
        found.append(Finding(True, "the phone reports no temperature at all", "a run could not be guarded on it"))
    return found


def _screen(state: DeviceState) -> list[Finding]:
    """Return whether a phone's screen is on: with it off the cores run slower, without an error."""
    if state.awake is False:
        return [Finding(True, "its screen is off", "switch it on and keep it on (developer options: stay awake)")]
    if state.awake is None:
        return [Finding(False, "it does not report whether its screen is on", "look at it")]
    return []


def state_findings(state: DeviceState, device: RemoteDevice, core: int) -> list[Finding]:
    """Apply all guards to one look at a device.

    Args:
        state: the device's state.
        device: the device file that it has to match.
        core: the core to be measured on.

    Returns:
        Findings, refusals first.
    """
    found = _core(state, core) + _temperature(state, device, core)
    if isinstance(device, Phone):
        found = _identity(state, device) + found + _screen(state)
    return sorted(found, key=lambda finding: not finding.refuses)


def pinning_findings(device: Transport, core: int) -> list[Finding]:
    """Pin a harmless program to the core on the device, read its core list back, and compare."""
    # toybox's taskset takes a bare hexadecimal mask.
    reply = device.shell(f"taskset {1 << core:x} grep Cpus_allowed /proc/self/status")
    if reply.code != 0:
        what = f"nothing can be pinned to core {core} ({reply.said})"
        return [Finding(True, what, "it may be parked; warm it up, or name another --core")]
    observed = allowed_cores(reply.output)
    if observed != frozenset({core}):
        shown = "nothing" if observed is None else ", ".join(map(str, sorted(observed)))
        what = f"pinned to core {core}, a program was allowed on {shown}"
        return [Finding(True, what, "measure on another device")]
    return []
