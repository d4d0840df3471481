"""Whether a phone may be measured now: the device file's guards applied to what the phone told."""

from __future__ import annotations

import re

from suite.errors import InputError
from suite.latency.device import Device
from suite.latency.phone.state import PhoneState, allowed_cores
from suite.latency.remote.findings import Finding
from suite.latency.remote.transport import Transport


def prime_core(state: PhoneState) -> int:
    """Return the core with the highest built-in frequency.

    Raises:
        InputError: if the phone does not tell its frequencies, or two cores share the highest.
    """
    if not state.max_khz:
        raise InputError("phone: it does not tell its cores' frequencies; name a core with --core")
    highest = max(state.max_khz.values())
    fastest = sorted(core for core, frequency in state.max_khz.items() if frequency == highest)
    if len(fastest) > 1:
        named = ", ".join(map(str, fastest))
        raise InputError(f"phone: cores {named} share the highest frequency, {highest} kHz; name one with --core")
    return fastest[0]


def _identity(state: PhoneState, device: Device) -> list[Finding]:
    known = device.details["identity"]
    names = {*known["soc_models"], *known["soc_names"], *map(str, known["soc_ids"])}
    if not state.soc:
        return [Finding(True, "the phone does not tell its chip", f"measure on a {device.title.partition(',')[0]}")]
    if not state.soc <= names:
        others = ", ".join(sorted(state.soc - names))
        return [Finding(True, f"its chip says {others}", f"{device.name}.toml is for {', '.join(known['soc_models'])}")]
    return []


def core_findings(state: PhoneState, core: int) -> list[Finding]:
    """Return what stands against measuring on a core: switched off, out of reach, or capped."""
    found = []
    if state.online is not None and core not in state.online:
        found.append(Finding(True, f"core {core} is switched off", "let it cool, keep a phone's screen on, then retry"))
    if state.allowed is not None and core not in state.allowed:
        cores = ", ".join(map(str, sorted(state.allowed)))
        found.append(
            Finding(
                True,
                f"its shell may use cores {cores} only, not {core}",
                "keep the screen on; on a board, run outside a cpuset",
            )
        )
    built, permitted = state.max_khz.get(core), state.permitted_khz.get(core)
    if built and permitted and permitted < built:
        what = f"core {core} is capped at {permitted // 1000} of {built // 1000} MHz"
        found.append(Finding(True, what, "switch power saving off and let it cool"))
    if permitted is None:
        found.append(
            Finding(False, f"core {core} does not tell its frequency cap", "throttling is judged by the anchor alone")
        )
    return found


def _temperature(state: PhoneState, device: Device, core: int) -> list[Finding]:
    guards, found = device.details["guards"], []
    sensors = device.details["cores"]["sensors"].get(str(core), [])
    known = {name: state.zones_c[name] for name in sensors if name in state.zones_c}
    if state.thermal_status is not None and state.thermal_status > guards["max_thermal_status"]:
        what = f"Android reports thermal status {state.thermal_status} (0 = none)"
        found.append(Finding(True, what, "let the phone cool for ten minutes", passes=True))
    if f"CPU{core}" in state.hal_c:
        known[f"CPU{core}"] = state.hal_c[f"CPU{core}"]
    for name, temperature in known.items():
        if temperature > guards["max_core_c"]:
            what = f"sensor {name} of core {core} reads {temperature:.0f} C (limit {guards['max_core_c']:.0f})"
            found.append(Finding(True, what, "let the phone cool for ten minutes", passes=True))
    if not known:
        found.append(Finding(False, f"the sensors of core {core} cannot be read", "Android's thermal status stands in"))
    if not known and state.thermal_status is None:
        found.append(Finding(True, "the phone tells no temperature at all", "a run could not be guarded on it"))
    return found


def _supply(state: PhoneState, device: Device) -> list[Finding]:
    guards, found = device.details["guards"], []
    if not state.booted:
        found.append(Finding(True, "the phone is still starting", "wait for its home screen"))
    if state.battery_faked:
        found.append(Finding(True, "its battery values are overridden", "run adb shell dumpsys battery reset"))
    if state.battery_percent is not None and state.battery_percent < guards["min_battery_percent"]:
        what = f"battery at {state.battery_percent} % (needs {guards['min_battery_percent']})"
        found.append(Finding(True, what, "charge it, then let it cool"))
    if state.battery_c is not None and state.battery_c > guards["max_battery_c"]:
        what = f"battery at {state.battery_c:.1f} C (limit {guards['max_battery_c']:.0f})"
        found.append(Finding(True, what, "let the phone cool", passes=True))
    if state.charging:
        found.append(Finding(False, "it is on external power", "MLPerf Mobile measures on battery; use adb over Wi-Fi"))
    if state.awake is False:
        found.append(Finding(True, "its screen is off", "switch it on and keep it on"))
    if state.awake is None:
        found.append(Finding(False, "it does not tell whether its screen is on", "look at it"))
    if state.free_mib is not None and state.free_mib < guards["min_free_mib"]:
        what = f"{state.free_mib} MiB free on /data (needs {guards['min_free_mib']})"
        found.append(Finding(True, what, "free some space"))
    return found


def state_findings(state: PhoneState, device: Device, core: int) -> list[Finding]:
    """Apply all guards to one look at a phone.

    Args:
        state: what the phone told.
        device: the device file it has to be.
        core: the core to be measured on.

    Returns:
        Findings, refusals first.
    """
    found = (
        _identity(state, device)
        + core_findings(state, core)
        + _temperature(state, device, core)
        + _supply(state, device)
    )
    return sorted(found, key=lambda finding: not finding.refuses)


def pinning_findings(phone: Transport, core: int) -> list[Finding]:
    """Pin a harmless program to the core on the phone, read its core list back, and compare."""
    # toybox's taskset takes a bare hexadecimal mask.
    reply = phone.shell(f"taskset {1 << core:x} grep Cpus_allowed /proc/self/status")
    if re.search(r"affinity: Invalid argument", reply.text):
        return [
            Finding(
                True, f"nothing can be pinned to core {core}", "it may be parked; warm it up or name another --core"
            )
        ]
    if reply.code != 0:
        said = reply.text.strip().splitlines()
        return [
            Finding(True, f"taskset failed ({said[0] if said else reply.code})", f"try it by hand on the {phone.noun}")
        ]
    observed = allowed_cores(reply.output)
    if observed != frozenset({core}):
        shown = "nothing" if observed is None else ", ".join(map(str, sorted(observed)))
        return [
            Finding(
                True, f"pinned to core {core}, a program was allowed on {shown}", f"measure on another {phone.noun}"
            )
        ]
    return []
