"""Times models on a remote device: pushed, run in blocks with looks in between, judged by the host's rules, removed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from suite.errors import InputError, NothingMeasuredError
from suite.export.artifact import difference_problems, read_reference
from suite.export.runtime import open_session
from suite.latency.job import Labels
from suite.latency.protocol import Protocol
from suite.latency.remote.answer import Answer
from suite.latency.remote.engine import Engine
from suite.latency.remote.folder import work_folder
from suite.latency.remote.observe import combined_timings, flag_problems, frequency_problems, pinning_problems
from suite.latency.remote.report import RemoteReport
from suite.latency.remote.runner import Runner
from suite.latency.remote.session import PushedGraph, Session
from suite.latency.remote.target import Target
from suite.latency.results import Observed, judged_results
from suite.latency.spans import proof_problems
from suite.latency.timed_model import TimedModel
from suite.latency.validity import Problem
from suite.progress import track
from suite.seeds import derive_seed


def _prove_here(models: Sequence[TimedModel], engine: Engine, limit: float) -> None:
    """Run the same files on this machine first: a graph that is not fp32 or not the scored one is never pushed."""
    for model in models:
        artifact = model.graphs["whole"]
        session = open_session(engine.host_runtime, artifact.path)
        problems = proof_problems(session, artifact, limit)
        if problems:
            raise NothingMeasuredError(
                f"{model.name}: INVALID before it was pushed ({problems[0].rule}: {problems[0].detail})"
            )


def _graph_problems(session: Session, graphs: Sequence[PushedGraph], models: Sequence[TimedModel], answer: Answer,
                    limit: float) -> list[list[Problem]]:  # fmt: skip
    found = []
    for number, (graph, model) in enumerate(zip(graphs, models, strict=True)):
        artifact = model.graphs["whole"]
        outputs = session.pull_outputs(graph, answer, number)
        different = difference_problems(outputs, read_reference(artifact)[1], artifact.path.name, limit)
        problems = [Problem("outputs_differ", detail) for detail in different]
        inspected = session.pull_inspection(graph)
        if inspected is not None and session.engine.inspect is not None:
            problems += session.engine.inspect(inspected)
        found.append(problems)
    return found


def measure_remote(
    target: Target,
    models: Sequence[TimedModel],
    protocol: Protocol,
    engine: Engine,
    runner: Runner,
    seed: int = 0,
    notes: Sequence[str] = (),
    prove_here: Callable[[Sequence[TimedModel], Engine, float], None] = _prove_here,
) -> RemoteReport:
    """Time the networks of models on one core of a device, interleaved; the first model is the anchor.

    Whatever happens, nothing is left on the device and what was changed there is put back.

    Args:
        target: the device, inspected.
        models: what to time; their graph ``whole``.
        protocol: counts, durations and rules.
        engine: what the runner is built on.
        runner: the runner's files.
        seed: of the fresh inputs.
        notes: what has to be said beside the numbers.
        prove_here: runs the files on this machine first.

    Returns:
        Times, verdicts and ratios to the first model; invalid candidates are in it, marked.

    Raises:
        InputError: if a file or option is bad, or the device cannot be reached.
        NothingMeasuredError: if the device was lost or is not fit, or the runner failed; nothing may be recorded.
    """
    names = [model.name for model in models]
    if not names or len(set(names)) != len(names):
        raise InputError("latency: name at least one model, and each once")
    limit = protocol.rules.max_output_difference
    prove_here(models, engine, limit)  # always in fp32
    limit = engine.max_output_difference or limit
    answers: list[Answer] = []
    with tempfile.TemporaryDirectory(prefix="latency-remote-") as here, work_folder(target.transport) as folder:
        session = Session(target, folder, Path(here), engine, runner)
        target.prepare(folder)
        session.push_runner()
        graphs = [session.push_graph(number, model.graphs["whole"]) for number, model in enumerate(models)]
        with track(f"latency on core {target.core} of the {target.transport.noun}", target.blocks.count) as step:
            for block in range(target.blocks.count):
                target.wait_until_ready()
                answers.append(session.run_block(graphs, protocol, derive_seed(seed, f"block {block}") % 2**32))
                step()
        slowed = target.slowed_down()
        problems = _graph_problems(session, graphs, models, answers[-1], limit)
    shared = pinning_problems(answers, target.core) + frequency_problems(answers, target.built_khz, target.blocks)
    shared += flag_problems(answers, engine) + slowed
    labels = [_labels(model, engine) for model in models]
    timings = combined_timings(answers, [label.title for label in labels])
    header = answers[0].header
    description = {"runtime": engine.name, "version": header.library, **header.flags}
    observed = [
        Observed(label, timing, [*shared, *own], description)
        for label, timing, own in zip(labels, timings, problems, strict=True)
    ]
    elapsed_s = sum(answer.rounds[-1].elapsed_s for answer in answers)
    return RemoteReport(
        protocol=protocol,
        core=target.core,
        niceness=header.niceness,
        peak_memory_kib=max(answer.end.peak_memory_kib for answer in answers),
        elapsed_s=elapsed_s,
        attempt=1,
        results=tuple(judged_results(observed, elapsed_s, protocol)),
        device=target.device.name,
        answered=target.answered,
        machine=target.machine,
        answers=tuple(answers),
        notes=tuple(notes),
    )


def _labels(model: TimedModel, engine: Engine) -> Labels:
    shapes = read_reference(model.graphs["whole"])[0]
    height_px, width_px = next(iter(shapes.values())).shape[-2:]
    return Labels(model.name, "network", engine.name, engine.precision, height_px, width_px, model.weights_sha256)
