"""Run by an emulated aarch64 Python: one inference of an ncnn graph between two calls of sched_yield.

Arguments: the ``.param`` file, ``fp16`` or ``fp32``, and the shape of every input as WIDTHxHEIGHTxCHANNELS. Weights are
zeros, which take as many instructions as any others; they are transformed for the kernels while the graph is loaded.
"""

from __future__ import annotations

import os
import sys

import ncnn


def main(param: str, precision: str, shapes: list[str]) -> None:
    """Load the graph, run it once between the two calls, and end without freeing anything."""
    half = precision == "fp16"
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = half
    net.opt.use_bf16_storage = False
    if net.load_param(param) or net.load_model(ncnn.DataReaderFromEmpty()):
        sys.exit(f"{param}: ncnn cannot load it")
    inputs = [ncnn.Mat(*map(int, shape.split("x"))) for shape in shapes]
    for values in inputs:
        values.fill(0.01)
    os.sched_yield()
    extractor = net.create_extractor()
    for name, values in zip(net.input_names(), inputs, strict=True):
        extractor.input(name, values)
    codes = [extractor.extract(name)[0] for name in net.output_names()]
    os.sched_yield()
    if any(codes):
        sys.exit(f"{param}: ncnn cannot compute all outputs (codes {codes})")
    print(ncnn.__version__, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
