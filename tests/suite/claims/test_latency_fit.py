"""The two constants: recovered exactly from made-up rows, the real rows' against numbers counted independently."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.claims.latency_fit import (
    Reading,
    fit_constants,
    load_readings,
)
from suite.claims.loader import CLAIMS_FOLDER, load_claims
from suite.latency.forensic_counts import OwnReading, count_own, own_readings, write_readings


def reading(row: str, dense: float, other: float, published_ms: float, certain: bool = True) -> Reading:
    return Reading(row, "model", 640, 864, dense, other, True, certain, published_ms)


@given(dense=st.floats(1, 50), other=st.floats(1, 50))
@settings(max_examples=20, deadline=None)
def test_constants_that_made_the_rows_are_found(dense: float, other: float) -> None:
    sizes = [(10.0, 1.0), (2.0, 8.0), (5.0, 5.0), (1.0, 3.0)]
    rows = [reading(f"row/{number}", a, b, dense * a + other * b) for number, (a, b) in enumerate(sizes)]
    rows.append(reading("row/uncertain", 1, 1, 1e6, certain=False))
    fit = fit_constants(rows)
    assert (fit.dense, fit.other) == pytest.approx((dense, other))
    assert fit.dense_range == pytest.approx((dense, dense))
    assert all(share == pytest.approx(1) for share in fit.left_out.values())
    assert fit.tolerance == 0.1
    assert fit.compatible(rows[0])
    assert not fit.compatible(rows[-1])


def test_constants_minimise_squared_relative_errors() -> None:
    generator = np.random.default_rng(0)
    columns = (generator.uniform(*bounds, 6).tolist() for bounds in ((1, 30), (1, 30), (100, 900)))
    rows = [reading(f"row/{number}", *values) for number, values in enumerate(zip(*columns, strict=True))]
    fit = fit_constants(rows)
    scaled = np.array([[row.dense, row.other] for row in rows]) / np.array([[row.published_ms] for row in rows])
    expected, *_ = np.linalg.lstsq(scaled, np.ones(6), rcond=None)
    assert (fit.dense, fit.other) == pytest.approx(tuple(expected))
    assert sum(share for *_, share in fit.spread) == pytest.approx(1 - 6 / 6**6)


def test_exact_bootstrap_agrees_with_drawing() -> None:
    readings = load_readings(load_claims())
    fit = fit_constants(readings)
    rows = [row for row in readings if row.certain]
    scaled = np.array([[row.dense, row.other] for row in rows]) / np.array([[row.published_ms] for row in rows])
    generator, found = np.random.default_rng(0), []
    for _ in range(2000):
        chosen = generator.integers(0, len(rows), len(rows))
        if len(set(chosen)) > 1:
            found.append(np.linalg.lstsq(scaled[chosen], np.ones(len(rows)), rcond=None)[0][0])
    low, high = np.percentile(found, [2.5, 97.5])
    assert fit.dense_range == pytest.approx((low, high), rel=0.05)


def test_the_papers_rows_give_the_published_pattern() -> None:
    """Counted and fitted once more by other code, the constants were 12.7 and 28.4 ms per GMAC."""
    readings = load_readings(load_claims())
    fit = fit_constants(readings)
    assert fit.dense == pytest.approx(12.7, rel=0.02)
    assert fit.other == pytest.approx(28.4, rel=0.02)
    assert all(abs(fit.predict(row) / row.published_ms - 1) < 0.05 for row in readings if row.certain)
    best = {row.row_id for row in readings if abs(fit.predict(row) / row.published_ms - 1) < 0.05}
    assert len(best) >= 12
    assert len({row.row_id for row in readings if row.default}) == len({row.row_id for row in readings}) == 15


def test_counted_reconstruction_is_the_one_in_the_file() -> None:
    one = OwnReading("table2/2019/mobileinst-topformer-base", "topformer_tiny", 128, "raw", 384, 640)
    assert one in set(own_readings())
    dense, other = count_own(one)
    pixels = (384 // 8) * (640 // 8) + (384 // 16) * (640 // 16) + (384 // 32) * (640 // 32)
    assert dense == 2 * pixels * 9 * 128 * 128
    line = f"{one.row_id},{one.backbone},128,raw,384,640,{dense / 1e9:.3f},{other / 1e9:.3f}"
    assert line in (CLAIMS_FOLDER / "mobileinst_readings.csv").read_text(encoding="utf-8").splitlines()


@pytest.mark.slow  # builds and traces every model
def test_files_are_what_the_graphs_count(tmp_path: Path) -> None:
    """Within 1 %: a graph may come to state the same arithmetic a little better than when the files were counted."""
    write_readings(tmp_path)
    for name in ("latency_readings.csv", "mobileinst_readings.csv"):
        fresh, kept = (
            list(csv.DictReader((folder / name).read_text(encoding="utf-8").splitlines()))
            for folder in (tmp_path, CLAIMS_FOLDER)
        )
        assert len(fresh) == len(kept)
        for one, other in zip(sorted(fresh, key=str), sorted(kept, key=str), strict=True):
            gmacs = [float(line.pop("gmacs_dense3x3")) + float(line.pop("gmacs_other")) for line in (one, other)]
            assert gmacs[0] == pytest.approx(gmacs[1], rel=0.01)
            assert one == other
