"""``latency host`` as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from suite.cli import main
from suite.errors import NOTHING_MEASURED, PASS, USAGE
from suite.export.artifact import GraphArtifact
from suite.records.store import read_folder

Capsys = pytest.CaptureFixture[str]

TINY = "mobileinst_topformer_tiny_shapes"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--models", "no_such_model"], "no_such_model"),
        (["--models", f"{TINY},{TINY}"], "--models"),
        (["--models", TINY, "--size", "8x8"], "'8x8'"),
        (["--models", TINY, "--spans", "lunch"], "lunch"),
        (["--models", TINY, "--key-frame-intervals", "x"], "--key-frame-intervals"),
        (["--models", TINY, "--key-frame-intervals", "4"], "--key-frame-intervals"),
        (["--models", TINY, "--protocol", "hasty"], "hasty"),
        (["--models", TINY, "--runtime", "abacus"], "abacus"),
        (["--models", TINY, "--checkpoint", "absent.safetensors"], "absent.safetensors"),
        (["--models", TINY, "--images", "absent"], "absent"),
        (["--models", TINY, "--images", "."], "--images"),  # holds no picture
        ([], "--onnx"),
        (["--onnx", "absent.onnx:rival"], "absent.onnx"),
        (["--onnx", f"{__file__}:two words"], "two words"),
        (["--onnx", __file__], "not an ONNX file"),
        (["--onnx", f"{__file__}:{TINY}"], "FILE:NAME"),  # a model's name for another graph
        (["--models", TINY, "--pairs", "19"], "--pairs"),  # too few rounds for an interval
    ],
)
def test_bad_input_gives_one_line_and_leaves_nothing(
    words: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Any
) -> None:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert named in refused(["latency", "host", *words], USAGE)
    assert not any(tmp_path.iterdir())


def test_any_onnx_graph_is_timed_and_recorded_by_its_digest(
    make_graph: Callable[..., GraphArtifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "root"))
    first, second = make_graph("first"), make_graph("second", 24)
    words = ["--onnx", str(first.path), "--onnx", f"{second.path}:rival", "--pairs", "20", "--attempts", "1"]
    assert main(["latency", "host", *words, "--record", "--json"]) in (PASS, NOTHING_MEASURED)
    results = json.loads(capsys.readouterr().out)["results"]
    assert [(item["model"], item["weights_sha256"]) for item in results] == [
        ("first", first.sha256),
        ("rival", second.sha256),
    ]
    found = {problem["rule"] for item in results for problem in item["verdict"]["problems"]}
    assert not found & {"precision_not_fp32", "outputs_differ", "not_pinned", "too_few_samples"}
    runs, refused = read_folder(tmp_path / "root" / "reports" / "records")
    assert refused == []
    assert {line.subject.weights_sha256 for line in runs[0].measurements} == {first.sha256, second.sha256}


def test_a_graph_of_open_shape_is_refused_with_its_inputs(
    make_graph: Callable[..., GraphArtifact], capsys: Capsys
) -> None:
    path = make_graph().path
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, path)
    assert main(["latency", "host", "--onnx", str(path)]) == USAGE
    assert "image [1, 3, 0," in capsys.readouterr().err


def test_a_graph_names_no_files_outside_its_folder(
    make_graph: Callable[..., GraphArtifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Any
) -> None:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "root"))
    path = make_graph().path
    model = onnx.load(path)
    for location in ("../../../../weights", "/etc/hostname", "a/../../weights"):
        onnx.external_data_helper.set_external_data(model.graph.initializer[0], location)
        path.write_bytes(model.SerializeToString())
        assert "outside its folder" in refused(["latency", "host", "--onnx", str(path)], USAGE)
    assert not (tmp_path / "root").exists()


@pytest.mark.slow  # exports two graphs of a model
def test_every_span_of_a_real_model_is_timed_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path))
    spans = "network,preprocess,postprocess,video_network,video"
    words = ["--models", TINY, "--spans", spans, "--key-frame-intervals", "1,6", "--pairs", "20", "--attempts", "1"]
    assert main(["latency", "host", *words, "--record", "--json"]) in (PASS, NOTHING_MEASURED)  # a busy machine
    report = json.loads(capsys.readouterr().out)
    labels = [(item["span"], item["key_frame_interval"]) for item in report["results"]]
    of_videos = [(span, interval) for span in ("network", "end_to_end") for interval in (1, 6)]
    assert labels == [("network", None), ("preprocess", None), ("postprocess", None), *of_videos]
    found = {problem["rule"] for item in report["results"] for problem in item["verdict"]["problems"]}
    assert not found & {"precision_not_fp32", "outputs_differ", "not_pinned", "more_than_one_thread", "too_few_samples"}
    times = {label: item["cpu_median_ms"] for label, item in zip(labels, report["results"], strict=True)}
    assert times["end_to_end", 1] > times["network", 1]  # it holds the network and more
    assert report["results"][-1]["anchor"] == f"{TINY} end_to_end T=1"
    graphs = sorted(path.name.split("-")[1] for path in (tmp_path / "runs" / "onnx").glob("*.onnx"))
    assert graphs == ["frame", "whole"]
