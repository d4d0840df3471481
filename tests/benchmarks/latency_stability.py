"""How much a latency ratio wanders from one measurement to the next while the other cores are busy.

Run from the repository: ``python -m tests.benchmarks.latency_stability``. Prints one line per repetition and the spread
(largest minus smallest ratio, over the smallest), and ends with code 1 if it reaches the limit, 3 if a repetition was
not valid.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Iterator

import msgspec

from suite.errors import NOTHING_MEASURED, PASS, REGRESSION
from suite.latency.device import load_device
from suite.latency.host import measure_host
from suite.latency.pinning import usable_cores
from suite.latency.prepare import prepare_model

BUSY = "import os, numpy as np\nos.sched_setaffinity(0, {{{core}}})\na = np.ones((700, 700))\nwhile True: a @ a"


@contextlib.contextmanager
def load_on(cores: list[int]) -> Iterator[None]:
    """Keep cores busy with matrix products, which also use the shared cache."""
    processes = [
        subprocess.Popen([sys.executable, "-c", BUSY.format(core=core)], env={"OMP_NUM_THREADS": "1"}) for core in cores
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> int:
    """Measure the ratio several times and print its spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mobileinst_topformer_base_640")
    parser.add_argument("--anchor", default="mobileinst_topformer_base_512")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=26)
    parser.add_argument("--limit", type=float, default=0.05)
    options = parser.parse_args()
    timed = [prepare_model(name).timed for name in (options.anchor, options.model)]
    protocol = msgspec.structs.replace(load_device("host").protocol(), min_samples=options.pairs)
    core, *others = reversed(usable_cores())
    ratios: dict[str, list[float]] = {"cpu": [], "wall": []}
    with load_on(others):
        for number in range(options.repetitions):
            result = measure_host(timed, protocol, core).results[1]
            if not result.valid:
                print(f"{number + 1}: {result.summary}")
                return NOTHING_MEASURED
            ratios["cpu"].append(result.ratio_cpu.value)
            ratios["wall"].append(result.ratio_wall.value)
            interval = f"[{result.ratio_cpu.low:.4f}, {result.ratio_cpu.high:.4f}]"
            print(
                f"{number + 1}: CPU ratio {result.ratio_cpu.value:.4f} {interval}, wall {result.ratio_wall.value:.4f}"
            )
    spreads = {clock: max(values) / min(values) - 1 for clock, values in ratios.items()}
    print(f"{options.model} / {options.anchor}: spread CPU {spreads['cpu']:.2%}, wall {spreads['wall']:.2%}")
    return PASS if max(spreads.values()) < options.limit else REGRESSION


if __name__ == "__main__":
    sys.exit(main())
