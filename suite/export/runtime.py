"""What an inference runtime has to offer; each lives in one module of ``suite/export/runtimes/``, found by its name.

A runtime module has ``open_session(graph: Path) -> Session``, and where it takes another format than ONNX
``convert(graph: Path, network)``, which is called before anything is measured and keeps its files beside the graph. Its
``GRAPH_FORM`` names the form of graph it runs best (`suite.export.rewriting`); ``"portable"`` if it has none.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from suite.errors import DataError, InputError, reason_of

if TYPE_CHECKING:
    from torch import nn

Arrays = Mapping[str, NDArray[np.generic]]
PROVIDER = "CPUExecutionProvider"


class Session(Protocol):
    """One loaded graph that runs on the calling thread, in fp32."""

    def run(self, inputs: Arrays) -> Arrays:
        """Run the graph: inputs by name give all outputs by name."""
        ...

    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every input by name."""
        ...

    def precision_problems(self) -> list[str]:
        """Look at the graph and at the session as loaded, and return what is not fp32."""
        ...

    def description(self) -> dict[str, str]:
        """Return engine, version and the settings that change speed."""
        ...


def cpu_session(
    graph: Path | bytes, threads: int = 1, entries: Mapping[str, str] = MappingProxyType({}), **settings: Any
) -> Any:
    """Return an ONNX Runtime session on the CPU.

    Args:
        graph: an ONNX file, or its content.
        threads: inside one operator; operators run one after the other.
        entries: of the session's configuration.
        **settings: further attributes of ``onnxruntime.SessionOptions``.

    Raises:
        DataError: if the file is absent.
        InputError: if ONNX Runtime cannot load it.
    """
    import onnxruntime

    if isinstance(graph, Path) and not graph.is_file():
        raise DataError(f"{graph}: no such ONNX file; check the path")
    options = onnxruntime.SessionOptions()
    settings |= {"intra_op_num_threads": threads, "inter_op_num_threads": 1, "log_severity_level": 3}
    for name, value in settings.items():
        setattr(options, name, value)
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    try:
        return onnxruntime.InferenceSession(graph, options, providers=[PROVIDER])
    except Exception as error:  # ONNX Runtime's error classes share no public base
        where = graph if isinstance(graph, Path) else "graph"
        raise InputError(f"{where}: ONNX Runtime cannot load it ({reason_of(error)}); export it again") from None


RUN_LIMIT_S = 300
"""Seconds that a graph from elsewhere may take for one image."""


def run_within(session: Any, inputs: Arrays, where: Path) -> Arrays:
    """Run a session of ONNX Runtime once, whose graph may fail or never end; Ctrl-C ends it at once.

    Args:
        session: what `cpu_session` returns.
        inputs: by name.
        where: the graph's file, for the message.

    Returns:
        All outputs by name.

    Raises:
        InputError: if it takes more than `RUN_LIMIT_S` seconds, ONNX Runtime refuses, or an output is no tensor of
            numbers.
    """
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    with ThreadPoolExecutor(1) as executor:
        try:
            found = executor.submit(session.run, None, dict(inputs), options).result(RUN_LIMIT_S)
        except TimeoutError:
            raise InputError(
                f"{where}: did not end in {RUN_LIMIT_S} s; give a smaller graph, or one that ends"
            ) from None
        except Exception as error:  # ONNX Runtime's error classes share no public base
            last = str(error).strip().splitlines()[-1]
            raise InputError(f"{where}: ONNX Runtime cannot run this graph ({last}); export it again") from None
        finally:
            options.terminate = True
    named = dict(zip((output.name for output in session.get_outputs()), found, strict=True))
    for name, value in named.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
            raise InputError(f"{where}: its output {name} is no tensor of numbers; export it without")
    return named


def runtime_names() -> list[str]:
    """Return the names of all runtimes, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).with_name("runtimes"))]))


def _module(runtime: str) -> ModuleType:
    if runtime not in runtime_names():
        raise InputError(f"{runtime}: no such runtime; known runtimes: {', '.join(runtime_names())}")
    return importlib.import_module(f"suite.export.runtimes.{runtime}")


def graph_form(runtime: str) -> str:
    """Return the form of graph that every model is given to a runtime in.

    Raises:
        InputError: if there is no such runtime.
        ModuleNotFoundError: if its package is not installed.
    """
    return str(getattr(_module(runtime), "GRAPH_FORM", "portable"))


def prepare_graph(runtime: str, graph: Path, network: nn.Module | None = None) -> tuple[Path, ...]:
    """Convert a graph to the runtime's own format, if it has one, so that the measured process need not.

    Converters that read torch's modules need the graph's ``network``, a `suite.export.exporter.PartGraph`, once.

    Returns:
        The files that the runtime runs.

    Raises:
        InputError: if there is no such runtime, or it cannot convert the graph; ModuleNotFoundError as `graph_form`.
    """
    module = _module(runtime)
    return tuple(module.convert(graph, network)) if hasattr(module, "convert") else (graph,)


def open_session(runtime: str, graph: Path) -> Session:
    """Load a graph with a runtime: a module's name in ``suite/export/runtimes``, e.g. ``"onnxruntime_cpu"``.

    Raises:
        InputError: if there is no such runtime, or it cannot load the graph; ModuleNotFoundError as `graph_form`.
    """
    session: Session = _module(runtime).open_session(graph)
    return session
