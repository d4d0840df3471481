"""The ablation's table: means, paired gains and honest sentences."""

from __future__ import annotations

import pytest

from suite.records.schema import Measurement, Scalar, Subject
from suite.report.ablation import CELLS
from suite.report.table import Table
from suite.report.tables.ablation import ablation, tracking
from suite.report.verdicts import load_evidence
from tests.suite.report.synthetic import SHAPES, TINY, WEIGHTS, RunMaker

BY_NAME = {cell.name: cell for cell in CELLS}


def add(maker: RunMaker, name: str, mask_aps: tuple[float, ...], iterations: int = 1800) -> None:
    """Write one run per seed of a cell, at T = 1 with video AP a tenth below mask AP."""
    cell = BY_NAME[name]
    for seed, value in enumerate(mask_aps):
        fields: dict[str, Scalar] = {
            "experiment": "ablation",
            "seed": seed,
            "iterations": iterations,
            "query_passing": cell.query_passing is not False,
            "recipe_digest": name,
            **cell.model_options,
        }
        video = fields | {"key_frame_interval": 1, "association": True}
        subject = Subject(TINY, WEIGHTS)
        maker.write(
            maker.run("ablation", seed=seed),
            Measurement("mask_ap", value, subject, fields, SHAPES),
            Measurement("video_ap", value - 0.1, subject, video, SHAPES),
        )


def sentence(table: Table, start: str) -> str:
    (found,) = [note for note in table.notes if note.startswith(start)]
    return found


@pytest.mark.parametrize(
    ("average", "words"),
    [
        ((0.50, 0.53, 0.51), "the trend shows at this scale"),
        ((0.58, 0.60, 0.57), "the trend is reversed"),
        ((0.50, 0.60, 0.54), "drowns in seed noise"),
        ((0.53, 0.56, 0.54), "exactly equal scores in every one of 3 seeds"),
        ((0.50, 0.51), "nothing is concluded"),
    ],
)
def test_a_trend_is_told_by_pairs_of_seeds(maker: RunMaker, average: tuple[float, ...], words: str) -> None:
    add(maker, "default", (0.53, 0.56, 0.54))
    add(maker, "average_pooling", average)
    table = ablation(load_evidence(maker.folder))
    assert words in sentence(table, "Max pooling")
    (row,) = [row for row in table.rows if row[0].text == "average pooling"]
    assert row[1].text == str(len(average))
    pairs = zip((0.53, 0.56, 0.54), average, strict=False)
    gains = [100 * (one - other) for one, other in pairs]
    assert row[6].value == pytest.approx(sum(gains) / len(gains))


def test_other_lengths_and_other_tables_are_not_mixed_in(maker: RunMaker) -> None:
    add(maker, "default", (0.53, 0.56, 0.54))
    add(maker, "single_global", (0.40, 0.41, 0.42))
    add(maker, "no_query_passing", (0.30,), iterations=20)
    table = ablation(load_evidence(maker.folder))
    assert "1800" in table.title
    assert sentence(table, "Query passing over single").split(": ")[1].startswith("not run")
    assert table.rows[5][6].note.endswith("no_query_passing")
    shown = load_evidence(maker.folder).accuracy("mask_ap")
    assert all(cell.get("decoder") is None for cell in shown)


def test_query_passing_is_undecided_until_its_control_was_run(maker: RunMaker) -> None:
    add(maker, "default", (0.53, 0.56, 0.54))
    for other, aps, expected in (
        ("no_query_passing", (0.50, 0.53, 0.51), ("undecided", pytest.approx(3.0))),
        ("pairs_only", (0.52, 0.55, 0.53), ("partly", pytest.approx(1.0))),
    ):
        add(maker, other, aps)
        verdict = load_evidence(maker.folder).verdicts["trend/query-passing-helps-video-ap"]
        assert verdict is not None
        assert (verdict.word, verdict.ours) == expected


def test_rules_of_association_are_rows_and_hard_videos_notes(maker: RunMaker) -> None:
    subject = Subject(TINY, WEIGHTS)
    for seed in range(3):
        fields: dict[str, Scalar] = {"experiment": "ablation", "seed": seed, "iterations": 900, "key_frame_interval": 1}
        lines = [Measurement("mask_ap", 0.5, subject, fields, SHAPES)]
        pair = ((fields | {"association": on}, 0.2 + 0.1 * on) for on in (False, True))
        lines += [Measurement("video_ap_occlusion", value, subject, setting, SHAPES) for setting, value in pair]
        maker.write(maker.run("ablation", seed=seed), *lines)
    rule: dict[str, Scalar] = {"key_frame_interval": 3, "associate_on": "masks+active", "seed": 0}
    counts = {"linked_video_ap": 0.4, "shuffled_video_ap": 0.3, "track_query_losses": 7.0}
    maker.write(maker.run("shapes", seed=0), *(Measurement(*one, subject, rule, SHAPES) for one in counts.items()))
    table = tracking(load_evidence(maker.folder))
    (row,) = table.rows
    assert [cell.text.split()[0] for cell in row[1:5]] == ["3", "masks+active", "40.0", "30.0"]
    assert row[table.columns.index("query lost")].value == 7
    assert any("+10.0 points" in note for note in table.notes)
