"""Measures on this machine: every run in a child process of its own, on one core, judged here."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suite.errors import InputError, NothingMeasuredError
from suite.latency.child import PROGRESS_MARK
from suite.latency.job import Job, Labels
from suite.latency.machine import MachineDetails, describe_host
from suite.latency.pinning import ONE_THREAD_ENVIRONMENT, idlest_core
from suite.latency.protocol import Protocol, protocol_to_mapping
from suite.latency.report import HostReport, SpanResult
from suite.latency.results import Observed, judged_results
from suite.latency.timed_model import TimedModel
from suite.latency.timer import Sample, Timings
from suite.latency.validity import ENVIRONMENTAL, Problem, pinning_problem
from suite.progress import say, track

LOADING_LIMIT_S = 600


def _environment() -> dict[str, str]:
    """Return the child's environment: one thread everywhere, and this process's import path."""
    paths = [path or str(Path.cwd()) for path in sys.path]
    return {**os.environ, **ONE_THREAD_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}


def run_child(jobs: Sequence[Job], protocol: Protocol, core: int) -> dict[str, Any]:
    """Run one measurement in a pinned child process.

    Args:
        jobs: makers of the candidates, run in the child.
        protocol: counts and durations.
        core: the core to pin to.

    Returns:
        The child's answer (see `suite.latency.child.measure`).

    Raises:
        InputError: if a file, option or core is bad, as the child found out.
        NothingMeasuredError: if the child crashed or did not end in time.
    """
    request = {
        "core": core,
        "protocol": protocol_to_mapping(protocol),
        "jobs": [dataclasses.asdict(job) for job in jobs],
    }
    rounds = (protocol.min_samples + 1) // 2
    errors: list[str] = []
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as questions,
        tempfile.TemporaryFile("w+", encoding="utf-8") as answers,
    ):
        json.dump(request, questions)
        questions.seek(0)
        child = subprocess.Popen(
            [sys.executable, "-m", "suite.latency.child"],
            stdin=questions,
            stdout=answers,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(),
        )
        limit_s = LOADING_LIMIT_S + 3 * protocol.max_duration_s
        alarm = threading.Timer(limit_s, child.kill)
        alarm.start()
        try:
            assert child.stderr is not None
            with child.stderr, track(f"latency on core {core}", rounds) as step:
                for line in child.stderr:
                    if not line.startswith(PROGRESS_MARK):
                        errors.append(line.strip())
                    elif int(line[len(PROGRESS_MARK) :]) <= rounds:
                        step()
            code = child.wait()
        finally:
            alarm.cancel()
            child.kill()
            child.wait()
        answers.seek(0)
        text = answers.read()
    if code != 0:
        last = next((line for line in reversed(errors) if line), "no message")
        ended = f"was stopped by signal {-code}" if code < 0 else f"ended with code {code}"
        raise NothingMeasuredError(f"latency: the measured process {ended} ({last}); nothing was recorded")
    answer: dict[str, Any] = json.loads(text)
    if "error" in answer:
        raise InputError(answer["error"])
    return answer


def _timings(item: dict[str, Any], title: str) -> Timings:
    rounds = [(Sample(*first), Sample(*second)) for first, second in item["rounds"]]
    pairs = [(fresh, repeated) for fresh, repeated in item["repeat_pairs"]]
    first, second = item["positions"]
    return Timings(title, item["units"], (first, second), rounds, pairs)


def _results(answer: dict[str, Any], protocol: Protocol, core: int) -> list[SpanResult]:
    pinning = pinning_problem(answer["affinities"], core)
    observed = []
    for item in answer["items"]:
        labels = Labels(**item["labels"])
        problems = pinning + [Problem(**problem) for problem in item["problems"]]
        observed.append(Observed(labels, _timings(item, labels.title), problems, item["description"]))
    return judged_results(observed, answer["elapsed_s"], protocol)


def measure_jobs(jobs: Sequence[Job], protocol: Protocol, core: int | None = None) -> HostReport:
    """Measure and judge; try again where nothing but the machine's other load spoiled the run.

    Args:
        jobs: makers of the candidates; the first candidate is the anchor.
        protocol: how to measure.
        core: the core to pin to; the idlest one (chosen anew for each attempt) if None.

    Returns:
        The report of the first attempt that is valid throughout, otherwise of the attempt with most valid candidates.

    Raises:
        InputError: if there is no job, or a file, option or core is bad.
        NothingMeasuredError: if the child crashed.
    """
    if not jobs:
        raise InputError("latency: no model to measure; name at least one")
    machine: MachineDetails = describe_host()
    best: HostReport | None = None
    for attempt in range(1, protocol.attempts + 1):
        chosen = idlest_core() if core is None else core
        answer = run_child(jobs, protocol, chosen)
        results = _results(answer, protocol, chosen)
        report = HostReport(
            protocol=protocol,
            machine=machine,
            core=chosen,
            affinities=tuple(answer["affinities"]),
            niceness=answer["niceness"],
            threads=answer["threads"],
            peak_memory_kib=answer["peak_memory_kib"],
            elapsed_s=answer["elapsed_s"],
            attempt=attempt,
            results=tuple(results),
        )
        if best is None or report.valid_count > best.valid_count:
            best = report
        broken = {problem.rule for result in results for problem in result.verdict.problems}
        if not broken or broken - ENVIRONMENTAL:
            break
        if attempt < protocol.attempts:
            say(f"latency: attempt {attempt} was disturbed ({', '.join(sorted(broken))}); trying again")
    assert best is not None
    return best


def measure_host(models: Sequence[TimedModel], protocol: Protocol, core: int | None = None) -> HostReport:
    """Time models on one core of this machine, interleaved; the first model is the anchor.

    Args:
        models: what to time.
        protocol: how, e.g. ``load_device("host").protocol()``.
        core: the core to pin to; the idlest one if None.

    Returns:
        Times, verdicts and ratios to the first model; invalid candidates are in it, marked.

    Raises:
        InputError: if there is no model, two have one name, or a file, option or core is bad.
        NothingMeasuredError: if the measured process crashed.
    """
    names = [model.name for model in models]
    if len(set(names)) != len(names):
        raise InputError(f"latency: a model is named twice in {', '.join(names)}; name each once")
    return measure_jobs([model.job(protocol) for model in models], protocol, core)
