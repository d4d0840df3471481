"""ONNX Runtime's sessions side by side in one process: they share memory, not results."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from suite.export.artifact import GraphArtifact, read_reference
from suite.export.runtime import open_session

SIDE_PX, CHANNELS = 512, 32
MAP_MIB = SIDE_PX * SIDE_PX * CHANNELS * 4 // 2**20
GROWTH = """
import pathlib, sys
import numpy as np
from suite.export.runtime import open_session

def resident_mib():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024

image = np.zeros((1, 1, int(sys.argv[2]), int(sys.argv[2])), np.float32)
held = []
for _ in range(6):
    session = open_session("onnxruntime_cpu", pathlib.Path(sys.argv[1]))
    for _ in range(3):
        session.run({"image": image})
    held.append((session, resident_mib()))
print(held[-1][1] - held[0][1])
"""


def test_outputs_that_are_held_outlive_the_runs_of_other_sessions(make_graph: Callable[..., GraphArtifact]) -> None:
    artifacts = [make_graph(f"graph{channels}", channels) for channels in (8, 16, 8)]
    sessions = [open_session("onnxruntime_cpu", artifact.path) for artifact in artifacts]
    assert {session.description()["arena"] for session in sessions} == {"one for all sessions"}
    held = []
    for artifact, session in [*zip(artifacts, sessions, strict=True)] * 3:
        inputs, expected = read_reference(artifact)
        held.append((session.run(inputs)["mask_logits"], expected["mask_logits"]))
    del sessions[0]
    for ours, theirs in held:
        np.testing.assert_allclose(ours.astype(np.float64), theirs.astype(np.float64), atol=1e-5)


def test_further_sessions_need_no_further_memory_for_intermediate_tensors(tmp_path: Path) -> None:
    repeats = helper.make_tensor("repeats", TensorProto.INT64, [4], [1, CHANNELS, 1, 1])
    nodes = [
        helper.make_node("Tile", ["image", "repeats"], ["map0"]),
        helper.make_node("Erf", ["map0"], ["map1"]),
        helper.make_node("Sin", ["map1"], ["map2"]),
        helper.make_node("ReduceMean", ["map2"], ["mean"], keepdims=1),
    ]
    graph = helper.make_graph(
        nodes,
        "large maps",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1, 1, 1, 1])],
        [repeats],
    )
    path = tmp_path / "maps.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(path), str(SIDE_PX)], capture_output=True, text=True, check=True
    )
    # Five further sessions: with an arena of its own, each would hold its maps once, from its second run on twice.
    assert int(done.stdout) < 2 * MAP_MIB
