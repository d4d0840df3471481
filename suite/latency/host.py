"""Measures on this machine: every run in a child process of its own, on one core, judged here."""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from suite.errors import USAGE, InputError, NothingMeasuredError
from suite.latency.child import ONE_THREAD_ENVIRONMENT, PROGRESS_MARK, idlest_core
from suite.latency.device import Protocol
from suite.latency.report import LatencyReport
from suite.latency.spans import TimedModel, build_candidates
from suite.latency.timer import Candidate
from suite.latency.timing import MeasuredRun
from suite.latency.validity import ENVIRONMENTAL, judged
from suite.progress import say, track
from suite.records.provenance import describe_machine

Maker = Callable[[], Sequence[Candidate]]
LOADING_LIMIT_S = 600


def run_child(makers: Sequence[Maker], protocol: Protocol, core: int) -> MeasuredRun:
    """Run one measurement in a child process pinned to a core; the makers, which are pickled, are called there.

    Raises:
        InputError: if a file, option or core is bad, as the child found out.
        NothingMeasuredError: if the child crashed or did not end in time.
    """
    rounds = (protocol.min_samples + 1) // 2
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    last = "no message"
    with tempfile.TemporaryFile() as question, tempfile.TemporaryFile() as answer:
        pickle.dump((list(makers), protocol), question)
        question.seek(0)
        child = subprocess.Popen(
            [sys.executable, "-m", "suite.latency.child", str(core)],
            stdin=question,
            stdout=answer,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **ONE_THREAD_ENVIRONMENT, "PYTHONPATH": paths},
        )
        alarm = threading.Timer(LOADING_LIMIT_S + 3 * protocol.max_duration_s, child.kill)
        alarm.start()
        try:
            assert child.stderr is not None
            with child.stderr, track(f"latency on core {core}", rounds) as step:
                for line in child.stderr:
                    if not line.startswith(PROGRESS_MARK):
                        last = line.strip() or last
                    elif int(line[len(PROGRESS_MARK) :]) <= rounds:
                        step()
            code = child.wait()
        finally:
            alarm.cancel()
            child.kill()
            child.wait()
        answer.seek(0)
        content = answer.read()
    if code == USAGE:
        raise InputError(last)
    if code != 0:
        ended = f"was stopped by signal {-code}" if code < 0 else f"ended with code {code}"
        raise NothingMeasuredError(f"latency: the measured process {ended} ({last}); nothing was recorded")
    return msgspec.json.decode(content, type=MeasuredRun)


def measure_makers(makers: Sequence[Maker], protocol: Protocol, core: int | None = None) -> LatencyReport:
    """Measure and judge; try again where nothing but the machine's other load spoiled the run.

    Args:
        makers: of the candidates, at least one; the first candidate is the anchor.
        protocol: how to measure.
        core: the core to pin to; the idlest one (chosen anew for each attempt) if None.

    Returns:
        The report of the first attempt that is valid throughout, otherwise of the attempt with most valid candidates.

    Raises:
        InputError: if a file, option or core is bad.
        NothingMeasuredError: if the child crashed.
    """
    reports: list[LatencyReport] = []
    for attempt in range(1, protocol.attempts + 1):
        chosen = idlest_core() if core is None else core
        run = judged(run_child(makers, protocol, chosen), chosen, protocol)
        reports.append(LatencyReport(protocol, chosen, run, describe_machine(), {"device": "host"}, attempt))
        broken = {rule for timing in run.timings for rule in timing.broken_rules}
        if not broken or broken - ENVIRONMENTAL:
            break
        if attempt < protocol.attempts:
            say(f"latency: attempt {attempt} was disturbed ({', '.join(sorted(broken))}); trying again")
    return max(reports, key=lambda report: report.valid_count)


def measure_host(models: Sequence[TimedModel], protocol: Protocol, core: int | None = None) -> LatencyReport:
    """Time models, each of another name, on one core of this machine, interleaved; the first model is the anchor.

    Arguments, return value and errors are those of `measure_makers`.
    """
    return measure_makers([functools.partial(build_candidates, model, protocol) for model in models], protocol, core)
