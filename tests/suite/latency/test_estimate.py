"""Estimates of an Arm core: the published error comes out of the committed tables, without an emulator."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.stats

from suite.cli import main
from suite.errors import PASS, NothingMeasuredError
from suite.latency.estimate.calibration import (
    Core,
    Count,
    PublishedRow,
    compare,
    estimate,
    load_core,
    load_counts,
    load_published,
)

Capsys = pytest.CaptureFixture[str]

TINY_CORE = Core("a core", 2.0, "model", ("X", "Y"), ("nowhere",))


def counted(network: str, cycles: int, model: str = "model") -> Count:
    return Count(network, "ncnn", model, 1000, cycles, 0.995, 10, 0.5, "fp16")


def timed(network: str, board: str, clock_ghz: float, latency_ms: float, precision: str = "fp16") -> PublishedRow:
    return PublishedRow(network, "ncnn", precision, "core", board, clock_ghz, latency_ms, "nowhere")


def test_cycles_meet_published_times_of_24_networks_within_6_12_and_14_percent() -> None:
    errors = compare(load_core("cortex_a78"), load_counts(), load_published())
    assert len(errors.ratios) == 24
    assert [round(100 * errors.quantile(percent)) for percent in (50, 90, 100)] == [6, 12, 14]
    assert [round(100 * errors.left_out(percent)) for percent in (50, 90, 100)] == [5, 13, 18]
    assert np.median(list(errors.spread.values())) == pytest.approx(1.10, abs=0.005)  # the boards agree
    assert [errors.ratios[name] for name in ("alexnet", "vgg16")] == pytest.approx([1.135, 1.150], abs=0.001)


def test_networks_that_are_compared_by_themselves() -> None:
    """TopFormer as its authors' plot has it, read to 5 %, and attention on the only two boards that have it."""
    cycles = {(row.network, row.precision): row.cycles for row in load_counts()}
    ratios = {
        (row.network, row.board): row.latency_ms * row.clock_ghz * 1e6 / cycles[row.network, row.precision]
        for row in load_published()
    }
    for name, ratio in (("topformer_base_512", 1.10), ("topformer_small_512", 1.15), ("topformer_tiny_512", 1.08)):
        assert ratios[name, "Snapdragon 865"] == pytest.approx(ratio, abs=0.01)  # in fp16 a factor of two
    attention = [ratios["vision_transformer", board] for board in ("Snapdragon 855+", "Orin Nano")]
    assert attention == pytest.approx([1.139, 1.330], abs=0.001)


def test_errors_and_interval_are_those_on_paper() -> None:
    counts = [counted("a", 1_000_000), counted("b", 4_000_000), counted("c", 1), counted("a", 9, "other")]
    published = [
        timed("a", "X", 2.0, 0.5),  # a million cycles
        timed("a", "Y", 1.0, 1.2),  # 1.2 million; the median of both is 1.1
        timed("b", "X", 2.0, 1.8),
        timed("b", "Y", 2.0, 1.8),
        timed("c", "X", 1.0, 1.0),  # not on board Y
        timed("a", "Z", 1.0, 99.0),  # no board of this core
        timed("a", "X", 1.0, 99.0, "fp32"),
    ]
    errors = compare(TINY_CORE, counts, published)
    assert errors.ratios == pytest.approx({"a": 1.1, "b": 0.9})
    assert errors.spread == pytest.approx({"a": 1.2, "b": 1.0})
    assert errors.quantile(100) == pytest.approx(1 / 0.9 - 1)
    assert errors.left_out(100) == pytest.approx(1.1 / 0.9 - 1)
    half = scipy.stats.t.ppf(0.95, 2) * math.sqrt((math.log(1.1) ** 2 + math.log(0.9) ** 2) / 2)
    found = estimate(counted("d", 3_000_000), TINY_CORE, errors)
    assert found.latency_ms == 1.5
    assert (found.low_ms, found.high_ms) == pytest.approx((1.5 * math.exp(-half), 1.5 * math.exp(half)))
    with pytest.raises(NothingMeasuredError):
        estimate(counted("d", 1, "other"), TINY_CORE, errors)
    with pytest.raises(NothingMeasuredError):
        compare(TINY_CORE, counts, published[:2])


def test_the_command_gives_the_same_numbers_everywhere(capsys: Capsys) -> None:
    assert main(["latency", "estimate", "--models", "mobileinst_topformer_base_640", "--json"]) == PASS
    half, single = json.loads(capsys.readouterr().out)["results"]
    assert (half["precision"], half["instructions"], half["origin"]) == ("fp16", 1_498_121_336, "estimated")
    assert half["latency_ms"] == pytest.approx(295.1, abs=0.05)
    assert single["latency_ms"] == pytest.approx(486.2, abs=0.05)
    assert half["interval_ms"] == pytest.approx([258.2, 337.2], abs=0.06)
