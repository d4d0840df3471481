from __future__ import annotations

from pathlib import Path

import pytest

from suite.accuracy.score import STATS
from suite.accuracy.video_ap import score_youtube_vis

# Printed by the evaluator of youtubevos/cocoapi for these two files.
OFFICIAL = [0.20132, 0.315732, 0.168317, 0.30198, 0.0, -1, 0.183333, 0.227778, 0.227778, 0.341667, 0.0, -1]


@pytest.mark.parametrize("official_quirks", [False, True])
def test_real_tracks_get_the_official_numbers(shared_data: Path, official_quirks: bool) -> None:
    folder = shared_data / "ytvis_mini"
    score = score_youtube_vis(folder / "valid.json", folder / "sample_results_valid.json", official_quirks)
    assert list(score.stats) == list(STATS)
    assert list(score.stats.values()) == pytest.approx(OFFICIAL, abs=5e-7)
    assert score.per_category["person"]["AP"] == pytest.approx(0.454455, abs=5e-7)
    assert score.per_category["elephant"]["AP"] == 0
    assert score.per_category["tiger"]["AP"] == -1
