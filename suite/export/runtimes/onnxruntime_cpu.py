"""ONNX Runtime on one CPU thread: the suite's reference runtime.

Fastest of seven engines on MobileNetV2 features at 640x640, one core; IO binding, spinning and denormal settings change
nothing beyond noise, so they are left alone.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import onnxruntime

from suite.export.artifact import graph_problems, read_graph
from suite.export.runtime import PROVIDER, Arrays, cpu_session

GRAPH_FORM = "onnxruntime"
BFLOAT16_GEMM = "mlas.enable_gemm_fastmath_arm64_bfloat16"
SHARED_ARENA = "session.use_env_allocators"


@functools.cache
def _share_arena() -> None:
    """Give all sessions of this process one memory arena.

    Each session keeps an arena of its own otherwise, which after two runs holds twice the graph's intermediate tensors
    (the first run finds out what is needed, the second takes it in one piece beside that) and gives nothing back.
    Sessions that run one after the other can use the same memory; it stays mapped between runs as before.
    """
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(place, None)


class OnnxRuntimeSession:
    """A graph loaded with all optimisations, one thread, the CPU provider only.

    The graph that ONNX Runtime made of it is written out once and inspected, so that fp32 is seen in what runs, not in
    what was asked for.

    Raises:
        InputError: if the file is absent, not ONNX, or ONNX Runtime refuses it.
    """

    def __init__(self, graph: Path) -> None:
        _share_arena()
        self._problems = graph_problems(read_graph(graph), "exported graph")
        with tempfile.TemporaryDirectory() as folder:
            optimised = Path(folder) / "optimised.onnx"
            self._session = cpu_session(
                graph,
                entries={BFLOAT16_GEMM: "0", SHARED_ARENA: "1"},
                execution_mode=onnxruntime.ExecutionMode.ORT_SEQUENTIAL,
                graph_optimization_level=onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
                optimized_model_filepath=str(optimised),
            )
            self._problems += graph_problems(read_graph(optimised), "optimised graph")
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Arrays) -> Arrays:
        """Run the graph: inputs by name give all outputs by name."""
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))

    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every input by name."""
        return {value.name: tuple(value.shape) for value in self._session.get_inputs()}

    def precision_problems(self) -> list[str]:
        """Return what is not fp32 in the exported graph, the optimised graph and the session's settings."""
        problems = list(self._problems)
        for value in (*self._session.get_inputs(), *self._session.get_outputs()):
            if value.type not in ("tensor(float)", "tensor(int64)", "tensor(bool)"):
                problems.append(f"session has {value.name} as {value.type}")
        if self._session.get_session_options().get_session_config_entry(BFLOAT16_GEMM) != "0":
            problems.append("session may multiply matrices in bfloat16")
        if self._session.get_providers() != [PROVIDER]:
            problems.append(f"session runs on {self._session.get_providers()}")
        return problems

    def description(self) -> dict[str, str]:
        """Return engine, version and the settings that change speed, read back from the session."""
        options = self._session.get_session_options()
        return {
            "runtime": "onnxruntime",
            "version": onnxruntime.__version__,
            "provider": ",".join(self._session.get_providers()),
            "optimisation": str(options.graph_optimization_level).rpartition(".")[2],
            "graph_form": self._session.get_modelmeta().custom_metadata_map.get("form", "as given"),
            "threads": f"{options.intra_op_num_threads} intra, {options.inter_op_num_threads} inter",
            "arena": "one for all sessions" if options.get_session_config_entry(SHARED_ARENA) == "1" else "its own",
        }


open_session = OnnxRuntimeSession
