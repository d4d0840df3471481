"""The ablation's table: means, paired gains and honest sentences."""

from __future__ import annotations

import msgspec
import pytest

from suite.records.schema import Measurement, Scalar, Subject
from suite.report.ablation import CELLS
from suite.report.measured import accuracy_cells
from suite.report.table import Table
from suite.report.tables import ablation, tracking
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


def built(maker: RunMaker) -> Table:
    return ablation.build(load_evidence(maker.folder))


def sentence(table: Table, start: str) -> str:
    (found,) = [note for note in table.notes if note.startswith(start)]
    return found


@pytest.mark.parametrize(
    ("average", "words", "verdict"),
    [
        ((0.50, 0.53, 0.51), "the trend shows at this scale", "partly"),
        ((0.58, 0.60, 0.57), "the trend is reversed", "not reproduced"),
        ((0.50, 0.60, 0.54), "drowns in seed noise", "undecided"),
        ((0.53, 0.56, 0.54), "exactly equal scores in every one of 3 seeds", "not reproduced"),
        ((0.50, 0.51), "nothing is concluded", "not run"),
    ],
)
def test_a_trend_is_judged_by_pairs_of_seeds(
    maker: RunMaker, average: tuple[float, ...], words: str, verdict: str
) -> None:
    add(maker, "default", (0.53, 0.56, 0.54))
    add(maker, "average_pooling", average)
    table = built(maker)
    assert words in sentence(table, "Max pooling")
    row = table.rows[2]
    assert (row[0].text, row[1].text) == ("average pooling", str(len(average)))
    pairs = zip((0.53, 0.56, 0.54), average, strict=False)
    gains = [100 * (one - other) for one, other in pairs]
    assert row[6].value == pytest.approx(sum(gains) / len(gains))
    found = load_evidence(maker.folder).verdict("trend/max-pooling-beats-average")
    assert found is not None
    assert found.word == verdict


def test_other_lengths_and_other_tables_are_not_mixed_in(maker: RunMaker) -> None:
    add(maker, "default", (0.53, 0.56, 0.54))
    add(maker, "single_global", (0.40, 0.41, 0.42))
    add(maker, "no_query_passing", (0.30,), iterations=20)
    table = built(maker)
    assert "1800" in table.title
    assert sentence(table, "Query passing").split(": ")[1].startswith("not run")
    assert table.rows[4][6].note.endswith("no_query_passing")
    shown = accuracy_cells(load_evidence(maker.folder), "mask_ap")
    assert all(cell.get("decoder") is None for cell in shown)


def test_association_is_shown_by_kind_of_video_and_paired_by_seed(maker: RunMaker) -> None:
    for seed in range(3):
        fields: dict[str, Scalar] = {
            "experiment": "ablation",
            "seed": seed,
            "iterations": 900,
            "key_frame_interval": 3,
        }
        hard = msgspec.structs.replace(SHAPES, images=None, videos=11)
        lines = [Measurement("mask_ap", 0.5, Subject(TINY, WEIGHTS), fields, SHAPES)]
        for association_on in (False, True):
            value = 0.2 + 0.1 * association_on + 0.01 * seed
            protocol = fields | {"association": association_on}
            lines.append(Measurement("video_ap_occlusion", value, Subject(TINY, WEIGHTS), protocol, hard))
            lines.append(Measurement("video_ap", 0.3, Subject(TINY, WEIGHTS), protocol, SHAPES))
        maker.write(maker.run("ablation", seed=seed), *lines)
    table = tracking.build(load_evidence(maker.folder))
    by_place = {(row[0].text, row[2].text): row for row in table.rows}
    hidden = by_place["occlusion", "3"]
    assert hidden[1].text == "11"
    assert [cell.text.split()[0] for cell in hidden[3:5]] == ["21.0", "31.0"]
    assert hidden[5].text.startswith("+10.0 points")
    assert "exactly equal" in by_place["all", "3"][5].text
    assert by_place["fast motion", "3"][3].note.startswith("not run")
