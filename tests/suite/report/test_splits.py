"""Each published AP says where it was scored, where ours is or can be, and that the two differ."""

import pytest

from suite.datasets.local_split import LOCAL_TRAIN, LOCAL_VALID
from suite.records.schema import Dataset, Measurement, Scalar, Subject
from suite.report.evidence import Verdict
from suite.report.verdicts import load_evidence
from tests.suite.report.synthetic import BASE_640, WEIGHTS, RunMaker

AP = "table1/mobileinst-topformer-base-640/ap"
VIDEO = "table2/2019/mobileinst-topformer-base"


def rows(maker: RunMaker) -> dict[str, Verdict]:
    return {row.claim.claim_id: row for row in load_evidence(maker.folder).verdicts}


def add(maker: RunMaker, metric: str, value: float, data: Dataset, **protocol: Scalar) -> None:
    maker.write(maker.run("real"), Measurement(metric, value, Subject(BASE_640, WEIGHTS), protocol, data))


@pytest.mark.parametrize("trained_on", [None, "youtube-vis-2019 train", "youtube-vis-2021 local-train"])
def test_local_split_counts_only_for_weights_that_never_saw_it(maker: RunMaker, trained_on: str | None):
    models = load_evidence(maker.folder).counterparts[VIDEO]
    local = Dataset("youtube-vis-2019", LOCAL_VALID, "0" * 32, True, videos=302)
    for held_out in (trained_on, f"youtube-vis-2019 {LOCAL_TRAIN}"):
        subject = Subject(models[0], WEIGHTS)
        maker.write(maker.run("real"), Measurement("video_ap", 0.36, subject, {"trained_on": held_out}, local))
        row = rows(maker)[f"{VIDEO}/ap"]
        assert row.word == ("not run" if held_out == trained_on else "partly")
    assert row.scored_on == "youtube-vis-2019 local-valid"
    assert "not of valid" in row.split_note
    assert "on local-valid, not valid" in row.rule
