"""Times models on a phone or board: pushed, run in blocks, looked at in between, judged as on the host."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from suite.errors import NothingMeasuredError
from suite.export.artifact import difference_problems, read_reference
from suite.export.runtime import open_session
from suite.latency.device import Guards, Protocol
from suite.latency.remote.plan import Answer, Engine
from suite.latency.remote.session import Session, work_folder
from suite.latency.remote.target import Target
from suite.latency.report import LatencyReport
from suite.latency.spans import TimedModel, proof_problems
from suite.latency.timer import round_order
from suite.latency.timing import Labels, MeasuredRun, Problem, Timing
from suite.latency.validity import judged
from suite.progress import track
from suite.records.schema import Scalar
from suite.seeds import derive_seed


def frequency_problems(answers: Sequence[Answer], built_khz: int | None, guards: Guards) -> list[Problem]:
    """Judge throttling in all blocks by the core's frequency and by the calibration loop around every block.

    ``built_khz`` is the highest frequency of the core as built; the runner's own reading counts where it is None.
    """
    found = []
    built = built_khz or next((answer.built_khz for answer in answers if answer.built_khz), None)
    seen = [khz for answer in answers for khz in answer.khz if khz is not None]
    least = guards.min_frequency_share * built if built else 0.0
    slow = sum(value < least for value in seen) / max(len(seen), 1)
    if built and slow > guards.max_slow_share:
        found.append(
            f"{slow:.0%} of samples ran below {guards.min_frequency_share:.0%} of {built // 1000} MHz "
            f"(slowest {min(seen) // 1000} MHz; allowed {guards.max_slow_share:.0%})"
        )
    capped = [answer.permitted_khz for answer in answers if answer.permitted_khz and answer.permitted_khz < least]
    if built and capped:
        found.append(f"the core was capped at {capped[0] // 1000} of {built // 1000} MHz in a block")
    loops = [spent for answer in answers for spent in answer.spin_ns]
    ratio = max(loops) / min(loops)
    if ratio > guards.max_calibration_ratio:
        found.append(
            f"the calibration loop took {ratio:.2f} times its shortest (allowed {guards.max_calibration_ratio})"
        )
    return [Problem("throttled", detail) for detail in found]


def combined(answers: Sequence[Answer], labels: Sequence[Labels], problems: Sequence[list[Problem]]) -> MeasuredRun:
    """Return the blocks' samples, in order, as one run, as a measured process of this machine gives it back.

    Labels and problems are those of the candidates, in the plan's order.
    """
    first, order = answers[0], round_order(len(labels))
    engine = {"runtime": first.runner, "version": first.library, **first.flags}
    # A core number that a run began or ended on is as good as a core list that was read back.
    seen = {text for answer in answers for text in (*answer.affinities, *map(str, answer.cores))}
    return MeasuredRun(
        timings=[
            Timing(
                label,
                (order.index(number), len(order) - 1 - order.index(number)),
                engine=engine,
                problems=found,
                rounds=[pair for answer in answers for pair in answer.candidates[number].rounds],
                repeat_pairs=[pair for answer in answers for pair in answer.candidates[number].repeat_pairs],
            )
            for number, (label, found) in enumerate(zip(labels, problems, strict=True))
        ],
        elapsed_s=sum(answer.elapsed_s for answer in answers),
        affinities=sorted(seen) if all(answer.affinities for answer in answers) else [],
        niceness=first.niceness,
        threads=max(answer.threads for answer in answers),
        peak_memory_kib=max(answer.peak_memory_kib for answer in answers),
    )


def state_rows(answers: Sequence[Answer]) -> tuple[list[Scalar], ...]:
    """Return frequency and temperature after every round, one row per sensor (one without, if there is none)."""
    rows: list[list[Scalar]] = []
    for block, answer in enumerate(answers):
        calls = len(answer.order)
        for number, (elapsed_s, sensors) in enumerate(answer.states):
            seen = [khz for khz in answer.khz[number * calls : (number + 1) * calls] if khz is not None]
            opening: list[Scalar] = [block, number, elapsed_s, *([min(seen), max(seen)] if seen else [None, None])]
            told: list[list[Scalar]] = [
                [name, None if value is None else value / 1000] for name, value in sorted(sensors.items())
            ]
            rows += [[*opening, *item] for item in told or [[None, None]]]
    return tuple(rows)


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
        models: what to time, at least one, each of another name; their graph ``whole``.
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
    notes = target.require_fit()
    limit = protocol.rules.max_output_difference
    for model in models:  # What is not fp32 here, or not the scored graph, is never pushed.
        artifact = model.graphs["whole"]
        if found := proof_problems(open_session(engine.host_runtime, artifact.path), artifact, limit):
            raise NothingMeasuredError(f"{model.name}: INVALID here already ({found[0].rule}: {found[0].detail})")
    answers: list[Answer] = []
    guards = target.device.guards
    with tempfile.TemporaryDirectory(prefix="latency-remote-") as here, work_folder(target.transport) as folder:
        session = Session(target, folder, Path(here), engine)
        machine, device = target.describe()
        session.push_runner(runner)
        graphs = [session.push_graph(number, model.graphs["whole"]) for number, model in enumerate(models)]
        with track(f"latency on core {target.core} of {target.device.name}", guards.blocks) as step:
            for block in range(guards.blocks):
                target.wait_until_ready()
                answers.append(session.run_block(graphs, protocol, derive_seed(seed, f"block {block}") % 2**32))
                step()
        shared = target.slowed_down() + frequency_problems(answers, target.built_khz, guards)
        for answer in answers:
            shared += engine.flag_problems(answer.runner, answer.flags)
        problems = []
        for model, graph, samples in zip(models, graphs, answers[-1].candidates, strict=True):
            artifact, outputs = model.graphs["whole"], session.read_outputs(graph, samples.shapes)
            allowed = engine.max_output_difference or limit
            different = difference_problems(outputs, read_reference(artifact)[1], artifact.path.name, allowed)
            own = [Problem("outputs_differ", detail) for detail in different]
            problems.append([*dict.fromkeys(shared), *own])
    if not device["real_device"]:
        notes.append(f"no device answered but this computer, so these are not times of {target.device.name}")
    labels = [
        Labels(model.name, "network", engine.name, engine.precision, shape[-2], shape[-1], model.weights_sha256)
        for model, shape in zip(models, (graph.inputs[0] for graph in graphs), strict=True)
    ]
    run = combined(answers, labels, problems)
    return LatencyReport(
        protocol,
        target.core,
        judged(run, target.core, protocol),
        machine,
        {**device, "blocks": len(answers), "runner_platform": answers[0].platform},
        state_rows=state_rows(answers),
        notes=tuple(notes),
    )
