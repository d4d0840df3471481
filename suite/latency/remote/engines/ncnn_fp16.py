"""ncnn on a device in half precision, as TNN computes by default on ARM: rows of their own, never beside fp32.

The files are those of fp32, proved here in fp32; ncnn halves the weights as it loads them. That it really computes in
fp16 is seen in its options as read back and in the core's instructions: without them ncnn silently keeps to fp32.
"""

from __future__ import annotations

from suite.latency.remote.engine import Engine
from suite.latency.remote.engines.ncnn import describe

ENGINE = Engine(
    name="ncnn",
    host_runtime="ncnn_cpu",
    flags={
        "threads": "1",
        "vulkan": "off",
        "fp16_packed": "on",
        "fp16_storage": "on",
        "fp16_arithmetic": "on",
        "fp16_instructions": "on",
        "bf16_storage": "off",
        "int8_inference": "off",
    },
    describe=describe,
    precision="fp16",
    # Eleven bits of mantissa, summed over thousands of products.
    max_output_difference=5e-2,
)
