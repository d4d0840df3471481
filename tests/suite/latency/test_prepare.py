"""From a name to something that can be timed, and what its spans say that they are the times of."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from reference_model.config import VARIANTS, config_to_dict
from suite.errors import InputError
from suite.export.artifact import GraphArtifact
from suite.latency import prepare
from suite.latency.device import Protocol
from suite.latency.host import measure_host
from suite.latency.spans import PictureSpans, TimedModel
from suite.latency.validity import ENVIRONMENTAL

TINY = "mobileinst_topformer_tiny_shapes"


def ends_at_once(name: str, **options: Any) -> None:
    """As the system ends a process when memory runs out."""
    os._exit(9)


def test_a_process_that_the_system_ends_is_an_error_of_that_model_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "prepare_model", ends_at_once)
    with pytest.raises(InputError, match="large"):
        prepare.prepare_apart("large")


def test_a_measured_run_proves_one_thread_and_fp32(make_graph: Callable[..., GraphArtifact], quick: Protocol) -> None:
    model = TimedModel("small", {"whole": make_graph(channels=64)}, runtime="ncnn_cpu")
    result = measure_host([model], quick).results[0]
    assert set(result.broken_rules) <= ENVIRONMENTAL
    assert (result.engine["runtime"], result.engine["threads"]) == ("ncnn", "1")
    assert result.labels.runtime == "ncnn"


def test_preprocessing_is_labelled_with_the_size_that_it_makes(quick: Protocol) -> None:
    model = TimedModel(TINY, {}, spans=(), config=config_to_dict(VARIANTS[TINY]))
    candidate = PictureSpans(model, quick).preprocess()
    image, _ = candidate.run(candidate.fresh_input(0))
    assert (candidate.labels.height_px, candidate.labels.width_px) == tuple(image.shape[-2:]) == (128, 192)
