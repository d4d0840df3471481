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
COMMANDS: dict[str, str] = {
    "properties": "getprop",
    "cores": f"grep . {CPU_FOLDER}/possible {CPU_FOLDER}/present {CPU_FOLDER}/online",
    "frequencies": f"grep . {CPU_FOLDER}/cpu*/cpufreq/*_max_freq {CPU_FOLDER}/cpu*/cpufreq/scaling_cur_freq",
    "status": "grep Cpus_allowed /proc/self/status",
    "zones": "grep . /sys/class/thermal/thermal_zone*/type /sys/class/thermal/thermal_zone*/temp",
    "thermal": "dumpsys thermalservice",
    "power": "dumpsys power",
}
BOARD_COMMANDS = ("cores", "frequencies", "status", "zones")
"""What a Linux board answers in the same words as a phone does; the rest is Android's."""


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
        hal_c: temperature by name as Android's thermal service reads it now, e.g. ``CPU7``; its cached block is left
            out, since it may be frozen.
        thermal_status: Android's verdict, 0 none to 6 shutdown; unknown while the thermal service is not ready.
        awake: whether the screen is on.
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
    hal_c: Mapping[str, float]
    thermal_status: int | None
    awake: bool | None


def core_list(text: str) -> frozenset[int]:
    """Read a kernel list: ``"0-2,7"`` is {0, 1, 2, 7}."""
    cores: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        cores.update(range(int(first), int(last or first) + 1))
    return frozenset(cores)


def properties(text: str) -> dict[str, str]:
    """Read ``getprop``: lines ``[key]: [value]``."""
    return dict(re.findall(r"^\[([^\]]+)\]: \[([^\]]*)\]", text, flags=re.MULTILINE))


def grepped(text: str) -> dict[str, str]:
    """Read ``grep . FILES``: lines ``path:value``; anything else (refusals) is left out."""
    return dict(re.findall(r"^(/[^:\n]+):([^\n]*)$", text, flags=re.MULTILINE))


def frequencies(files: Mapping[str, str], name: str) -> dict[int, int]:
    """Return one cpufreq value in kHz by core."""
    found = {}
    for path, value in files.items():
        match = re.fullmatch(rf"{CPU_FOLDER}/cpu(\d+)/cpufreq/{name}", path)
        if match and value.strip().isdigit():
            found[int(match[1])] = int(value)
    return found


def zone_paths(files: Mapping[str, str]) -> dict[str, str]:
    """Return the file that holds the temperature by sensor, for zones that answered.

    Zones are matched by their type, since their order varies. Where several are of one type, as on many boards, the
    second is called ``TYPE#2``, and so on: none may hide another that is hot.
    """
    found: dict[str, str] = {}
    for path, kind in files.items():
        temperature = path.removesuffix("/type") + "/temp"
        if path.endswith("/type") and temperature in files:
            name = kind.strip().removesuffix("-usr")
            same = sum(known.partition("#")[0] == name for known in found)
            found[f"{name}#{same + 1}" if same else name] = temperature
    return found


def hal_temperatures(text: str) -> dict[str, float]:
    """Read the block "Current temperatures from HAL" of ``dumpsys thermalservice``."""
    _, _, block = text.partition("Current temperatures from HAL:")
    found = {}
    for line in block.splitlines()[1:]:
        match = re.match(r"\s+Temperature\{mValue=(-?[\d.]+), mType=\d+, mName=([^,]+),", line)
        if not match:
            break
        found[match[2]] = float(match[1])
    return found


def allowed_cores(text: str) -> frozenset[int] | None:
    """Read the core list of a ``/proc/PID/status``."""
    match = re.search(r"^Cpus_allowed_list:\s*(\S+)", text, flags=re.MULTILINE)
    return core_list(match[1]) if match else None


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"\s*-?\d+\s*", text) is not None


def _awake(text: str) -> bool | None:
    if re.search(r"mWakefulness=Awake|Display Power: state=ON", text):
        return True
    return False if re.search(r"mWakefulness=|Display Power: state=", text) else None


def parse_state(answers: Mapping[str, str]) -> DeviceState:
    """Build a state from the outputs of `COMMANDS`, by their names."""
    named = properties(answers.get("properties", ""))
    chip = ("ro.soc.model", "ro.vendor.qti.soc_model", "ro.vendor.qti.soc_name", "ro.vendor.qti.soc_id")
    files = grepped("\n".join(answers.get(name, "") for name in ("cores", "frequencies", "zones")))
    zones, online = zone_paths(files), files.get(f"{CPU_FOLDER}/online")
    service = answers.get("thermal", "")
    thermal = re.search(r"^Thermal Status: (\d+)", service, flags=re.MULTILINE)
    if "HAL Ready: false" in service:
        thermal = None
    return DeviceState(
        soc=frozenset(value for key in chip if (value := named.get(key, "").strip())),
        product=" ".join(filter(None, (named.get("ro.product.manufacturer"), named.get("ro.product.model")))),
        android=named.get("ro.build.version.release", ""),
        online=core_list(online) if online else None,
        allowed=allowed_cores(answers.get("status", "")),
        max_khz=frequencies(files, "cpuinfo_max_freq"),
        permitted_khz=frequencies(files, "scaling_max_freq"),
        zones_c={name: int(files[path]) / 1000 for name, path in zones.items() if _is_whole(files[path])},
        zone_files=zones,
        hal_c=hal_temperatures(service),
        thermal_status=int(thermal[1]) if thermal else None,
        awake=_awake(answers.get("power", "")),
    )


def read_state(device: Transport) -> DeviceState:
    """Ask a phone or board for everything; what it denies stays unknown.

    Raises:
        NothingMeasuredError: if the device was lost meanwhile.
    """
    if device.kind == "adb":
        return parse_state({name: device.shell(command).output for name, command in COMMANDS.items()})
    # One connection for all: every line says itself which file it is from.
    told = device.shell("; ".join(COMMANDS[name] for name in BOARD_COMMANDS)).output
    return parse_state(dict.fromkeys(BOARD_COMMANDS, told))


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
