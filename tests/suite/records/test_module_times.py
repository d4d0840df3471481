"""Times and arithmetic by module."""

from __future__ import annotations

import pytest

from suite.records.module_times import by_module


def test_modules_are_cut_at_two_parts_and_share_no_arithmetic() -> None:
    layers = [("a.b.c", 1.0), ("a.b.d", 2.0), ("a", 4.0), ("e", 8.0)]
    macs = {"a": 10_000_000, "a.b": 6_000_000, "a.b.c": 5_000_000, "a.f": 1_000_000}
    found = {item.module: item for item in by_module(layers, macs)}
    assert {name: item.time_ms for name, item in found.items()} == {"a.b": 3.0, "a": 4.0, "e": 8.0}
    assert {name: item.macs for name, item in found.items()} == {"a.b": 6_000_000, "a": 4_000_000, "e": 0}
    assert found["a.b"].gmacs_per_s == pytest.approx(2.0)
    assert found["a.b"].nodes == 2
