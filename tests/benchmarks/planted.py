"""A factory for the measured process: a model's network with extra CPU time planted in every call."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from suite.latency.protocol import Protocol
from suite.latency.spans import build_candidates
from suite.latency.timed_model import TimedModel
from suite.latency.timer import Candidate


def slowed(extra_share: float, model: TimedModel, protocol: Protocol) -> list[Candidate]:
    """Make the usual candidates, each call of which takes ``extra_share`` more CPU time."""
    made = []
    for candidate in build_candidates(model, protocol):

        def run(value: Any, inner: Any = candidate.run) -> None:
            started = time.thread_time_ns()
            inner(value)
            end = started + (1 + extra_share) * (time.thread_time_ns() - started)
            while time.thread_time_ns() < end:
                pass

        made.append(dataclasses.replace(candidate, run=run))
    return made
