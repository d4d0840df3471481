"""Files of runtimes whose converters read torch's modules, not ONNX graphs; each lies beside the graph of its part."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from suite.errors import InputError, reason_of
from suite.export.artifact import graph_digest, input_shapes, read_graph
from suite.export.exporter import silence
from suite.export.kept import code_digest
from suite.files import atomic_path

Writer = Callable[[nn.Module, tuple[Tensor, ...], Path], None]


def convert_once(
    graph: Path, network: nn.Module | None = None, *, package: str, ending: str, write: Writer
) -> tuple[Path]:
    """Return the file of the network that an ONNX graph was exported from, made unless an earlier call has.

    It is named by the graph's digest, the version of the converter, whose ``package`` this is, and a digest of the code
    around it; ``write`` takes the network, inputs of its sizes and the path.

    Raises:
        InputError: if the file is not there and no network is given, or the converter refuses the network.
    """
    version, code = importlib.metadata.version(package), code_digest({__name__, write.__module__})[:8]
    target = graph.with_name(f"{graph.stem}-{graph_digest(graph)[:12]}-{version}-{code}{ending}")
    if target.is_file():
        return (target,)
    if network is None:
        raise InputError(f"{graph}: {package} converts models, not ONNX graphs; 'export' and 'benchmark' do it")
    inputs = tuple(torch.zeros(shape) for shape in input_shapes(read_graph(graph)).values())
    with atomic_path(target) as temporary:
        try:
            with silence(), torch.no_grad():
                write(network.eval(), inputs, temporary)
        except Exception as error:  # converters raise whatever their parts raise
            raise InputError(f"{graph}: {package} cannot convert this network: {reason_of(error)}") from error
    return (target,)
