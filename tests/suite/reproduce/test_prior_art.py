"""The runs that re-measure the tables: which rows they hold, and the record that a small one leaves."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from suite.claims.loader import load_claims
from suite.latency.device import load_device
from suite.models import get_entry
from suite.records.store import read_folder
from suite.reproduce import prior_art
from suite.reproduce.prior_art import ANCHOR, Row, alternative_rows, measure_rows, published_rows, trial

TINY = "mobileinst_topformer_tiny_shapes"


def test_every_published_latency_is_in_one_run() -> None:
    rows = published_rows()
    assert rows[0].entry.name == ANCHOR
    covered = {row for timed in rows for row in timed.entry.published_rows}
    latencies = {claim.row_id for claim in load_claims() if claim.metric == "latency_snapdragon_778g_ms"}
    assert covered == {row for row in latencies if row.startswith("table")}
    assert len({row.entry.name for row in rows}) == len(rows)
    spans = {row.entry.name: row.spans for row in rows}
    assert spans["sparseinst_topformer_base_608"] == ("network", "selection")
    assert spans["condinst_resnet50_800"] == ("network", "with_masks", "selection")


def test_other_readings_stand_beside_their_default() -> None:
    names = [row.entry.name for row in alternative_rows()]
    assert names[0] == ANCHOR
    for name in names[1:]:
        default = get_entry(name).alternative_to
        assert not default or names.index(default) < names.index(name)
    assert {"mask2former_topformer_base_640_deformable", "solov2_lite_mobilenetv2_640"} <= set(names)


def test_an_engine_that_fails_or_dies_of_a_graph_is_a_reason_and_not_the_end(tmp_path: Path) -> None:
    graph = tmp_path / "graph.onnx"
    reasons = [trial("onnxruntime_cpu", graph), trial("onnxruntime_cpu", graph, timeout_s=0.001)]
    assert len(set(reasons)) == 2
    assert all("onnxruntime_cpu" in reason and "\n" not in reason for reason in reasons)


@pytest.mark.slow
def test_a_run_records_counts_graphs_times_and_what_could_not_be_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prior_art, "records_dir", lambda: tmp_path)
    protocol = msgspec.structs.replace(
        load_device("host").protocol("rows"), min_samples=4, min_duration_s=0.0, attempts=1
    )
    anchor = Row(get_entry(TINY), (128, 192), ("network",))
    rival = Row(get_entry("yolact_topformer_base_550"), (102, 102), ("network", "with_masks", "selection"))
    broken = Row(get_entry("sparseinst_topformer_base_608"), (128, 192), ("video",))
    report, path = measure_rows([anchor, rival, broken], "prior-art-test", protocol, folder=tmp_path / "onnx")
    titles = [result.labels.title for result in report.results]
    assert titles == [f"{TINY} network", *(f"yolact_topformer_base_550 {span}" for span in rival.spans)]
    # The network that goes on to masks is compared with the anchor's, which makes its masks in any case.
    assert report.results[2].anchor == f"{TINY} network"
    (file,), refused = read_folder(tmp_path)
    assert not refused
    assert file.path == path
    counted = {item.subject.model: item.value for item in file.measurements if item.metric == "macs"}
    assert set(counted) == {TINY, "yolact_topformer_base_550", "sparseinst_topformer_base_608"}
    reasons = [
        item.reason
        for item in file.measurements
        if item.subject.model == "sparseinst_topformer_base_608" and item.metric == "latency_cpu_ms"
    ]
    assert len(reasons) == 1
    assert "MobileInst" in str(reasons[0])
    operators = {series.subject.model for series in file.series if series.name == prior_art.OPERATORS}
    assert operators == {TINY, "yolact_topformer_base_550"}
