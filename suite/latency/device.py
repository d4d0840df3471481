"""Device files: what is known of a device before it is asked, and the protocols to measure it with, as data.

One TOML file per device in ``suite/latency/devices/``; adding a device is adding a file. Protocols take what they do
not say from the file's ``standard`` one; the code has no defaults of its own. The timer follows a protocol without
knowing any model, and `suite.latency.validity` applies its rules.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from suite.errors import InputError
from suite.typed import convert, read_typed

DEVICE_FOLDER = Path(__file__).parent / "devices"
REMEDY = "compare with the files beside it"
Positive = Annotated[int, msgspec.Meta(gt=0, le=100_000)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Ratio = Annotated[float, msgspec.Meta(gt=0, le=100)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of the validity rules.

    Attributes:
        max_other_thread_share: share of CPU time (0 to 1) that may be spent outside the calling thread.
        max_cpu_over_wall: CPU time over wall time; above 1 more than one core worked.
        max_wall_over_cpu: wall time over CPU time; a sample above it was disturbed.
        max_disturbed_share: share of samples (0 to 1) that may be disturbed.
        trimmed_share: share of samples (0 to 1), the most disturbed ones, left out of the whole run's wall over CPU, so
            that one long stall does not decide.
        max_anchor_drift: anchor's median CPU time in the last quarter over that in the first.
        min_repeat_ratio: median CPU time of a repeated input over that of a fresh one.
        max_output_difference: largest absolute difference to the reference outputs, over the reference's largest
            magnitude.
    """

    max_other_thread_share: Share
    max_cpu_over_wall: Ratio
    max_wall_over_cpu: Ratio
    max_disturbed_share: Share
    trimmed_share: Share
    max_anchor_drift: Ratio
    min_repeat_ratio: Ratio
    max_output_difference: Share


class Protocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a latency run is made.

    Attributes:
        name: e.g. ``"host-standard"``.
        warm_up_groups: groups of three runs per candidate before the first round: two fresh inputs, then the second of
            them again. The last two runs of a group serve the ``cached`` rule.
        min_samples: samples per candidate that a run needs; each round gives two.
        min_duration_s: seconds of timed rounds that a run needs.
        max_duration_s: after this many seconds of timed rounds no new round starts.
        percentile: the tail percentile reported beside the median (nearest rank).
        input_pool: number of different base inputs that the fresh inputs are made of.
        bootstrap_resamples: resamples behind every interval of a ratio.
        interval_level: coverage of the interval, e.g. 0.95.
        niceness: scheduling priority asked for (-20 first, 19 last); taken where the system permits it, and what was
            got is reported.
        attempts: how often a run is made at most, where only the machine's other load spoils it.
        rules: thresholds of the validity rules.
    """

    name: str
    warm_up_groups: Positive
    min_samples: Positive
    min_duration_s: Seconds
    max_duration_s: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    percentile: Annotated[int, msgspec.Meta(ge=50, le=100)]
    input_pool: Positive
    bootstrap_resamples: Positive
    interval_level: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    niceness: Annotated[int, msgspec.Meta(ge=-20, le=19)]
    attempts: Positive
    rules: Rules

    def __post_init__(self) -> None:
        """Refuse durations that no run could keep.

        Raises:
            ValueError: naming the field.
        """
        if self.min_duration_s > self.max_duration_s:
            raise ValueError(f"min_duration_s {self.min_duration_s} is above max_duration_s {self.max_duration_s}")

    def with_samples(self, count: int | None) -> Protocol:
        """Return the protocol for so many samples per candidate, whatever they take; itself for None."""
        if count is None:
            return self
        return msgspec.structs.replace(
            self, name=f"{self.name}-{count}-pairs", min_samples=count, min_duration_s=0.0, max_duration_s=3600.0
        )


class Guards(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits within which a phone or board is measured, in blocks between which the limits apply again.

    Attributes:
        max_core_c: core temperature in Celsius.
        max_thermal_status: Android's own thermal status, 0 none to 6 shutdown; other systems report none.
        blocks: equal blocks of a run.
        max_cool_down_s: seconds to wait at most for a device that is too warm.
        check_every_s: seconds between two looks while waiting.
        min_frequency_share: a sample counts as slow if the core's frequency lies below this share of the built one.
        max_slow_share: share of samples (0 to 1) that may be slow.
        max_calibration_ratio: CPU time of the calibration loop over its shortest in the run.
    """

    max_core_c: Annotated[float, msgspec.Meta(gt=0, le=200)]
    max_thermal_status: Annotated[int, msgspec.Meta(ge=0, le=6)]
    blocks: Positive
    max_cool_down_s: Seconds
    check_every_s: Seconds
    min_frequency_share: Share
    max_slow_share: Share
    max_calibration_ratio: Ratio


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


class Phone(Device, frozen=True, forbid_unknown_fields=True, tag="adb"):
    """An Android phone, reached over adb.

    Attributes:
        guards: limits within which it is measured.
        chips: names and numbers under which its chip reports itself, the one for messages first.
        cores: number of cores.
        sensors: thermal sensors of each core by its number as text.
    """

    guards: Guards
    chips: list[str]
    cores: int
    sensors: dict[str, list[str]]


RemoteDevice = Board | Phone


def load_device(name: str, folder: Path = DEVICE_FOLDER) -> Host | Board | Phone:
    """Read one device file.

    Raises:
        InputError: if there is no such device, or the file has unknown or missing keys or wrong values.
    """
    path = folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in folder.glob("*.toml")))
        raise InputError(f"{name}: no such device; known devices: {known}")
    content = read_typed(path, dict[str, Any], "device file", REMEDY)
    tables = convert(content.get("protocols", {}), dict[str, dict[str, Any]], str(path), REMEDY, "protocols")
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
        raise InputError(f"--device {name}: this machine is timed by `latency host`; name a phone or board")
    return device
