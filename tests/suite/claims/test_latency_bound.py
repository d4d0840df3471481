"""The bound: its arithmetic by hand, the counts in the file against the graphs, and what it decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite.claims.latency_bound import Reading, load_readings, never_fp32
from suite.claims.loader import CLAIMS_FOLDER, load_claims
from suite.models._readings import count_readings, write_readings

CERTAIN_LEAST_MS = {
    "yolact_mobilenetv2_550": 523,
    "yolact_topformer_base_550": 541,
    "yolact_resnet50_550": 1454,
    "crossvis_topformer_base_360": 697,
    "crossvis_resnet50_360": 1291,
}
"""Computed apart from this code: least ms in fp32 of the rows whose input shape is certain."""


def reading(row_id: str, published_ms: float, certain: bool = False) -> Reading:
    """A graph of 4 dense and 18.2 other GMACs: 19.2 with Winograd's filtering, a second at the peak in fp32."""
    return Reading(row_id, "model", 640, 864, 4.0, 18.2, "yes", "yes" if certain else "no", published_ms)


def test_least_time_by_hand_and_one_possible_reading_leaves_a_row_open() -> None:
    one = reading("row", 800.0)
    assert [one.least_ms("fp32"), one.least_ms("fp16"), one.peak_share("fp32")] == pytest.approx([1000, 500, 1.25])
    assert [reading("row", ms).possible for ms in (400.0, 800.0, 1001.0)] == [(), ("fp16",), ("fp32", "fp16")]
    rows = [reading("a", 800.0, certain=True), reading("b", 800.0), reading("b", 1001.0), reading("c", 800.0)]
    assert never_fp32(rows) == {"a": True, "c": False}


def test_what_the_papers_rows_allow() -> None:
    claims = load_claims()
    readings = load_readings(claims)
    default = {item.model: item for item in readings if item.default}
    assert {name: round(default[name].least_ms("fp32")) for name in CERTAIN_LEAST_MS} == CERTAIN_LEAST_MS
    never = never_fp32(readings)
    assert {row for row, certain in never.items() if certain} == {default[name].row_id for name in CERTAIN_LEAST_MS}
    doubted = {claim.row_id for claim in claims if any("cannot do it in fp32" in doubt for doubt in claim.doubts)}
    assert doubted & {item.row_id for item in readings} == set(never)
    assert not any(item.possible for item in readings if item.model.endswith("deformable"))
    own = [item for item in readings if item.convolutions and (item.height_px, item.width_px) == (640, 864)]
    assert {(item.convolutions, item.possible) for item in own} == {(6, ("fp32", "fp16")), (12, ("fp16",))}


def test_counted_readings_are_those_of_the_file() -> None:
    lines = count_readings("mobileinst_topformer_base_512")
    pixels = (512 // 8) * (864 // 8) + (512 // 16) * (864 // 16) + (512 // 32) * (864 // 32)
    assert float(lines[0]["gmacs_dense3x3"]) == pytest.approx(2 * pixels * 9 * 256 * 256 / 1e9, abs=5e-4)
    text = (CLAIMS_FOLDER / "latency_readings.csv").read_text(encoding="utf-8").splitlines()
    assert {",".join(line.values()) for line in lines} <= set(text)


@pytest.mark.slow  # builds and traces every model
def test_file_is_what_the_graphs_count(tmp_path: Path) -> None:
    write_readings(tmp_path)
    fresh, stored = (load_readings(load_claims(), folder) for folder in (tmp_path, CLAIMS_FOLDER))
    for one, other in zip(fresh, stored, strict=True):
        assert (one.model, one.height_px, one.width_px) == (other.model, other.height_px, other.width_px)
        assert one.least_ms("fp32") == pytest.approx(other.least_ms("fp32"), rel=0.01)
