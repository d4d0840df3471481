"""What the suite knows of an engine that a runner is built on.

Adding one is adding a module of ``engines/`` and a C++ source of ``runners/``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import suite.latency.remote.engines
from suite.errors import InputError
from suite.latency.validity import Problem

RUNNER_SOURCES = Path(__file__).with_name("runners")


@dataclass(frozen=True)
class GraphOnDevice:
    """A graph as an engine takes it: its files, and its own names of inputs and outputs in the graph's order."""

    files: tuple[Path, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        name: as tables show it; the runner's header says it.
        host_runtime: the module of ``suite/export/runtimes`` that runs the same files on this machine: it converts
            them and proves them fp32.
        flags: settings that the runner has to report, by name; what it reports besides is only recorded.
        describe: names the files to push for an exported graph.
        inspect: looks at what the engine made of the graph on the device and returns what is not fp32; None if the
            engine writes no such file.
        precision: what it computes in on the device; anything but ``fp32`` gives rows of their own.
        max_output_difference: for a precision whose outputs cannot keep the protocol's limit; None keeps it.
    """

    name: str
    host_runtime: str
    flags: Mapping[str, str]
    describe: Callable[[Path], GraphOnDevice]
    inspect: Callable[[Path], list[Problem]] | None = None
    precision: str = "fp32"
    max_output_difference: float | None = None

    @property
    def source(self) -> Path:
        """The runner's C++ source."""
        return RUNNER_SOURCES / f"{self.name}_runner.cpp"

    def flag_problems(self, reported: Mapping[str, str]) -> list[Problem]:
        """Return every setting that the runner reports otherwise than asked for, or not at all."""
        problems = []
        for flag, wanted in self.flags.items():
            found = reported.get(flag, "nothing")
            if found != wanted:
                rule = "more_than_one_thread" if flag == "threads" else "precision_not_fp32"
                problems.append(Problem(rule, f"{self.name} reports {flag} as {found}, asked for {wanted}"))
        return problems


def engine_names() -> list[str]:
    """Return the names of all engines, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(suite.latency.remote.engines.__path__))


def load_engine(name: str) -> Engine:
    """Return an engine by its module's name in ``suite/latency/remote/engines``.

    Raises:
        InputError: if there is none of that name, or what it imports is not installed.
    """
    if name not in engine_names():
        raise InputError(f"{name}: no such engine; known engines: {', '.join(engine_names())}")
    try:
        engine: Engine = importlib.import_module(f"suite.latency.remote.engines.{name}").ENGINE
    except ImportError as error:
        raise InputError(f"{name}: {error}; install it with pip install 'mobileinst-suite[run]'") from None
    return engine
