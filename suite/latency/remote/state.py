"""The state that a phone or board reports, parsed; anything may be missing, since vendors deny access as they like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

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


def zone_temperatures(files: Mapping[str, str]) -> dict[str, float]:
    """Return temperatures in Celsius by sensor, named as `zone_paths` does; those that are no number are left out."""
    told = {name: files[path].strip() for name, path in zone_paths(files).items()}
    return {name: int(text) / 1000 for name, text in told.items() if re.fullmatch(r"-?\d+", text)}


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


def _awake(text: str) -> bool | None:
    if re.search(r"mWakefulness=Awake|Display Power: state=ON", text):
        return True
    return False if re.search(r"mWakefulness=|Display Power: state=", text) else None


def parse_state(answers: Mapping[str, str]) -> DeviceState:
    """Build a state from the outputs of `COMMANDS`, by their names."""
    named = properties(answers.get("properties", ""))
    chip = ("ro.soc.model", "ro.vendor.qti.soc_model", "ro.vendor.qti.soc_name", "ro.vendor.qti.soc_id")
    files = grepped("\n".join(answers.get(name, "") for name in ("cores", "frequencies", "zones")))
    online = files.get(f"{CPU_FOLDER}/online")
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
        zones_c=zone_temperatures(files),
        zone_files=zone_paths(files),
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
