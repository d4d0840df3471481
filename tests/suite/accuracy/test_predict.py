from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from reference_model.config import get_config
from reference_model.images import Detection
from reference_model.mobileinst import MobileInst
from reference_model.tracking import Track
from reference_model.weights import save_checkpoint
from suite.accuracy.mask_ap import score_coco
from suite.accuracy.part_file import part_path
from suite.accuracy.predict import predict_dataset, protocol_path
from suite.accuracy.segmenter import PredictionProtocol, ReferenceSegmenter
from suite.cli import main
from suite.datasets.coco import CocoDataset
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import DataError, InputError

torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parents[3]
AMOUNT = 24
CONFIG = get_config("mobileinst_topformer_tiny_shapes")


@pytest.fixture(scope="module")
def model() -> MobileInst:
    torch.manual_seed(0)
    return MobileInst(CONFIG).eval()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, model: MobileInst) -> Path:
    """A folder with noise images of two shapes, annotation files over them and a checkpoint."""
    folder = tmp_path_factory.mktemp("predict")
    rng = np.random.default_rng(0)
    categories = [{"id": 10 + n, "name": f"name {n}"} for n in range(CONFIG.num_classes)]
    images, videos = [], []
    for number in range(AMOUNT):
        height, width = (48, 72) if number % 3 else (80, 60)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)).resize((width, height))
        coarse.save(folder / f"{number}.png")
        images.append({"id": 100 - number, "file_name": f"{number}.png", "height": height, "width": width})
    for number in range(4):
        names = [f"{3 * number + 1}.png", f"{3 * number + 2}.png"] * 2
        videos.append({"id": 9 - number, "file_names": names, "length": 4, "height": 48, "width": 72})
    for name, key, items in (("coco", "images", images), ("videos", "videos", videos)):
        document = {key: items, "categories": categories, "annotations": []}
        (folder / f"{name}.json").write_text(json.dumps(document))
    save_checkpoint(folder / "model.safetensors", model, CONFIG, {})
    return folder


class Interrupted(ReferenceSegmenter):
    """The reference model, until somebody presses Ctrl-C."""

    def __init__(self, model: MobileInst, limit: int) -> None:
        super().__init__(model, CONFIG)
        self.limit, self.calls = limit, 0

    def segment(self, image: NDArray[np.uint8]) -> list[Detection]:
        if self.calls == self.limit:
            raise KeyboardInterrupt
        self.calls += 1
        return super().segment(image)


def words(data: Path, task: str, out: Path) -> list[str]:
    annotations = data / ("coco.json" if task == "coco" else "videos.json")
    options = {"--checkpoint": data / "model.safetensors", "--annotations": annotations, "--images": data, "--out": out}
    return ["predict", task, *(str(word) for pair in options.items() for word in pair)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **more}


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory, model: MobileInst) -> dict[str, bytes]:
    """The results of undisturbed runs."""
    folder = tmp_path_factory.mktemp("finished")
    segmenter = ReferenceSegmenter(model, CONFIG)
    predict_dataset(segmenter, CocoDataset.load(data / "coco.json", data), folder / "coco", quiet=True)
    predict_dataset(segmenter, YoutubeVisDataset.load(data / "videos.json", data), folder / "videos", quiet=True)
    return {"coco": (folder / "coco").read_bytes(), "youtube-vis": (folder / "videos").read_bytes()}


def test_results_are_official(data: Path, finished: dict[str, bytes]) -> None:
    results = json.loads(finished["coco"])
    assert len(results) > AMOUNT
    order = list(dict.fromkeys(result["image_id"] for result in results))
    assert order == sorted(order, reverse=True)
    assert all(set(result) == {"image_id", "category_id", "segmentation", "score"} for result in results)
    assert {result["category_id"] for result in results} <= set(range(10, 10 + CONFIG.num_classes))
    (data / "again.json").write_bytes(finished["coco"])
    score = score_coco(data / "coco.json", data / "again.json")
    assert score.counts["results"] == len(results)
    tracks = json.loads(finished["youtube-vis"])
    assert all(len(track["segmentations"]) == 4 for track in tracks)
    assert max(sum(track["video_id"] == number for track in tracks) for number in range(6, 10)) <= 10
    for result in results + tracks:
        assert result["score"] == float(str(np.float32(result["score"])))


def test_killed_and_resumed(data: Path, tmp_path: Path, finished: dict[str, bytes]) -> None:
    """Kill -9 in the middle; then the last line is torn as by a full disk, and the command is repeated."""
    out = tmp_path / "results.json"
    part = part_path(out)
    process = subprocess.Popen(
        [sys.executable, "-m", "suite", *words(data, "coco", out)], env=environment(), stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 1200
    while not part.exists() or part.read_bytes().count(b"\n") < 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    lines = part.read_bytes().splitlines(keepends=True)
    assert 4 <= len(lines) <= AMOUNT
    part.write_bytes(b"".join(lines[:-1]) + lines[-1][:-9])
    assert main(words(data, "coco", out)) == 0
    assert out.read_bytes() == finished["coco"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "results.protocol.json"]


def test_only_what_is_missing_is_predicted_and_nothing_of_another_protocol_is_kept(
    data: Path, tmp_path: Path, finished: dict[str, bytes], model: MobileInst
) -> None:
    dataset = CocoDataset.load(data / "coco.json", data)
    segmenter = Interrupted(model, 7)
    with pytest.raises(KeyboardInterrupt):
        predict_dataset(segmenter, dataset, tmp_path / "results.json", quiet=True)
    segmenter.limit = 1000
    predict_dataset(segmenter, dataset, tmp_path / "results.json", quiet=True)
    assert segmenter.calls == AMOUNT
    assert (tmp_path / "results.json").read_bytes() == finished["coco"]
    segmenter.limit = AMOUNT + 5
    with pytest.raises(KeyboardInterrupt):
        predict_dataset(segmenter, dataset, tmp_path / "results.json", quiet=True)
    segmenter.limit = 1000
    segmenter.protocol = PredictionProtocol(96, 192, 64)
    predict_dataset(segmenter, dataset, tmp_path / "results.json", quiet=True)
    assert segmenter.calls == AMOUNT + 5 + AMOUNT
    assert (tmp_path / "results.json").read_bytes() != finished["coco"]


def test_a_run_goes_on_with_no_other_pictures(data: Path, tmp_path: Path, model: MobileInst) -> None:
    other = tmp_path / "other"
    shutil.copytree(data, other)
    for path in other.glob("*.png"):
        Image.fromarray(np.ascontiguousarray(np.asarray(Image.open(path))[:, ::-1])).save(path)
    segmenter = Interrupted(model, 7)
    with pytest.raises(KeyboardInterrupt):
        predict_dataset(segmenter, CocoDataset.load(data / "coco.json", other), tmp_path / "results.json", quiet=True)
    segmenter.limit = 1000
    copied = CocoDataset.load(Path(shutil.copy(data / "coco.json", tmp_path)), data)
    predict_dataset(segmenter, copied, tmp_path / "results.json", quiet=True)
    assert segmenter.calls == 7 + AMOUNT


@pytest.mark.parametrize("name", ["coco.json", "model.safetensors", "0.png"])
def test_nothing_that_is_read_is_written_over(data: Path, tmp_path: Path, refused: Any, name: str) -> None:
    shutil.copytree(data, tmp_path / "data")
    path = tmp_path / "data" / name
    before = path.read_bytes()
    (tmp_path / "link.json").symlink_to(path)
    for out in (path, tmp_path / "link.json"):
        assert str(out) in refused(["predict", *words(tmp_path / "data", "coco", out)[1:]], 2)
    assert path.read_bytes() == before


def in_two_processes(commands: list[list[str]], exit_code: int = 0) -> list[str]:
    """Run a command in each of two processes, in the environment that torchrun gives them; return what they print."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "suite", *command],
            env=environment(RANK=str(rank), LOCAL_RANK=str(rank), **common),
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank, command in enumerate(commands)
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [exit_code] * 2
    return outputs


def test_two_processes_write_what_one_writes(data: Path, tmp_path: Path, finished: dict[str, bytes]) -> None:
    out = tmp_path / "results.json"
    first, second = in_two_processes([[*words(data, "coco", out), "--json"]] * 2)
    assert out.read_bytes() == finished["coco"]
    assert json.loads(first)["protocol"]["task"] == "coco"
    assert second == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "results.protocol.json"]


@pytest.mark.slow
def test_torchrun_starts_two_processes(data: Path, tmp_path: Path, finished: dict[str, bytes]) -> None:
    out = tmp_path / "results.json"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "suite"]
    subprocess.run([*launch, *words(data, "youtube-vis", out)], env=environment(), check=True)
    assert out.read_bytes() == finished["youtube-vis"]


@pytest.mark.slow
def test_processes_without_a_shared_folder_are_refused(data: Path, tmp_path: Path) -> None:
    outs = [tmp_path / str(rank) / "results.json" for rank in range(2)]
    in_two_processes([words(data, "coco", out) for out in outs], exit_code=2)
    assert not any(out.exists() for out in outs)


class Painter:
    """Another model: finds one square of a class that the dataset does not have, and one that it has."""

    name, num_classes, categories = "painter", 9, None
    protocol = PredictionProtocol(64, 64, 64)

    def digest(self) -> str:
        return "painter"

    def segment(self, image: NDArray[np.uint8]) -> list[Detection]:
        mask = np.zeros(image.shape[:2], np.bool_)
        mask[:10, :10] = True
        return [Detection(8, 0.9, mask), Detection(0, 0.8, mask)]

    def track(self, frames: Iterable[NDArray[np.uint8]]) -> list[Track]:
        masks = [self.segment(frame)[0].mask if place % 2 else None for place, frame in enumerate(frames)]
        return [Track(8, 0.9, masks), Track(1, 0.8, masks)]


def test_any_model_can_be_used_and_foreign_classes_are_dropped_with_a_caution(data: Path, tmp_path: Path) -> None:
    images, videos = CocoDataset.load(data / "coco.json", data), YoutubeVisDataset.load(data / "videos.json", data)
    with pytest.raises(InputError):
        predict_dataset(Painter(), images, tmp_path / "a.json", quiet=True)
    caution = predict_dataset(Painter(), images, tmp_path / "a.json", quiet=True, by_position=True)
    assert "painter" in (caution or "")
    results = json.loads((tmp_path / "a.json").read_bytes())
    assert [result["category_id"] for result in results] == [10] * AMOUNT
    predict_dataset(Painter(), videos, tmp_path / "b.json", quiet=True, by_position=True)
    tracks = json.loads((tmp_path / "b.json").read_bytes())
    assert [[code is None for code in track["segmentations"]] for track in tracks] == [[True, False] * 2] * 4
    made = json.loads(protocol_path(tmp_path / "b.json").read_bytes())
    assert made["caution"] == caution
    assert made["protocol"]["short_side_px"] == 64


def bad(name: str, change: Any, exit_code: int, text: str) -> Any:
    return pytest.param(change, exit_code, text, id=name)


@pytest.mark.parametrize(
    ("change", "exit_code", "text"),
    [
        bad("no checkpoint", {"--checkpoint": "none.safetensors"}, 2, "none.safetensors"),
        bad("broken checkpoint", {"--checkpoint": "coco.json"}, 2, "coco.json"),
        bad("no annotations", {"--annotations": "none.json"}, 4, "none.json"),
        bad("no folder", {"--images": "nowhere"}, 4, "nowhere"),
        bad("no image", {"--images": "empty"}, 4, "no such image"),
        bad("both models", {"--onnx": "model.safetensors"}, 2, "--checkpoint"),
        bad("no model", {"--checkpoint": None}, 2, "--checkpoint"),
        bad("no graph", {"--checkpoint": None, "--onnx": "none.onnx"}, 4, "none.onnx"),
        bad("broken graph", {"--checkpoint": None, "--onnx": "coco.json"}, 2, "coco.json"),
        bad("sides", {"--short-side": "500"}, 2, "192"),
        bad("folder for file", {"--out": "empty"}, 2, "empty"),
    ],
)
def test_bad_input_is_one_line(
    data: Path, refused: Any, change: dict[str, Any], exit_code: int, text: str, tmp_path: Path
) -> None:
    (data / "empty").mkdir(exist_ok=True)
    command = words(data, "coco", tmp_path / "results.json")
    given = dict(zip(command[2::2], command[3::2], strict=True))
    paths = {"--checkpoint", "--annotations", "--images", "--onnx", "--out"}
    for option, value in change.items():
        given[option] = value if value is None or option not in paths else str(data / value)
    flat = [word for option, value in given.items() if value is not None for word in (option, value)]
    assert text in refused(["predict", "coco", *flat], exit_code)
    assert not (tmp_path / "results.json").exists()


def test_an_image_of_another_size_is_named(data: Path, tmp_path: Path, model: MobileInst) -> None:
    document = json.loads((data / "coco.json").read_text())
    document["images"][3]["height"] += 1
    (tmp_path / "coco.json").write_text(json.dumps(document))
    dataset, segmenter = CocoDataset.load(tmp_path / "coco.json", data), ReferenceSegmenter(model, CONFIG)
    with pytest.raises(InputError, match=r"3\.png"):
        predict_dataset(segmenter, dataset, tmp_path / "results.json", quiet=True)
    document["images"][3].update(height=80, file_name="none.png")
    (tmp_path / "coco.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"none\.png"):
        predict_dataset(
            segmenter, CocoDataset.load(tmp_path / "coco.json", data), tmp_path / "results.json", quiet=True
        )
