"""What the measuring parent and the pinned child say to each other."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from suite.latency.timer import Candidate
from suite.latency.validity import Problem

Factory = Callable[..., "Sequence[Timed]"]


@dataclass(frozen=True)
class Labels:
    """What a candidate's times are the times of.

    Attributes:
        model: the model's name.
        span: what the clock covers: ``network``, ``with_masks``, ``selection``, ``preprocess``, ``postprocess`` or
            ``end_to_end``.
        runtime: the engine's name.
        precision: number format of the network, e.g. ``fp32``.
        height_px: height of the network's input.
        width_px: width of the network's input.
        weights_sha256: digest of the checkpoint; None for random weights.
        key_frame_interval: T of kernel reuse, where times are per frame of a video; None for single images.
    """

    model: str
    span: str
    runtime: str
    precision: str
    height_px: int
    width_px: int
    weights_sha256: str | None = None
    key_frame_interval: int | None = None

    @property
    def title(self) -> str:
        """Return a name unique in a run, e.g. ``"mobileinst_topformer_base_512 network"``."""
        video = f" T={self.key_frame_interval}" if self.key_frame_interval else ""
        return f"{self.model} {self.span}{video}"


@dataclass(frozen=True)
class Timed:
    """A candidate as a factory gives it, inside the child.

    Attributes:
        labels: what its times are the times of.
        candidate: the callable for the timer.
        check: looks for broken rules after the timed rounds: precision, digest, outputs.
        description: engine, version and settings.
    """

    labels: Labels
    candidate: Candidate
    check: Callable[[], list[Problem]] = list
    description: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """How the child makes candidates: ``factory(**arguments)`` returns a sequence of `Timed`.

    Attributes:
        factory: ``"package.module:function"``.
        arguments: JSON-able keyword arguments.
    """

    factory: str
    arguments: dict[str, Any]

    def make(self) -> Sequence[Timed]:
        """Import the factory and call it."""
        module, _, function = self.factory.partition(":")
        factory: Factory = getattr(importlib.import_module(module), function)
        return factory(**self.arguments)
