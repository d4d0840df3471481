from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suite.errors import InputError
from suite.latency.device import DEVICE_FOLDER, device_names, load_device
from suite.latency.protocol import protocol_from_mapping, protocol_to_mapping

HOST = (DEVICE_FOLDER / "host.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", device_names())
def test_every_shipped_device_has_sound_protocols(name: str) -> None:
    device = load_device(name)
    for protocol in device.protocols.values():
        assert protocol.rules.max_wall_over_cpu == 1.1
        assert protocol.name.startswith(name)


def test_strict_takes_the_counts_of_mlperf_mobile_and_the_rest_from_standard() -> None:
    strict, standard = (load_device("host").protocol(name) for name in ("strict", "standard"))
    assert (strict.min_samples, strict.min_duration_s, strict.percentile) == (1024, 60.0, 90)
    assert strict.rules.max_disturbed_share < standard.rules.max_disturbed_share
    assert strict.rules.max_anchor_drift == standard.rules.max_anchor_drift


def test_a_protocol_survives_json() -> None:
    protocol = load_device("host").protocol()
    assert protocol_from_mapping(protocol_to_mapping(protocol), "request") == protocol


def changed(**values: Any) -> dict[str, Any]:
    return {**protocol_to_mapping(load_device("host").protocol()), **values}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (changed(samples=3), "unknown key 'samples'"),
        (changed(min_samples="30"), "'min_samples' must be int"),
        (changed(min_samples=True), "'min_samples' must be int"),
        (changed(min_samples=0), "min_samples must be positive"),
        (changed(min_duration_s=100.0), "min_duration_s must lie between"),
        (changed(percentile=101), "percentile"),
        (changed(interval_level=1.0), "interval_level"),
        (changed(rules={}), "rules: key 'max_other_thread_share' is missing"),
        (changed(rules=3), "'rules' must be a table"),
        ({}, "key 'name' is missing"),
    ],
)
def test_a_wrong_protocol_is_named_with_its_place(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match="somewhere") as caught:
        protocol_from_mapping(values, "somewhere.toml [protocols.x]")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('name = "host"', 'name = "other"'), "its name is 'other'"),
        (lambda text: text.replace('backend = "host"', 'backend = "cloud"'), "unknown backend 'cloud'"),
        (lambda text: text.replace('title = "This machine, one core"\n', ""), "key 'title' is missing"),
        (lambda text: 'colour = "red"\n' + text, "unknown key 'colour'"),
        (lambda text: text.replace("[protocols.standard", "[protocols.usual"), "[protocols.standard] is missing"),
        (lambda text: text.replace('extends = "standard"', 'extends = "strict"'), "extends 'strict'"),
        (lambda text: text + "\n[", "not valid TOML"),
    ],
)
def test_a_wrong_device_file_is_named_with_its_place(tmp_path: Path, change: Callable[[str], str], words: str) -> None:
    assert change(HOST) != HOST
    (tmp_path / "host.toml").write_text(change(HOST), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_device("host", tmp_path)
    assert words in str(caught.value)
    assert "host.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("board", "max_core_c = 70.0\n", "", "[guards]: key 'max_core_c' is missing"),
        (
            "board",
            "min_free_mib",
            "min_free_mb",
            "[guards]: unknown key 'min_free_mb'; known keys: max_core_c",
        ),
        ("board", "[guards]", "[cores]\ncount = 4\n[guards]", "[cores]: unknown key 'count'; known keys: none"),
        ("snapdragon_778g", "max_battery_c = 38.0\n", "", "[guards]: key 'max_battery_c' is missing"),
        (
            "snapdragon_778g",
            "max_thermal_status = 0",
            "max_thermal_status = 'none'",
            "max_thermal_status' has a value",
        ),
        ("snapdragon_778g", 'soc_names = ["yupik"]\n', "", "[identity]: key 'soc_names' is missing"),
    ],
)
def test_a_guard_that_is_left_out_or_misspelt_is_named_with_its_place(
    tmp_path: Path, name: str, old: str, new: str, words: str
) -> None:
    text = (DEVICE_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / f"{name}.toml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=f"^{name}.toml ") as caught:
        load_device(name, tmp_path)
    assert words in str(caught.value)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"known devices: .*host"):
        load_device("toaster")
    with pytest.raises(InputError, match="it has standard, strict, gate"):
        load_device("host").protocol("hasty")
