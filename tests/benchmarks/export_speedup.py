"""How much faster the graph that ONNX Runtime gets is than the one torch's exporter leaves, in the same rounds.

Run from the repository: ``python -m tests.benchmarks.export_speedup``. Prints one line per model and ends with code 1
if an interval's lower end is below the limit.
"""

from __future__ import annotations

import argparse
import sys

from suite.errors import PASS, REGRESSION
from suite.latency.breakdown import measure_breakdown


def main() -> int:
    """Measure every model named and compare its speed-up with the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="mobileinst_topformer_base_640")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--limit", type=float, default=1.15)
    options = parser.parse_args()
    worst = float("inf")
    for name in options.models.split(","):
        found = measure_breakdown(name, rounds=options.rounds, with_layers=False)
        ratio = found.speedup
        worst = min(worst, ratio.low)
        print(
            f"{name}: {found.straightforward_cpu_ms:.1f} ms / {found.cpu_ms:.1f} ms = {ratio.value:.3f} "
            f"[{ratio.low:.3f}, {ratio.high:.3f}], {found.gmacs_per_s:.1f} of {found.product_gmacs_per_s:.1f} GMAC/s"
        )
    return PASS if worst >= options.limit else REGRESSION


if __name__ == "__main__":
    sys.exit(main())
