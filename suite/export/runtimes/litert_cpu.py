"""LiteRT (TensorFlow Lite) on one CPU thread, fp32, with its XNNPACK delegate, which it applies by itself."""

from __future__ import annotations

import functools
import importlib.metadata
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from torch import Tensor, nn

from suite.export.artifact import ConvertedSession
from suite.export.runtime import Arrays
from suite.export.torch_programs import convert_once

PLAIN_TYPES = {"float32", "int64", "int32", "bool"}


def _write(network: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> None:
    import litert_torch

    litert_torch.convert(network, inputs).export(str(path))


convert = functools.partial(convert_once, package="litert-torch", ending=".tflite", write=_write)


class LitertSession(ConvertedSession):
    """The file beside an ONNX graph."""

    def __init__(self, graph: Path) -> None:
        super().__init__(graph)
        self._interpreter = Interpreter(str(convert(graph)[0]), num_threads=1)
        self._interpreter.allocate_tensors()
        self._run = self._interpreter.get_signature_runner()

    def run(self, inputs: Arrays) -> Arrays:
        """Run the network: inputs by name give all outputs by name."""
        found = self._run(**{f"args_{place}": inputs[name] for place, name in enumerate(self.inputs)})
        return {name: found[f"output_{place}"] for place, name in enumerate(self.outputs)}

    def precision_problems(self) -> list[str]:
        """Return what is not fp32 among the file's tensors; integers and booleans carry shapes and conditions."""
        kinds = {np.dtype(tensor["dtype"]).name for tensor in self._interpreter.get_tensor_details()}
        return [f"LiteRT's file has tensors of type {kind}" for kind in sorted(kinds - PLAIN_TYPES)]

    def description(self) -> dict[str, str]:
        """Return engine, versions and what changes speed."""
        return {
            "runtime": "litert",
            "version": importlib.metadata.version("ai-edge-litert"),
            "converter": f"litert-torch {importlib.metadata.version('litert-torch')}",
            "threads": "1",
        }


open_session = LitertSession
