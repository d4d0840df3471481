"""The state that a phone or board reports, and what in it stands against measuring by the device file's guards.

Anything may be missing, since vendors deny access as they like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from suite.errors import InputError
from suite.latency.device import Phone, RemoteDevice
from suite.latency.remote.transport import Transport

CPU_FOLDER = "/sys/devices/system/cpu"
COMMANDS = (
    f"grep . {CPU_FOLDER}/possible {CPU_FOLDER}/present {CPU_FOLDER}/online",
    f"grep . {CPU_FOLDER}/cpu*/cpufreq/*_max_freq {CPU_FOLDER}/cpu*/cpufreq/scaling_cur_freq",
    "grep Cpus_allowed /proc/self/status",
    "grep . /sys/class/thermal/thermal_zone*/type /sys/class/thermal/thermal_zone*/temp",
)
PHONE_COMMANDS = ("getprop", "dumpsys thermalservice")
CHIP_PROPERTIES = ("ro.soc.model", "ro.vendor.qti.soc_model", "ro.vendor.qti.soc_name", "ro.vendor.qti.soc_id")


@dataclass(frozen=True)
class DeviceState:
    """The state of a phone or board; None = not reported.

    Attributes:
        soc: every name of the chip it gives: model, name and numbers.
        product: maker and model for sale.
        android: Android's release.
        online: cores that are switched on.
        allowed: cores that its shell may use.
        max_khz: highest frequency by core, as built.
        permitted_khz: highest frequency by core that is permitted now.
        zones_c: temperature by sensor, without the suffix "-usr".
        zone_files: file of the temperature by sensor.
        thermal_status: Android's verdict, 0 none to 6 shutdown; unknown while the thermal service is not ready.
    """

    soc: frozenset[str]
    product: str
    android: str
    online: frozenset[int] | None
    allowed: frozenset[int] | None
    max_khz: Mapping[int, int]
    permitted_khz: Mapping[int, int]
    zones_c: Mapping[str, float]
    zone_files: Mapping[str, str]
    thermal_status: int | None


def core_list(text: str) -> frozenset[int] | None:
    """Read a kernel list: ``"0-2,7"`` is {0, 1, 2, 7}; None where the text is none."""
    cores: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        if not re.fullmatch(r"\d{1,4}(-\d{1,4})?", part, re.ASCII):
            return None
        first, _, last = part.partition("-")
        cores.update(range(int(first), int(last or first) + 1))
    return frozenset(cores)


def allowed_cores(text: str) -> frozenset[int] | None:
    """Read the core list of a ``/proc/PID/status``."""
    match = re.search(r"^Cpus_allowed_list:\s*(\S+)", text, flags=re.MULTILINE)
    return core_list(match[1]) if match else None


def _frequencies(text: str, name: str) -> dict[int, int]:
    """Return one cpufreq value in kHz by core."""
    pairs = re.findall(rf"^{CPU_FOLDER}/cpu(\d{{1,4}})/cpufreq/{name}:([1-9]\d{{0,8}})\s*$", text, flags=re.MULTILINE)
    return {int(core): int(value) for core, value in pairs}


def _zone_files(files: Mapping[str, str]) -> dict[str, str]:
    """Return the file that holds the temperature by sensor, for zones that answered.

    Zones are matched by their type, since their order varies. Where several are of one type, as on many boards, the
    second is called ``TYPE#2``, and so on: none may hide another that is hot.
    """
    found: dict[str, str] = {}
    for path, kind in files.items():
        temperature = path.removesuffix("/type") + "/temp"
        if path.endswith("/type") and temperature in files:
            name = re.sub(r"[^\w.+-]", "_", kind.strip().removesuffix("-usr"), flags=re.ASCII)  # one word of a plan
            same = sum(known.partition("#")[0] == name for known in found)
            found[f"{name}#{same + 1}" if same else name] = temperature
    return found


def parse_state(text: str) -> DeviceState:
    """Build a state from what `COMMANDS` and `PHONE_COMMANDS` print, in any order; every line says what it is of."""
    named = dict(re.findall(r"^\[([^\]]+)\]: \[([^\]]*)\]", text, flags=re.MULTILINE))
    # Lines ``path:value`` of grep; anything else, such as refusals, is left out.
    files = dict(re.findall(r"^(/[^:\n]+):([^\n]*)$", text, flags=re.MULTILINE))
    zones, online = _zone_files(files), files.get(f"{CPU_FOLDER}/online")
    thermal = re.search(r"^Thermal Status: (\d{1,3})\s*$", text, flags=re.MULTILINE)
    readable = {name: files[path] for name, path in zones.items() if re.fullmatch(r"\s*-?\d{1,9}\s*", files[path])}
    return DeviceState(
        soc=frozenset(value for key in CHIP_PROPERTIES if (value := named.get(key, "").strip())),
        product=" ".join(filter(None, (named.get("ro.product.manufacturer"), named.get("ro.product.model")))),
        android=named.get("ro.build.version.release", ""),
        online=core_list(online) if online else None,
        allowed=allowed_cores(text),
        max_khz=_frequencies(text, "cpuinfo_max_freq"),
        permitted_khz=_frequencies(text, "scaling_max_freq"),
        zones_c={name: int(value) / 1000 for name, value in readable.items()},
        zone_files=zones,
        thermal_status=int(thermal[1]) if thermal and "HAL Ready: false" not in text else None,
    )


def read_state(device: Transport) -> DeviceState:
    """Ask a phone or board for everything; what it denies stays unknown.

    Raises:
        NothingMeasuredError: if the device was lost meanwhile.
    """
    if device.kind == "adb":
        return parse_state("\n".join(device.shell(command).output for command in COMMANDS + PHONE_COMMANDS))
    return parse_state(device.shell("; ".join(COMMANDS)).output)  # one connection for all


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
    if others := state.soc.difference(device.chips):
        said = f"its chip says {', '.join(sorted(others))}"
        return [Finding(True, said, f"{device.name}.toml is for {device.chips[0]}")]
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
    known, status, limit = dict(state.zones_c), state.thermal_status, device.guards.max_core_c
    found = []
    if isinstance(device, Phone):
        known = {name: known[name] for name in device.sensors.get(str(core), []) if name in known}
        if status is not None and status > device.guards.max_thermal_status:
            what = f"Android reports thermal status {status} (0 = none)"
            found.append(Finding(True, what, "let the phone cool for ten minutes", passes=True))
    hot = {name: temperature for name, temperature in known.items() if temperature > limit}
    for name, temperature in hot.items():
        what = f"sensor {name} reads {temperature:.0f} C (limit {limit:.0f})"
        found.append(Finding(True, what, "let the device cool for ten minutes", passes=True))
    if not known:
        blind = isinstance(device, Phone) and status is None
        what = f"no sensor of core {core} can be read" + (", nor Android's thermal status" if blind else "")
        found.append(Finding(blind, what, "a phone cannot be guarded so; a board is judged by its speed"))
    return found


def state_findings(state: DeviceState, device: RemoteDevice, core: int) -> list[Finding]:
    """Apply all guards of a device file to one look at a device, to be measured on a core."""
    identity = _identity(state, device) if isinstance(device, Phone) else []
    return identity + _core(state, core) + _temperature(state, device, core)


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
