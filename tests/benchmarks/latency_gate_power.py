"""How often the latency gate catches a planted slowdown, and how often it cries wolf at unchanged code.

Run from the repository: ``python -m tests.benchmarks.latency_gate_power``. Each try is a measurement of its own by the
gate's own protocol and tolerance. Ends with code 1 if fewer than nine tenths of the slowdowns are caught or more than
one in twenty unchanged tries is called slower, 3 if tries could not be measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys

from suite.errors import NOTHING_MEASURED, PASS, REGRESSION
from suite.latency.device import load_device
from suite.latency.gate import judge_ratio, load_gate
from suite.latency.host import measure_makers
from suite.latency.prepare import prepare_model
from suite.latency.spans import build_candidates
from tests.benchmarks.planted import slowed


def main() -> int:
    """Run the tries and print each of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mobileinst_topformer_tiny_shapes")
    parser.add_argument("--extra-share", type=float, default=0.10)
    parser.add_argument("--planted", type=int, default=10)
    parser.add_argument("--unchanged", type=int, default=20)
    options = parser.parse_args()
    rules = load_gate()
    protocol = load_device("host").protocol(rules.protocol)
    timed = prepare_model(options.model).timed
    baseline = dataclasses.replace(timed, name=f"{timed.name} baseline")
    anchor = functools.partial(build_candidates, baseline, protocol)
    counts = {}
    for kind, tries, extra in (
        ("planted", options.planted, options.extra_share),
        ("unchanged", options.unchanged, 0.0),
    ):
        subject = functools.partial(slowed, extra, timed, protocol)
        if not extra:
            subject = functools.partial(build_candidates, timed, protocol)
        words = []
        for number in range(tries):
            word, ratio, reason = judge_ratio(measure_makers([anchor, subject], protocol), rules.tolerance)
            words.append(word)
            interval = f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
            print(f"{kind} {number + 1}: {word} {reason or interval}", flush=True)
        counts[kind] = words
    caught, alarms = (counts[kind].count("slower") for kind in ("planted", "unchanged"))
    unmeasured = sum(words.count("not measured") for words in counts.values())
    print(
        f"{options.extra_share:.0%} slower: caught {caught} of {options.planted}; unchanged: {alarms} false alarms of "
        f"{options.unchanged}; not measured: {unmeasured}"
    )
    if unmeasured:
        return NOTHING_MEASURED
    return PASS if caught >= 0.9 * options.planted and alarms <= options.unchanged / 20 else REGRESSION


if __name__ == "__main__":
    sys.exit(main())
