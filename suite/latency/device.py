"""Device files: what is known of a device before it is asked, and the protocols to measure it with.

One TOML file per device in ``suite/latency/devices/``; adding a device is adding a file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.errors import InputError
from suite.latency.protocol import Protocol, checked_fields, protocol_from_mapping

DEVICE_FOLDER = Path(__file__).parent / "devices"
BACKENDS = ("host", "adb", "ssh")
KNOWN_KEYS = ("name", "title", "backend", "protocols", "identity", "cores", "guards", "blocks")
NUMBER = (int, float)
BOARD_GUARDS: dict[str, Any] = {"max_core_c": NUMBER, "min_free_mib": NUMBER}
PHONE_GUARDS = {**BOARD_GUARDS, "min_battery_percent": NUMBER, "max_battery_c": NUMBER, "max_thermal_status": NUMBER}
DETAILS: dict[str, dict[str, dict[str, Any]]] = {
    "host": {"identity": {}, "cores": {}, "guards": {}},
    "adb": {
        "identity": {"soc_models": list, "soc_names": list, "soc_ids": list},
        "cores": {"count": int, "sensors": dict},
        "guards": PHONE_GUARDS,
    },
    "ssh": {"identity": {}, "cores": {}, "guards": BOARD_GUARDS},
}
"""What each backend reads of a device file's tables: their keys, all needed, and their types."""


@dataclass(frozen=True)
class Blocks:
    """How a run on a remote device is cut into blocks, and what shows that it was slowed down.

    Attributes:
        count: equal blocks a run is made in; between two the device is looked at again.
        max_cool_down_s: seconds to wait at most for a device that is too warm.
        check_every_s: seconds between two looks while waiting.
        min_frequency_share: a sample counts as slow if the core's frequency lies below this share of the built one.
        max_slow_share: share of samples (0 to 1) that may be slow.
        max_calibration_ratio: CPU time of the calibration loop over its shortest in the run.
    """

    count: int
    max_cool_down_s: float
    check_every_s: float
    min_frequency_share: float
    max_slow_share: float
    max_calibration_ratio: float


@dataclass(frozen=True)
class Device:
    """One device file.

    Attributes:
        name: the file's stem, e.g. ``"snapdragon_778g"``.
        title: how tables call it.
        backend: how it is reached: ``host``, ``adb`` or ``ssh``.
        protocols: by name; ``standard`` always exists.
        details: the tables ``identity``, ``cores`` and ``guards``, with the keys that the backend reads (`DETAILS`).
        blocks: how a run is cut; None for this machine.
    """

    name: str
    title: str
    backend: str
    protocols: Mapping[str, Protocol]
    details: Mapping[str, Mapping[str, Any]]
    blocks: Blocks | None = None

    def protocol(self, name: str = "standard") -> Protocol:
        """Return one of the device's protocols.

        Raises:
            InputError: if the device has no protocol of that name; the message lists those it has.
        """
        if name not in self.protocols:
            raise InputError(f"{self.name}.toml: no protocol {name!r}; it has {', '.join(self.protocols)}")
        return self.protocols[name]


def device_names(folder: Path = DEVICE_FOLDER) -> list[str]:
    """Return the names of all device files, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def _merged(tables: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    table = tables[name]
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: must be a table")
    parent = table.get("extends")
    if parent is None:
        return dict(table)
    if parent not in tables or parent == name or "extends" in tables[parent]:
        raise InputError(f"{where}: extends {parent!r}, which is not another complete protocol of this file")
    own = {key: value for key, value in table.items() if key != "extends"}
    merged = {**tables[parent], **own}
    merged["rules"] = {**tables[parent].get("rules", {}), **own.get("rules", {})}
    return merged


def _details(content: Mapping[str, Any], backend: str, file: str) -> dict[str, dict[str, Any]]:
    details = {}
    for table, known in DETAILS[backend].items():
        values, where = content.get(table, {}), f"{file} [{table}]"
        if not isinstance(values, Mapping):
            raise InputError(f"{where}: must be a table")
        for key in (*values, *known):
            if key not in known:
                raise InputError(f"{where}: unknown key {key!r}; known keys: {', '.join(known) or 'none'}")
            if key not in values:
                raise InputError(f"{where}: key {key!r} is missing; add it")
            if isinstance(values[key], bool) or not isinstance(values[key], known[key]):
                raise InputError(f"{where}: key {key!r} has a value of the wrong type, {values[key]!r}")
        details[table] = dict(values)
    return details


def _blocks(table: Mapping[str, Any], where: str) -> Blocks:
    blocks = Blocks(**checked_fields(Blocks, table, where))
    if blocks.count < 1:
        raise InputError(f"{where}: count must be at least 1, got {blocks.count}")
    return blocks


def load_device(name: str, folder: Path = DEVICE_FOLDER) -> Device:
    """Read one device file.

    Raises:
        InputError: if there is no such device, or the file has unknown or missing keys or wrong values.
    """
    path = folder / f"{name}.toml"
    if not path.is_file():
        raise InputError(f"{name}: no such device; known devices: {', '.join(device_names(folder))}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name}: not valid TOML ({error})") from None
    for key in content:
        if key not in KNOWN_KEYS:
            raise InputError(f"{path.name}: unknown key {key!r}; known keys: {', '.join(KNOWN_KEYS)}")
    for key in ("name", "title", "backend", "protocols"):
        if key not in content:
            raise InputError(f"{path.name}: key {key!r} is missing; add it")
    if content["name"] != name:
        raise InputError(f"{path.name}: its name is {content['name']!r}; name the file {content['name']}.toml")
    if content["backend"] not in BACKENDS:
        raise InputError(f"{path.name}: unknown backend {content['backend']!r}; known: {', '.join(BACKENDS)}")
    if "standard" not in content["protocols"]:
        raise InputError(f"{path.name}: [protocols.standard] is missing; add it")
    protocols = {}
    for protocol_name in content["protocols"]:
        where = f"{path.name} [protocols.{protocol_name}]"
        merged = _merged(content["protocols"], protocol_name, where)
        protocols[protocol_name] = protocol_from_mapping({**merged, "name": f"{name}-{protocol_name}"}, where)
    details = _details(content, content["backend"], path.name)
    blocks = None
    if content["backend"] != "host":
        blocks = _blocks(content.get("blocks", {}), f"{path.name} [blocks]")
    return Device(name, content["title"], content["backend"], protocols, details, blocks)
