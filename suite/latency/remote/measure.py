"""Times models on a phone or board: pushed, run in blocks, looked at in between, judged as on the host."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from suite.errors import InputError, NothingMeasuredError
from suite.export.artifact import difference_problems, read_reference
from suite.export.runtime import open_session
from suite.latency.device import Blocks
from suite.latency.protocol import Protocol
from suite.latency.remote.engines import Engine
from suite.latency.remote.plan import Answer
from suite.latency.remote.session import PushedGraph, Session, work_folder
from suite.latency.remote.target import Target
from suite.latency.report import LatencyReport
from suite.latency.spans import TimedModel, proof_problems
from suite.latency.timer import round_order
from suite.latency.timing import Labels, Problem, Sample, Timing
from suite.latency.validity import judged, pinning_problem
from suite.progress import track
from suite.records.schema import Scalar
from suite.seeds import derive_seed


def prove_here(models: Sequence[TimedModel], engine: Engine, limit: float) -> None:
    """Run the same files on this machine first: a graph that is not fp32 or not the scored one is never pushed.

    Raises:
        NothingMeasuredError: naming the model and the rule.
    """
    for model in models:
        artifact = model.graphs["whole"]
        session = open_session(engine.host_runtime, artifact.path)
        problems = proof_problems(session, artifact, limit)
        if problems:
            raise NothingMeasuredError(
                f"{model.name}: INVALID before it was pushed ({problems[0].rule}: {problems[0].detail})"
            )


def pinning_problems(answers: Sequence[Answer], core: int) -> list[Problem]:
    """Check every core list and every core number that was read back."""
    lists = {item for answer in answers for line in answer.rounds for item in line.affinities}
    problems = pinning_problem(sorted(lists), core)
    readings = [reading for answer in answers for reading in answer.readings]
    others = {number for line in readings for number in (line.core_before, line.core_after)} - {core}
    if not problems and others:
        seen = ", ".join(map(str, sorted(others)))
        problems.append(Problem("not_pinned", f"asked for core {core}, a run was seen on core {seen}"))
    return problems


def frequency_problems(answers: Sequence[Answer], built_khz: int | None, blocks: Blocks) -> list[Problem]:
    """Judge throttling by the core's frequency and by the calibration loop around every block.

    Args:
        answers: of all blocks.
        built_khz: highest frequency of the core as built; the runner's own reading where None.
        blocks: thresholds.
    """
    found = []
    built = built_khz or next((item.header.built_khz for item in answers if item.header.built_khz), None)
    seen = [line.khz for answer in answers for line in answer.samples if line.khz is not None]
    least = blocks.min_frequency_share * built if built else 0.0
    slow = sum(value < least for value in seen) / max(len(seen), 1)
    if built and slow > blocks.max_slow_share:
        found.append(
            f"{slow:.0%} of samples ran below {blocks.min_frequency_share:.0%} of {built // 1000} MHz "
            f"(slowest {min(seen) // 1000} MHz; allowed {blocks.max_slow_share:.0%})"
        )
    capped = [khz for answer in answers if (khz := answer.header.permitted_khz) and khz < least]
    if built and capped:
        found.append(f"the core was capped at {capped[0] // 1000} of {built // 1000} MHz in a block")
    loops = [spin.cpu_ns / spin.steps for answer in answers for spin in answer.spins]
    ratio = max(loops) / min(loops)
    if ratio > blocks.max_calibration_ratio:
        found.append(
            f"the calibration loop took {ratio:.2f} times its shortest (allowed {blocks.max_calibration_ratio})"
        )
    return [Problem("throttled", detail) for detail in found]


def flag_problems(answers: Sequence[Answer], engine: Engine) -> list[Problem]:
    """Check the settings that the runner reports in every block."""
    problems: list[Problem] = []
    for answer in answers:
        if answer.header.runner != engine.name:
            what = f"the runner is built on {answer.header.runner}, not {engine.name}"
            problems.append(Problem("precision_not_fp32", what))
        problems += engine.flag_problems(answer.header.flags)
    return list(dict.fromkeys(problems))


def combined_timings(answers: Sequence[Answer], labels: Sequence[Labels], engine: dict[str, str]) -> list[Timing]:
    """Put the blocks' samples together, one `Timing` per candidate.

    Args:
        answers: of all blocks, in order.
        labels: of the candidates, in the plan's order.
        engine: engine, version and settings.
    """
    order = round_order(len(labels))
    timings = []
    for number, label in enumerate(labels):
        first, second = (place for place, candidate in enumerate(order) if candidate == number)
        timing = Timing(label, (first, second), engine=engine)
        for answer in answers:
            own = [line for line in answer.samples if line.candidate == number]
            samples = [Sample(line.wall_ns, line.cpu_ns, line.thread_ns) for line in own]
            timing.rounds.extend(zip(samples[::2], samples[1::2], strict=True))
            warm = [line for line in answer.warm_up if line.candidate == number]
            timing.repeat_pairs.extend(
                (before.cpu_ns, line.cpu_ns) for before, line in itertools.pairwise(warm) if line.repeat
            )
        timings.append(timing)
    return timings


def state_rows(answers: Sequence[Answer]) -> tuple[list[Scalar], ...]:
    """Return frequency and temperature after every round, one row per sensor (one without, if there is none)."""
    rows: list[list[Scalar]] = []
    for block, answer in enumerate(answers):
        for line in answer.rounds:
            seen = [item.khz for item in answer.samples if item.round == line.round and item.khz is not None]
            opening: list[Scalar] = [block, line.round, line.elapsed_s]
            opening += [min(seen), max(seen)] if seen else [None, None]
            if not line.sensors:
                rows.append([*opening, None, None])
            for name, value in sorted(line.sensors.items()):
                rows.append([*opening, name, None if value is None else value / 1000])
    return tuple(rows)


def _graph_problems(
    session: Session, graphs: Sequence[PushedGraph], models: Sequence[TimedModel], answer: Answer, limit: float
) -> list[list[Problem]]:
    """Return what is wrong with each graph's outputs on the device."""
    found = []
    for number, (graph, model) in enumerate(zip(graphs, models, strict=True)):
        artifact = model.graphs["whole"]
        outputs = session.pull_outputs(graph, answer, number)
        different = difference_problems(outputs, read_reference(artifact)[1], artifact.path.name, limit)
        found.append([Problem("outputs_differ", detail) for detail in different])
    return found


def _labels(model: TimedModel, engine: Engine) -> Labels:
    shapes = read_reference(model.graphs["whole"])[0]
    height_px, width_px = next(iter(shapes.values())).shape[-2:]
    return Labels(model.name, "network", engine.name, engine.precision, height_px, width_px, model.weights_sha256)


def measure_remote(
    target: Target,
    models: Sequence[TimedModel],
    protocol: Protocol,
    engine: Engine,
    runner: Path,
    seed: int = 0,
) -> LatencyReport:
    """Time the networks of models on one core of a device, interleaved; the first model is the anchor.

    Nothing is changed on the device, and nothing is left there.

    Args:
        target: the device, looked at.
        models: what to time; their graph ``whole``.
        protocol: counts, durations and rules.
        engine: what the runner is built on.
        runner: the runner's program.
        seed: of the fresh inputs.

    Returns:
        Times, verdicts and ratios to the first model; invalid candidates are in it, marked.

    Raises:
        InputError: if a file or option is bad.
        NothingMeasuredError: if the device was lost or is not fit, or the runner failed; nothing may be recorded.
    """
    names = [model.name for model in models]
    if not names or len(set(names)) != len(names):
        raise InputError("latency: name at least one model, and each once")
    notes = target.require_fit()
    limit = protocol.rules.max_output_difference
    prove_here(models, engine, limit)  # always in fp32
    limit = engine.max_output_difference or limit
    answers: list[Answer] = []
    blocks = target.device.blocks
    with tempfile.TemporaryDirectory(prefix="latency-remote-") as here, work_folder(target.transport) as folder:
        session = Session(target, folder, Path(here), engine)
        machine, device = target.describe()
        session.push_runner(runner)
        graphs = [session.push_graph(number, model.graphs["whole"]) for number, model in enumerate(models)]
        with track(f"latency on core {target.core} of {target.device.name}", blocks.count) as step:
            for block in range(blocks.count):
                target.wait_until_ready()
                answers.append(session.run_block(graphs, protocol, derive_seed(seed, f"block {block}") % 2**32))
                step()
        shared = target.slowed_down()
        problems = _graph_problems(session, graphs, models, answers[-1], limit)
    shared += pinning_problems(answers, target.core) + frequency_problems(answers, target.built_khz, blocks)
    shared += flag_problems(answers, engine)
    header = answers[0].header
    timings = combined_timings(
        answers,
        [_labels(model, engine) for model in models],
        {"runtime": engine.name, "version": header.library, **header.flags},
    )
    for timing, own in zip(timings, problems, strict=True):
        timing.problems.extend([*shared, *own])
    elapsed_s = sum(answer.rounds[-1].elapsed_s for answer in answers)
    if not device["real_device"]:
        notes.append(f"no device answered but this computer, so these are not times of {target.device.name}")
    return LatencyReport(
        protocol=protocol,
        core=target.core,
        niceness=header.niceness,
        peak_memory_kib=max(answer.end.peak_memory_kib for answer in answers),
        elapsed_s=elapsed_s,
        attempt=1,
        results=judged(timings, elapsed_s, protocol),
        machine=machine,
        device={**device, "blocks": len(answers), "runner_platform": header.platform},
        state_rows=state_rows(answers),
        notes=tuple(notes),
    )
