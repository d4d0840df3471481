"""What the suite knows of the engines that runners are built on; each has one C++ source in ``runners/``.

ncnn is the engine on devices: the closest relative of TNN, the paper's engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from suite.errors import InputError
from suite.export.artifact import read_graph
from suite.latency.timing import Problem

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
        name: as tables show it; its runner says it.
        host_runtime: the runtime that runs the same files on this machine: it converts them and proves them fp32.
        flags: settings that the runner has to report, by name; what it reports besides is only recorded.
        describe: names the files to push for an exported graph.
        precision: what it computes in on the device; anything but ``fp32`` gives rows of their own.
        max_output_difference: for a precision whose outputs cannot meet the protocol's limit; None for that limit.
    """

    name: str
    host_runtime: str
    flags: Mapping[str, str]
    describe: Callable[[Path], GraphOnDevice]
    precision: str = "fp32"
    max_output_difference: float | None = None

    def flag_problems(self, runner: str, reported: Mapping[str, str]) -> list[Problem]:
        """Return every setting that the runner reports otherwise than asked for, or not at all, its own name first."""
        problems = []
        for flag, wanted in {"runner": self.name, **self.flags}.items():
            found = {"runner": runner, **reported}.get(flag, "nothing")
            if found != wanted:
                rule = "more_than_one_thread" if flag == "threads" else "precision_not_fp32"
                problems.append(Problem(rule, f"{self.name} reports {flag} as {found}, asked for {wanted}"))
        return problems


def _ncnn_files(graph: Path) -> GraphOnDevice:
    """Return ncnn's files of an exported graph, converted where that was not done yet; its names are positions."""
    from suite.export.runtimes.ncnn_cpu import convert

    model = read_graph(graph)
    return GraphOnDevice(
        files=convert(graph),
        inputs=tuple(f"in{number}" for number in range(len(model.graph.input))),
        outputs=tuple(f"out{number}" for number in range(len(model.graph.output))),
    )


SWITCHED_OFF = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "int8_inference", "vulkan")
NCNN = Engine("ncnn", "ncnn_cpu", {"threads": "1", **dict.fromkeys(SWITCHED_OFF, "off")}, _ncnn_files)
HALF = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "fp16_instructions")
ENGINES: dict[str, Engine] = {
    "ncnn": NCNN,
    # Half precision, as TNN computes by default on ARM: rows of their own. The files are those of fp32, proved here in
    # fp32; ncnn halves the weights as it loads them, and without the core's instructions silently computes in fp32.
    "ncnn_fp16": replace(
        NCNN,
        flags={**NCNN.flags, **dict.fromkeys(HALF, "on")},
        precision="fp16",
        max_output_difference=5e-2,  # eleven bits of mantissa, summed over thousands of products
    ),
}


def load_engine(name: str) -> Engine:
    """Return an engine by its name in `ENGINES`.

    Raises:
        InputError: if there is none of that name.
    """
    if name not in ENGINES:
        raise InputError(f"--engine {name}: no such engine; known engines: {', '.join(ENGINES)}")
    return ENGINES[name]
