"""ncnn on one CPU thread, fp32: the closest well-kept relative of TNN, the engine of the paper's phone numbers.

pnnx, ncnn's own converter, makes ncnn's files from the exported ONNX graph, in which `suite.export.elementary` spells
what ncnn lacks; they lie beside it, named by its digest, pnnx's version and a digest of the code that spells.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import tempfile
from pathlib import Path

import ncnn
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.external_data_helper import load_external_data_for_model

from suite.errors import InputError, SuiteError
from suite.export.artifact import ConvertedSession, external_files, graph_digest, input_shapes, read_graph
from suite.export.elementary import spell_elementary
from suite.export.kept import code_digest
from suite.export.runtime import Arrays
from suite.files import copy_together

HALF_PRECISION_OPTIONS = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_storage",
    "use_bf16_packed",
)
# Marks that ncnn's weight file puts before a blob that is not fp32; as fp32 values they are subnormal or nearly so.
WEIGHT_MARKS = {0x01306B47: "fp16", 0x000D4B38: "int8"}
CONVERSION_LIMIT_S = 300
PREPARATION = (__name__, "suite.export.elementary", "suite.export.graph_editor")
"""Modules whose code shapes what pnnx converts."""


def _converter() -> str:
    """Return the converter's executable; the package's own, since the script on the path imports torch first."""
    package = importlib.util.find_spec("pnnx")
    for folder in package.submodule_search_locations or () if package else ():
        if (Path(folder) / "pnnx").is_file():
            return str(Path(folder) / "pnnx")
    raise InputError("ncnn_cpu: the converter pnnx is not installed; install it with pip install pnnx")


def convert(graph: Path, network: object = None) -> tuple[Path, Path]:
    """Return ncnn's files (structure, weights) of an ONNX graph (``network`` is not needed), made once.

    Raises:
        InputError: if the graph has no fixed input size, its weights cannot be read, pnnx is absent, or it cannot
            convert the graph.
    """
    version, code = importlib.metadata.version("pnnx"), code_digest(PREPARATION)[:8]
    stem = f"{graph.stem}-{graph_digest(graph)[:12]}-{version}-{code}.ncnn"
    targets = (graph.parent / f"{stem}.param", graph.parent / f"{stem}.bin")
    if all(target.is_file() for target in targets):
        return targets
    model, shapes = read_graph(graph), []
    for name, sides in input_shapes(model).items():
        if not all(sides):
            raise InputError(f"{graph}: input {name} has no fixed size; export it at one")
        shapes.append(f"[{','.join(map(str, sides))}]")
    outside = bool(external_files(model, graph))
    try:
        load_external_data_for_model(model, str(graph.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise InputError(f"{graph}: cannot read its weights ({error}); export it again") from None
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "graph.onnx"
        try:
            if spell_elementary(model) or outside:  # pnnx looks for weights beside the link, not beside the graph
                onnx.save(model, source)
            else:
                source.symlink_to(graph.resolve())
        except (OSError, SuiteError):
            raise
        except Exception as error:  # protobuf's own, of a graph of over 2 GB with its weights
            raise InputError(f"{graph}: cannot be written for pnnx ({error}); time it with another runtime") from None
        try:
            done = subprocess.run(
                [_converter(), source.name, f"inputshape={','.join(shapes)}", "fp16=0"],
                cwd=folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=CONVERSION_LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            raise InputError(
                f"{graph}: pnnx did not end in {CONVERSION_LIMIT_S} s; time it with another runtime"
            ) from None
        made = (Path(folder) / "graph.ncnn.param", Path(folder) / "graph.ncnn.bin")
        if done.returncode != 0 or not all(path.is_file() for path in made):
            raise InputError(
                f"{graph}: pnnx cannot convert this graph (code {done.returncode}); time it with another runtime"
            )
        copy_together(dict(zip(targets, made, strict=True)))
    return targets


class NcnnSession(ConvertedSession):
    """An ONNX graph converted to ncnn: one thread, no half precision anywhere, Winograd as ncnn chooses."""

    def __init__(self, graph: Path, converted: tuple[Path, Path] | None = None) -> None:
        super().__init__(graph)
        structure, self._weights = converted or convert(graph)
        self._net = ncnn.Net()
        self._net.opt.num_threads = 1
        self._net.opt.use_vulkan_compute = False
        for option in HALF_PRECISION_OPTIONS:
            setattr(self._net.opt, option, False)
        if self._net.load_param(str(structure)) or self._net.load_model(str(self._weights)):
            raise InputError(f"{structure}: ncnn cannot load this graph; delete it to convert it again")

    def run(self, inputs: Arrays) -> Arrays:
        """Run the graph: inputs by name give all outputs by name, each with its batch dimension of 1."""
        with self._net.create_extractor() as extractor:
            held = [np.ascontiguousarray(inputs[name][0]) for name in self.inputs]  # ncnn does not copy
            for number, array in enumerate(held):
                extractor.input(f"in{number}", ncnn.Mat(array))
            return {name: self._extract(extractor, number) for number, name in enumerate(self.outputs)}

    def _extract(self, extractor: ncnn.Extractor, number: int) -> NDArray[np.generic]:
        code, value = extractor.extract(f"out{number}")
        if code:
            raise InputError(f"{self._weights}: ncnn cannot compute output {number} (code {code}); delete it and retry")
        array: NDArray[np.generic] = np.array(value)[None]
        return array

    def precision_problems(self) -> list[str]:
        """Return what is not fp32: options read back from the network, marks in the weight file, output elements."""
        problems = [f"ncnn has {option} on" for option in HALF_PRECISION_OPTIONS if getattr(self._net.opt, option)]
        words = np.fromfile(self._weights, dtype="<u4")
        for mark, name in WEIGHT_MARKS.items():
            count = int(np.count_nonzero(words == mark))
            if count:
                problems.append(f"ncnn's weight file has {count} {name} blobs")
        zeros = {name: np.zeros(shape, dtype=np.float32) for name, shape in self.inputs.items()}
        for name, value in self.run(zeros).items():
            if value.dtype != np.float32:
                problems.append(f"ncnn gives {name} as {value.dtype}")
        return problems

    def description(self) -> dict[str, str]:
        """Return engine, version and the settings that change speed, read back from the network."""
        options = self._net.opt
        return {
            "runtime": "ncnn",
            "version": ncnn.__version__,
            "converter": f"pnnx {importlib.metadata.version('pnnx')}",
            "threads": str(options.num_threads),
            "winograd": "on" if options.use_winograd_convolution else "off",
            "packing": "on" if options.use_packing_layout else "off",
        }


open_session = NcnnSession
