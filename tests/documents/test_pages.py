"""What README and docs print runs, and does what they say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from reference_model.config import find_checkpoint
from suite.cli import main
from suite.datasets.embedded import generate
from suite.datasets.shapes_scene import ShapesConfig
from tests.documents.blocks import REPOSITORY, Block, blocks, run

RUN_HERE = ("docs/api.md", "docs/deploy.md", "docs/own_data.md", "README.md", "docs/prior_art.md")
"""Pages whose blocks are run, the last in tests/suite/models/test_models.py."""
PAGES = sorted(str(path.relative_to(REPOSITORY)) for path in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what the pages' reader has: shapes, a photo, a clip, a checkpoint."""
    import cv2

    generate(tmp_path / "data" / "shapes", ShapesConfig(train_videos=1, val_videos=4))
    frames = sorted((tmp_path / "data" / "shapes" / "val" / "0003").iterdir())
    shutil.copy(find_checkpoint("shapes"), tmp_path / "model.safetensors")
    first = Image.open(frames[0]).convert("RGB")
    for name in ("photo.jpg", "photo.png", "photo.ppm"):
        first.save(tmp_path / name)
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, first.size)
    for frame in frames:
        writer.write(np.ascontiguousarray(np.asarray(Image.open(frame).convert("RGB"))[:, :, ::-1]))
    writer.release()
    monkeypatch.chdir(tmp_path)
    shutil.copy("data/shapes/annotations/instances_val.json", "instances_val2017.json")
    shutil.copytree("data/shapes/val", "val2017")
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_says_why_not(page: str) -> None:
    untested = [block.text for block in blocks(page) if not (block.reason or page in RUN_HERE)]
    assert not untested


def test_the_examples_of_the_api(folder: Path) -> None:
    run("docs/api.md")
    assert Image.open("drawn.png").size == Image.open("photo.jpg").size
    assert json.loads(Path("results.json").read_text())[0]["image_id"] == 397133


def predicted_labels(picture: str, capsys: pytest.CaptureFixture[str]) -> np.ndarray:
    """`predict`'s masks as the programs write them: in each pixel the number of its best instance, 0 for none."""
    capsys.readouterr()
    assert main(["predict", picture, "--json"]) == 0
    (source,) = json.loads(capsys.readouterr().out)["sources"]
    labels = np.zeros((source["height"], source["width"]), np.uint8)
    for number, one in enumerate(source["instances"], 1):
        labels[coco_mask.decode(one["segmentation"]).astype(bool) & (labels == 0)] = number
    assert labels.max() > 1
    return labels


def build_with_ncnn() -> Path:
    """Build the page's C++ program with the ncnn that CMake finds, else with a stand-in for its header."""
    if not shutil.which("c++"):
        pytest.skip("no C++ compiler is here")
    if (
        shutil.which("cmake")
        and subprocess.run(["cmake", "-S", ".", "-B", "build"], capture_output=True).returncode == 0
    ):
        subprocess.run(["cmake", "--build", "build"], check=True)
        return Path("build/segment").resolve()
    here = Path(__file__).parent
    paths = [f'-D{name}="{path}"' for name, path in (("PYTHON", sys.executable), ("RUN_NCNN", here / "run_ncnn.py"))]
    words = ["-std=c++17", "-O2", "-Wall", "-Wextra", f"-I{here}", *paths, "segment.cpp", "-o", "segment"]
    subprocess.run(["c++", *words], check=True)
    return Path("segment").resolve()


@pytest.mark.slow
def test_the_programs_without_torch_find_predict_s_masks(
    folder: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("docs/deploy.md")
    assert "torch" not in Path("segment.py").read_text() + Path("segment.cpp").read_text()
    program = build_with_ncnn()
    for name in ("real.png", "real.ppm"):
        Image.open(shared_data / "coco_mini" / "val2017" / "000000005001.jpg").save(name)
    # Where a picture shrinks, torch and Pillow round a few of its 8-bit values differently.
    for name, equal in (("photo", 1), ("real", 0.999)):
        expected = predicted_labels(f"{name}.png", capsys)
        subprocess.run([sys.executable, "segment.py", "model.onnx", f"{name}.png"], check=True)
        assert (np.asarray(Image.open("labels.png")) == expected).mean() >= equal
        subprocess.run([program, "model.ncnn.param", "model.ncnn.bin", f"{name}.ppm"], check=True)
        assert (np.asarray(Image.open("labels.pgm")) == expected).mean() >= equal


@pytest.mark.slow
def test_the_commands_of_the_readme(folder: Path) -> None:
    run("README.md")
    drawn = {str(path) for folder in ("drawn", "own") for path in Path(folder).iterdir()}
    assert drawn >= {"drawn/0003.mp4", "own/photo.png", "own/clip.mp4", "own/instances.json"}


SMALL = """model = "mobileinst_topformer_tiny_shapes"
iterations = 1
threads = 1
resizing = { short_sides_px = [64], long_side_px = 96 }
"""


def relabelled(source: Path, kind: str, count: int) -> None:
    """Write the annotations of some images or videos of real data as two categories of ids 9 and 4."""
    content = json.loads(source.read_text())
    seen = [item[f"{kind}_id"] for item in content["annotations"]]
    units = [unit for unit in content[f"{kind}s"] if unit["id"] in seen][:count]
    ids = {unit["id"] for unit in units}
    known = [
        item | {"category_id": 9 if item["category_id"] % 2 else 4}
        for item in content["annotations"]
        if item[f"{kind}_id"] in ids
    ]
    categories = [{"id": 9, "name": "odd"}, {"id": 4, "name": "even"}]
    name = "mine.json" if kind == "image" else "clip.json"
    Path(name).write_text(json.dumps({f"{kind}s": units, "categories": categories, "annotations": known}))


@pytest.mark.slow
def test_photographs_and_a_clip_of_your_own_from_annotations_to_masks(
    folder: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(folder))
    relabelled(shared_data / "coco_mini/annotations/instances_val2017.json", "image", 10)
    relabelled(shared_data / "ytvis_mini/train.json", "video", 2)
    shutil.copytree(shared_data / "coco_mini/val2017", "photos")
    shutil.copytree(shared_data / "ytvis_mini/train/JPEGImages", "frames")
    shutil.copy(sorted(Path("photos").iterdir())[-1], "eleventh.jpg")

    def small(page: str) -> Iterator[Block]:
        for block in blocks(page):
            text = block.text.replace("iterations = 2000\n", SMALL).replace("evaluations = 4", "evaluations = 1")
            for name in ("coco", "youtube-vis-2019"):
                for made in Path("runs").glob(f"{name}/*"):
                    text = text.replace(f"runs/{name}/NAME", str(made))
            yield block._replace(text=text)

    monkeypatch.setattr("tests.documents.blocks.blocks", small)
    run("docs/own_data.md")
    assert {path.name for path in Path("drawn").iterdir()} >= {"eleventh.png", "clip.mp4"}
    for results in ("results.json", "tracks.json"):
        assert {item["category_id"] for item in json.loads(Path(results).read_text())} <= {4, 9}


@pytest.mark.slow
def test_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the extra dev is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra dev is not installed")
    scripts = tmp_path / "bin"
    scripts.mkdir()
    command = scripts / "mobileinst-suite"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m suite "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path))
    notebook = nbformat.read(REPOSITORY / "docs" / "tour.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [str(cell.get("outputs", "")) for cell in notebook.cells]
    assert "ring" in printed[3]
    assert "parity with torch" in printed[7]
    assert "66." in printed[9]  # mask AP of the model card
    assert "table1/mobileinst-topformer-base-640/ap" in printed[11]
