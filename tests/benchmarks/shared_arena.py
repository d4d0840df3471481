"""Whether the memory arena that ONNX Runtime's sessions share here changes a network's time: both kinds in one run.

Run from the repository: ``python -m tests.benchmarks.shared_arena``. Prints, for each model, CPU time with the shared
arena over that with the session's own, and ends with code 1 if an interval is clear of 1 by more than the limit.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime

from suite.errors import PASS, REGRESSION
from suite.export.runtime import open_session
from suite.export.runtimes.onnxruntime_cpu import PROVIDER
from suite.latency.device import load_device
from suite.latency.inputs import fresh_from
from suite.latency.pinning import idlest_core, pin_to
from suite.latency.prepare import prepare_apart
from suite.latency.timer import Candidate, time_candidates
from suite.latency.timing import Labels
from suite.records.difference import RatioInterval, ratio_of_medians


def with_its_own_arena(graph: Path) -> onnxruntime.InferenceSession:
    """Open a session as the suite does, but for the arena."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(graph), options, providers=[PROVIDER])


def compare(graph: Path, rounds: int) -> RatioInterval:
    """Time one graph in two sessions, shared arena over its own."""
    protocol = msgspec.structs.replace(load_device("host").protocol().with_samples(2 * rounds), warm_up_groups=1)
    own, shared = with_its_own_arena(graph), open_session("onnxruntime_cpu", graph)
    shape = shared.input_shapes()["image"]
    images = fresh_from([np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) for seed in range(4)])

    def labels(name: str) -> Labels:
        return Labels(name, "network", "onnxruntime", "fp32", *shape[2:])

    candidates = [
        Candidate(
            Labels("own", "network", "onnxruntime", "fp32", *shape[2:]),
            lambda image: own.run(None, {"image": image}),
            images,
        ),
        Candidate(
            Labels("shared", "network", "onnxruntime", "fp32", *shape[2:]),
            lambda image: shared.run({"image": image}),
            images,
        ),
    ]
    timings, _ = time_candidates(candidates, protocol)
    own_ms, shared_ms = (timing.cpu_ms for timing in timings)
    return ratio_of_medians(shared_ms, own_ms, protocol.interval_level, protocol.bootstrap_resamples, 0)


def main() -> int:
    """Compare every model named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="mobileinst_topformer_base_640,condinst_topformer_base_640")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--limit", type=float, default=0.02)
    options = parser.parse_args()
    graphs = {name: prepare_apart(name).timed.graphs["whole"].path for name in options.models.split(",")}
    pin_to(idlest_core())
    worst = 0.0
    for name, graph in graphs.items():
        ratio = compare(graph, options.rounds)
        worst = max(worst, ratio.low - 1, 1 - ratio.high)
        print(f"{name}: shared / own {ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]", flush=True)
    return PASS if worst <= options.limit else REGRESSION


if __name__ == "__main__":
    sys.exit(main())
