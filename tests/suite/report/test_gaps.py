"""Gaps name their cause, and a number that was not measured is never drawn as a value."""

import pytest

from suite.records.schema import Dataset, Measurement, Scalar, Subject
from suite.report.drawing import style
from suite.report.evidence import load_evidence
from suite.report.figures import gap_ladder
from suite.report.gaps import CAUSES, Gap, own_gaps
from tests.suite.report.synthetic import BASE_640, WEIGHTS, RunMaker

AP_640 = "table1/mobileinst-topformer-base-640/ap"
COCO = Dataset("coco", "val2017", "d" * 32, True, images=5000)


def gaps(maker: RunMaker) -> dict[str, Gap]:
    return {gap.claim.claim_id: gap for gap in own_gaps(load_evidence(maker.folder))}


def test_without_records_only_the_third_party_has_a_value(maker: RunMaker):
    found = gaps(maker)
    assert [name for name, gap in found.items() if gap.percent is not None] == [AP_640]
    assert found[AP_640].causes == ("a third party's, not ours", "other split")
    assert found[AP_640].percent == pytest.approx(100 * (27.178 / 31.2 - 1))
    others = [gap for name, gap in found.items() if name != AP_640]
    assert all(gap.causes == ("not measured",) and gap.detail.startswith("needs") for gap in others)
    assert all(gap.claim.own for gap in found.values())


def test_a_ratio_of_this_host_is_another_hardwares(filled: RunMaker):
    gap = gaps(filled)["ratio/coco-latency-512-vs-640"]
    assert gap.causes == ("other hardware",)
    assert gap.percent == pytest.approx(100 * (0.8 / (346 / 433) - 1), abs=0.5)


def test_a_trend_on_shapes_is_other_data_without_pretraining(maker: RunMaker):
    for seed in range(3):
        maker.training(seed, 0.5)
        maker.training(seed, 0.49 - seed / 1000, query_passing=False)
    gap = gaps(maker)["trend/query-passing-helps-video-ap"]
    assert gap.causes == ("other data", "no pre-training")
    assert gap.percent == 0, "1.1 points lie inside the published 0.8 to 1.3"


@pytest.mark.parametrize(
    ("extra", "causes"),
    [
        ({}, ("other split",)),
        ({"iterations": 10}, ("other split", "no pre-training")),
        ({"iterations": 10, "initial_weights": "0123abcd"}, ("other split",)),
    ],
)
def test_an_ap_on_val2017_has_another_split_and_says_how_it_was_trained(maker: RunMaker, extra: dict, causes: tuple):
    fields: dict[str, Scalar] = {"task": "coco", "trained_on": "coco", **extra}
    maker.write(maker.run("real-coco"), Measurement("mask_ap", 0.30, Subject(BASE_640, WEIGHTS), fields, COCO))
    gap = gaps(maker)[AP_640]
    assert gap.causes == causes
    assert gap.detail == "30.0 for 31.2 AP (-4 %)"


def test_the_ladder_has_a_rung_per_number_and_every_cause_a_look_of_its_own(filled: RunMaker):
    assert set(gap_ladder.LOOKS) == set(CAUSES)
    assert len(set(gap_ladder.LOOKS.values())) == len(CAUSES)
    evidence = load_evidence(filled.folder)
    with style():
        figure = gap_ladder.draw(evidence)
        assert figure is not None
        (axes,) = figure.axes
        figure.draw_without_rendering()
        assert len(axes.get_yticklabels()) == len(axes.patches) == len(own_gaps(evidence))
        frame = figure.bbox
        assert all(text.get_window_extent().x1 <= frame.x1 for text in axes.texts)
