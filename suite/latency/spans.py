"""Candidates of one exported model, one for each span that the clock may cover. Runs inside the child."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from suite.export.artifact import GraphArtifact, output_problems
from suite.export.runtime import Session, open_session
from suite.latency.inputs import fresh_from, stamped
from suite.latency.job import Labels, Timed
from suite.latency.timer import Candidate
from suite.latency.validity import Problem
from suite.models import get_entry

CLIP_FRAMES = 6
"""Frames of a timed clip: a multiple of every reuse interval, so that per-frame times of all intervals compare."""


def proof_problems(session: Session, artifact: GraphArtifact, limit: float) -> list[Problem]:
    """Return what shows that a loaded graph is not the scored model in fp32.

    Args:
        session: the timed session itself.
        artifact: what it should be.
        limit: largest absolute difference of an output over the reference's largest magnitude.
    """
    problems = [Problem("precision_not_fp32", detail) for detail in session.precision_problems()]
    return problems + [Problem("outputs_differ", detail) for detail in output_problems(session, artifact, limit)]


class Graphs:
    """The sessions of one model, loaded once, each with its proof."""

    def __init__(self, runtime: str, artifacts: Mapping[str, GraphArtifact], limit: float) -> None:
        self.artifacts = artifacts
        self.limit = limit
        self.checked: dict[str, list[Problem]] = {}
        opened: dict[Path, Session] = {}
        for item in artifacts.values():
            if item.path not in opened:
                opened[item.path] = open_session(runtime, item.path)
        self.sessions: dict[str, Session] = {part: opened[item.path] for part, item in artifacts.items()}

    def check(self, *parts: str) -> list[Problem]:
        """Return the precision and output problems of the given parts, looked for once."""
        for part in parts:
            if part not in self.checked:
                self.checked[part] = proof_problems(self.sessions[part], self.artifacts[part], self.limit)
        return [problem for part in parts for problem in self.checked[part]]

    def size(self, part: str) -> tuple[int, int]:
        """Return height and width in pixels of a part's image input."""
        _, _, height, width = self.sessions[part].input_shapes()["image"]
        return height, width


@functools.cache
def _network_inputs(size: tuple[int, int], seed: int, count: int) -> tuple[NDArray[np.float32], ...]:
    """Return the base inputs of a size, the same for all graphs that take it; each timed call gets a changed copy."""
    generator = np.random.default_rng(seed)
    images = tuple(generator.standard_normal((1, 3, *size), dtype=np.float32) for _ in range(count))
    for image in images:
        image.setflags(write=False)
    return images


def _network(graphs: Graphs, part: str, labels: Callable[..., Labels], seed: int, pool: int) -> Timed:
    session, size = graphs.sessions[part], graphs.size(part)
    label = labels("network" if part == "whole" else part, size)
    return Timed(
        labels=label,
        candidate=Candidate(
            label.title, lambda image: session.run({"image": image}), fresh_from(_network_inputs(size, seed, pool))
        ),
        check=lambda: graphs.check(part),
        description=session.description(),
    )


def _selection(model: str, labels: Callable[..., Labels], seed: int, size: tuple[int, int]) -> Timed:
    entry = get_entry(model)
    if entry.selection is None:
        raise InputError(f"{model}: span 'selection' is not defined for it; time postprocess")
    chosen = entry.selection(*size, seed)
    label = labels("selection", size, runtime="numpy")
    return Timed(
        labels=label,
        candidate=Candidate(label.title, chosen.run, fresh_from(chosen.score_maps)),
        description={"runtime": "numpy", "version": np.__version__, "covers": chosen.covers},
    )


def _video_network(graphs: Graphs, labels: Callable[..., Labels], seed: int, pool: int, interval: int) -> Timed:
    key_frame, frame, size = graphs.sessions["key_frame"], graphs.sessions["frame"], graphs.size("key_frame")
    images = _network_inputs(size, seed, pool)

    def run(clip: Sequence[NDArray[np.float32]]) -> None:
        kernels: Any = None
        for number, image in enumerate(clip):
            if number % interval == 0:
                kernels = key_frame.run({"image": image})["kernels"]
            else:
                frame.run({"image": image, "kernels": kernels})

    def fresh_clip(index: int) -> list[NDArray[np.generic]]:
        return [stamped(images[(index + number) % len(images)], index) for number in range(CLIP_FRAMES)]

    label = labels("network", size, interval)
    return Timed(
        labels=label,
        candidate=Candidate(label.title, run, fresh_clip, units=CLIP_FRAMES),
        check=lambda: graphs.check("key_frame", "frame"),
        description=key_frame.description(),
    )


def build_candidates(
    model: str,
    runtime: str,
    artifacts: Mapping[str, Mapping[str, str]],
    spans: Sequence[str],
    key_frame_intervals: Sequence[int],
    weights_sha256: str | None,
    config: Mapping[str, Any] | None,
    images: Sequence[str],
    seed: int,
    pool: int,
    max_output_difference: float,
    size: Sequence[int] | None = None,
) -> list[Timed]:
    """Make the candidates of one model (a factory for `suite.latency.job.Job`).

    Args:
        model: the model's name.
        runtime: a module of ``suite/export/runtimes``.
        artifacts: fields of `GraphArtifact` by part (``whole``, ``key_frame``, ``frame``).
        spans: of `suite.latency.timed_model.SPANS`.
        key_frame_intervals: T of the video spans, divisors of `CLIP_FRAMES`.
        weights_sha256: digest of the checkpoint; None for random weights.
        config: the reference model's configuration, for the spans outside the network.
        images: picture files for the spans outside the network; synthetic pictures if empty.
        seed: of synthetic inputs.
        pool: number of different base inputs.
        max_output_difference: see `suite.latency.protocol.Rules`.
        size: height and width of the network's input, for ``selection``.

    Returns:
        The candidates in the order of ``spans``, video spans once per interval.
    """
    parts = {
        part: GraphArtifact(Path(item["path"]), item["sha256"], Path(item["reference"]))
        for part, item in artifacts.items()
    }
    graphs = Graphs(runtime, parts, max_output_difference)

    engines = [session.description()["runtime"] for session in graphs.sessions.values()]
    engine = engines[0] if engines else "none"

    def labels(span: str, size: tuple[int, int], interval: int | None = None, runtime: str = engine) -> Labels:
        return Labels(model, span, runtime, "fp32", *size, weights_sha256, interval)

    timed: list[Timed] = []
    for span in spans:
        if span in ("network", "with_masks"):
            part = "whole" if span == "network" else span
            timed.append(_network(graphs, part, labels, seed, pool))
        elif span == "selection":
            assert size is not None
            timed.append(_selection(model, labels, seed, (size[0], size[1])))
        elif span == "video_network":
            timed += [_video_network(graphs, labels, seed, pool, interval) for interval in key_frame_intervals]
        else:
            # Imports torch, which timing a network alone does without.
            from suite.latency.picture_spans import PictureSpans

            assert config is not None
            pictures = PictureSpans(graphs, labels, config, images, seed, pool, CLIP_FRAMES)
            timed += pictures.candidates(span, key_frame_intervals)
    return timed
