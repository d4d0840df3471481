"""The runs that re-measure the tables: which rows they hold, and the record that a small one leaves."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from suite.latency.device import load_device
from suite.models import ModelEntry, get_entry
from suite.records.store import read_folder
from suite.reproduce.prior_art import OPERATORS, measure_rows

TINY = "mobileinst_topformer_tiny_shapes"


@pytest.mark.slow
def test_a_run_records_counts_graphs_times_and_what_could_not_be_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path))
    protocol = msgspec.structs.replace(
        load_device("host").protocol("rows"), min_samples=4, min_duration_s=0.0, attempts=1
    )
    spans = {"MobileInst": ("network",), "YOLACT": ("network", "with_masks", "selection"), "SparseInst": ("video",)}
    monkeypatch.setattr(ModelEntry, "spans", property(lambda entry: spans[entry.method]))
    anchor = get_entry(TINY)
    rival = msgspec.structs.replace(get_entry("yolact_topformer_base_550"), input_shapes=((102, 102),))
    broken = msgspec.structs.replace(get_entry("sparseinst_topformer_base_608"), input_shapes=((128, 192),))
    report, path = measure_rows([anchor, rival, broken], "prior-art-test", protocol)
    titles = [result.labels.title for result in report.results]
    assert titles == [f"{TINY} network", *(f"yolact_topformer_base_550 {span}" for span in spans["YOLACT"])]
    # The network that goes on to masks is compared with the anchor's, which makes its masks in any case.
    assert report.results[2].anchor == f"{TINY} network"
    (file,), refused = read_folder(path.parent)
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
    operators = {series.subject.model for series in file.series if series.name == OPERATORS}
    assert operators == {TINY, "yolact_topformer_base_550"}
