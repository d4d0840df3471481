"""Device files: what is known of a device before it is asked, and the protocols to measure it with.

One TOML file per device in ``suite/latency/devices/``; adding a device is adding a file. Protocols take
what they do not say from the file's ``standard`` one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from suite.errors import InputError
from suite.latency.protocol import Positive, Protocol
from suite.typed import convert, read_typed

DEVICE_FOLDER = Path(__file__).parent / "devices"
REMEDY = "compare with the files beside it"


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names and numbers under which a phone's chip reports itself."""

    soc_models: list[str]
    soc_names: list[str]
    soc_ids: list[int]

    def names(self) -> frozenset[str]:
        """Return every name and number as text."""
        return frozenset([*self.soc_models, *self.soc_names, *map(str, self.soc_ids)])


class Cores(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Number of cores, and the thermal sensors of each core by its number as text."""

    count: int
    sensors: dict[str, list[str]]


class Guards(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits within which a board is measured: core temperature in Celsius."""

    max_core_c: float


class PhoneGuards(Guards, frozen=True, forbid_unknown_fields=True):
    """Limits within which a phone is measured: also Android's own thermal status, 0 none to 6 shutdown."""

    max_thermal_status: int


class Blocks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a run on a phone or board is cut into blocks, and what shows that the core was slowed down.

    Attributes:
        count: equal blocks of a run; the guards apply again before each.
        max_cool_down_s: seconds to wait at most for a device that is too warm.
        check_every_s: seconds between two looks while waiting.
        min_frequency_share: a sample counts as slow if the core's frequency lies below this share of the built one.
        max_slow_share: share of samples (0 to 1) that may be slow.
        max_calibration_ratio: CPU time of the calibration loop over its shortest in the run.
    """

    count: Positive
    max_cool_down_s: float
    check_every_s: float
    min_frequency_share: float
    max_slow_share: float
    max_calibration_ratio: float


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="backend"):
    """One device file.

    Attributes:
        name: the file's stem, e.g. ``"snapdragon_778g"``.
        title: how tables call it.
        protocols: by name; ``standard`` always exists.
    """

    name: str
    title: str
    protocols: dict[str, Protocol]

    def protocol(self, name: str = "standard") -> Protocol:
        """Return one of the device's protocols.

        Raises:
            InputError: if the device has no protocol of that name; the message lists those it has.
        """
        if name not in self.protocols:
            raise InputError(f"{self.name}.toml: no protocol {name!r}; it has {', '.join(self.protocols)}")
        return self.protocols[name]


class Host(Device, frozen=True, forbid_unknown_fields=True, tag="host"):
    """This machine."""


class Board(Device, frozen=True, forbid_unknown_fields=True, tag="ssh"):
    """A Linux board, reached over ssh."""

    guards: Guards
    blocks: Blocks


class Phone(Device, frozen=True, forbid_unknown_fields=True, tag="adb"):
    """An Android phone, reached over adb."""

    identity: Identity
    cores: Cores
    guards: PhoneGuards
    blocks: Blocks


RemoteDevice = Board | Phone


def device_names(folder: Path = DEVICE_FOLDER) -> list[str]:
    """Return the names of all device files, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load_device(name: str, folder: Path = DEVICE_FOLDER) -> Host | Board | Phone:
    """Read one device file.

    Raises:
        InputError: if there is no such device, or the file has unknown or missing keys or wrong values.
    """
    path = folder / f"{name}.toml"
    if not path.is_file():
        raise InputError(f"{name}: no such device; known devices: {', '.join(device_names(folder))}")
    content = read_typed(path, dict[str, Any], "device file", REMEDY)
    tables = content.get("protocols")
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise InputError(f"{path}: [protocols] must hold tables; {REMEDY}")
    if "standard" not in tables:
        raise InputError(f"{path}: [protocols.standard] is missing; add it")
    base = tables["standard"]
    protocols = {
        each: {**base, **own, "rules": {**base.get("rules", {}), **own.get("rules", {})}, "name": f"{name}-{each}"}
        for each, own in tables.items()
    }
    device: Host | Board | Phone = convert(
        {**content, "protocols": protocols},
        Host | Board | Phone,  # type: ignore[arg-type]
        str(path),
        REMEDY,
    )
    if device.name != name:
        raise InputError(f"{path}: its name is {device.name!r}; name the file {device.name}.toml")
    return device


def load_remote(name: str) -> RemoteDevice:
    """Read the file of a device that is not this machine.

    Raises:
        InputError: as `load_device` does, or if it describes this machine.
    """
    device = load_device(name)
    if isinstance(device, Host):
        remote = [each for each in device_names() if not isinstance(load_device(each), Host)]
        raise InputError(f"--device {name}: this machine is timed by `latency host`; name one of {', '.join(remote)}")
    return device
