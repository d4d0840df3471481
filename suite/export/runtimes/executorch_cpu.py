"""ExecuTorch on one CPU thread, fp32: XNNPACK runs what it can of the network, ExecuTorch's own kernels the rest."""

from __future__ import annotations

import functools
import importlib.metadata
from pathlib import Path

import numpy as np
import torch
from executorch.exir._serialize._program import deserialize_pte_binary
from executorch.extension.pybindings import portable_lib
from executorch.runtime import Runtime
from torch import Tensor, nn

from suite.export.artifact import ConvertedSession
from suite.export.runtime import Arrays
from suite.export.torch_programs import convert_once

PLAIN_TYPES = {"FLOAT", "LONG", "INT", "BOOL"}


def _write(network: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    edge = to_edge_transform_and_lower(torch.export.export(network, inputs), partitioner=[XnnpackPartitioner()])
    path.write_bytes(edge.to_executorch().buffer)


convert = functools.partial(convert_once, package="executorch", ending=".pte", write=_write)


class ExecutorchSession(ConvertedSession):
    """The program beside an ONNX graph."""

    def __init__(self, graph: Path) -> None:
        super().__init__(graph)
        (program,) = convert(graph)
        # The pool is the process's; its calling thread counts as one.
        portable_lib._unsafe_reset_threadpool(1)
        self._method = Runtime.get().load_program(program).load_method("forward")
        self._plan = deserialize_pte_binary(program.read_bytes()).program.execution_plan[0]

    def run(self, inputs: Arrays) -> Arrays:
        """Run the network: inputs by name give all outputs by name."""
        found = self._method.execute([torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self.inputs])
        return {name: value.numpy() for name, value in zip(self.outputs, found, strict=True)}

    def precision_problems(self) -> list[str]:
        """Return what is not fp32 among the program's tensors; integers and booleans carry shapes and conditions."""
        kinds = {value.val.scalar_type.name for value in self._plan.values if hasattr(value.val, "scalar_type")}
        return [f"ExecuTorch's program has tensors of type {kind}" for kind in sorted(kinds - PLAIN_TYPES)]

    def description(self) -> dict[str, str]:
        """Return engine, version and what changes speed, read back from the program and the thread pool."""
        return {
            "runtime": "executorch",
            "version": importlib.metadata.version("executorch"),
            "delegates": ", ".join(sorted({delegate.id for delegate in self._plan.delegates})),
            "threads": str(portable_lib._threadpool_get_thread_count()),
        }


open_session = ExecutorchSession
