"""Run ncnn's Python package for `net.h`: PARAM BIN, input in in0.f32, outputs into outN.f32 after their w, h, c."""

import sys
from pathlib import Path

import ncnn
import numpy as np

net = ncnn.Net()
net.load_param(sys.argv[1])
net.load_model(sys.argv[2])
with net.create_extractor() as extractor:
    image = np.fromfile("in0.f32", np.float32).reshape(3, 128, 192)
    extractor.input("in0", ncnn.Mat(image))
    for number in (0, 1, 4):
        mat = extractor.extract(f"out{number}")[1]
        sides = np.array([mat.w, mat.h, mat.c], np.int32)
        Path(f"out{number}.f32").write_bytes(sides.tobytes() + np.array(mat).tobytes())
