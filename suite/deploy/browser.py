"""A page that runs the shipped model in a browser: ``python -m suite.deploy.browser OUT NODE_MODULES``.

The folder is served as it is, e.g. ``python -m http.server -d OUT``; nothing comes from another host.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from reference_model.config import find_checkpoint
from reference_model.images import IMAGE_MEAN, IMAGE_STD, Thresholds
from suite.datasets.embedded import generate
from suite.datasets.shapes_scene import ShapesConfig
from suite.deploy.exported import export_files
from suite.errors import DataError
from suite.files import write_json

RUNTIME_VERSION = "1.30.0"
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.mjs")
"""What the page needs of the npm package onnxruntime-web, and its version."""


def build_page(out: Path, node_modules: Path) -> None:
    """Write the page: graphs of key frames and of frames between them, a generated clip, ONNX Runtime for the web.

    Args:
        out: its folder; files of the same names are replaced.
        node_modules: where ``npm install onnxruntime-web`` put the package.

    Raises:
        DataError: if the package is not there.
    """
    runtime = node_modules / "onnxruntime-web" / "dist"
    missing = [name for name in RUNTIME if not (runtime / name).is_file()]
    if missing:
        raise DataError(f"{runtime}: has no {missing[0]}; run 'npm install onnxruntime-web@{RUNTIME_VERSION}'")
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = find_checkpoint("shapes")
    for part in ("key_frame", "frame"):
        done = export_files(out / f"{part}.onnx", "onnx", checkpoint, part=part)
    for name in RUNTIME:
        shutil.copy(runtime / name, out)
    shutil.copy(Path(__file__).with_name("try.html"), out / "index.html")
    with tempfile.TemporaryDirectory() as name:
        generate(Path(name), ShapesConfig(train_videos=1, val_videos=4))
        frames = sorted((Path(name) / "val" / "0003").glob("*.png"))
        for frame in frames:
            shutil.copy(frame, out)
        rows, columns = map(int, done.metadata["input_size"].split("x"))
        facts = {
            "rows": rows,
            "columns": columns,
            "mean": IMAGE_MEAN,
            "std": IMAGE_STD,
            "mask_threshold": Thresholds().mask,
            "names": json.loads(done.metadata["categories"])["names"],
            "frames": [frame.name for frame in frames],
        }
    write_json(out / "model.json", facts)


if __name__ == "__main__":
    build_page(Path(sys.argv[1]), Path(sys.argv[2]))
