"""What one core can do at best, measured through the engine that runs the networks: a large fp32 matrix product."""

from __future__ import annotations

import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from suite.export.runtimes.onnxruntime_cpu import PROVIDER
from suite.latency.timer import Candidate
from suite.latency.timing import Labels

PRODUCT_SIDE = 2048
COPIED_BYTES = 1 << 27


def product_macs() -> int:
    """Return the multiply-accumulates of the product that `product_candidate` runs."""
    return PRODUCT_SIDE**3


def product_candidate() -> Candidate:
    """Return a product of two square fp32 matrices on one thread of ONNX Runtime, as something to be timed."""
    generator = np.random.default_rng(0)
    side = [PRODUCT_SIDE, PRODUCT_SIDE]
    weights = numpy_helper.from_array(generator.standard_normal(side, dtype=np.float32), "weights")
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    values = [helper.make_tensor_value_info(value, TensorProto.FLOAT, side) for value in ("x", "y")]
    graph = helper.make_graph([node], "product", values[:1], values[1:], [weights])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(proto)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=[PROVIDER])
    base = generator.standard_normal(side, dtype=np.float32)

    def fresh(index: int) -> np.ndarray:
        base[0, 0] = index
        return base

    labels = Labels("matrix product", "network", "onnxruntime", "fp32", PRODUCT_SIDE, PRODUCT_SIDE)
    return Candidate(labels, lambda x: session.run(None, {"x": x}), fresh)


def copy_speed(repeats: int = 5) -> float:
    """Return how many GB a second one core moves (read and written) when it copies an array larger than its caches."""
    source = np.ones(COPIED_BYTES // 8)
    target = np.empty_like(source)
    fastest = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        np.copyto(target, source)
        fastest = min(fastest, time.process_time() - started)
    return 2 * COPIED_BYTES / fastest / 1e9
