"""Device files and protocols: what the shipped ones hold, and that a wrong one is named with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from suite.errors import InputError
from suite.latency.device import DEVICE_FOLDER, load_device, load_remote


def test_strict_takes_the_counts_of_mlperf_mobile_and_the_rest_from_standard() -> None:
    strict, standard = (load_device("host").protocol(name) for name in ("strict", "standard"))
    assert (strict.min_samples, strict.min_duration_s, strict.percentile) == (1024, 60.0, 90)
    assert strict.rules.max_disturbed_share < standard.rules.max_disturbed_share
    assert strict.rules.max_anchor_drift == standard.rules.max_anchor_drift


Change = Callable[[str], str]


def swap(old: str, new: str) -> Change:
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("name", "change", "place"),
    [
        ("host", swap('name = "host"', 'name = "other"'), "other"),
        ("host", lambda text: 'colour = "red"\n' + text, "colour"),
        ("host", lambda text: text.replace("[protocols.standard", "[protocols.usual"), "protocols.standard"),
        ("host", swap("min_samples = 30", "samples = 30"), "samples"),
        ("host", swap("min_samples = 30", "min_samples = 0"), "min_samples"),
        ("host", swap("min_duration_s = 3.0", "min_duration_s = 100.0"), "min_duration_s"),
        ("host", swap("max_cpu_over_wall = 1.05\n", ""), "max_cpu_over_wall"),
        ("host", swap("max_disturbed_share = 0.25", "max_disturbed_share = nan"), "max_disturbed_share"),
        ("board", swap("max_core_c = 70.0\n", ""), "max_core_c"),
        ("snapdragon_778g", swap("max_thermal_status = 0", "max_thermal_status = 'none'"), "max_thermal_status"),
    ],
)
def test_a_wrong_device_file_is_named_with_its_place(tmp_path: Path, name: str, change: Change, place: str) -> None:
    text = (DEVICE_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert change(text) != text
    (tmp_path / f"{name}.toml").write_text(change(text), encoding="utf-8")
    with pytest.raises(InputError, match=f"{name}.toml") as caught:
        load_device(name, tmp_path)
    assert place in str(caught.value)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(InputError, match="snapdragon_778g"):
        load_device("toaster")
    with pytest.raises(InputError, match="strict"):
        load_device("host").protocol("hasty")
    with pytest.raises(InputError, match="latency host"):
        load_remote("host")
