"""How much faster and smaller scoring is than the plain ways, at the size of COCO val2017 and YouTube-VIS 2019 valid.

Each side runs in a process of its own on the same synthetic files; CPU seconds, peak memory and their ratios are the
benchmark's extra information. Run with ``pytest tests/benchmarks/test_scoring.py --benchmark-only -s``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.suite.accuracy.cases import written

SIZE = (480, 640)
VIDEO_SIZE = (360, 640)
METER = """
import contextlib, io, json, resource, sys, time
from pathlib import Path
annotations, results = map(Path, sys.argv[1:3])
{imports}
start = time.process_time()
with contextlib.redirect_stdout(io.StringIO()):
    {code}
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([time.process_time() - start, usage.ru_maxrss / 1024, [float(value) for value in values]]))
"""
PYCOCOTOOLS = (
    "from pycocotools.coco import COCO; from pycocotools.cocoeval import COCOeval",
    "truth = COCO(str(annotations)); e = COCOeval(truth, truth.loadRes(str(results)), 'segm'); "
    "e.evaluate(); e.accumulate(); e.summarize(); values = e.stats",
)
HOTCOCO = (
    "import hotcoco",
    "truth = hotcoco.COCO(str(annotations)); e = hotcoco.COCOeval(truth, truth.load_res(str(results)), 'segm'); "
    "e.evaluate(); e.accumulate(); e.summarize(); values = e.stats",
)
OURS_COCO = (
    "import hotcoco; from suite.accuracy.mask_ap import score_coco",
    "values = score_coco(annotations, results).stats.values()",
)
OURS_VIDEO = (
    "from suite.accuracy.video_ap import score_youtube_vis",
    "values = score_youtube_vis(annotations, results).stats.values()",
)
PER_PAIR = (
    "from tests.benchmarks.test_scoring import per_pair_video_stats",
    "values = per_pair_video_stats(annotations, results)",
)


def blobs(rng: np.random.Generator, amount: int, size: tuple[int, int]) -> list[dict[str, Any]]:
    """Return compressed codes of wobbly ellipses, radius 8 to 200 px."""
    made = []
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    for _ in range(amount):
        radius = np.exp(rng.uniform(np.log(8), np.log(200))) * (1 + 0.2 * rng.standard_normal(16))
        x = np.clip(rng.uniform(0, size[1]) + radius * np.cos(angles), 0, size[1])
        y = np.clip(rng.uniform(0, size[0]) + radius * np.sin(angles), 0, size[0])
        code = coco_mask.frPyObjects([np.stack([x, y], 1).ravel().tolist()], *size)[0]
        made.append({"size": list(size), "counts": code["counts"].decode()})
    return made


def coco_files(folder: Path) -> tuple[Path, Path]:
    """Write 5000 images, about 36,000 objects and 500,000 detections, half of them on an object."""
    rng = np.random.default_rng(0)
    pool = blobs(rng, 4000, SIZE)
    areas = [int(coco_mask.area(code)) for code in pool]
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in range(1, 5001):
        shapes = rng.integers(0, len(pool), rng.integers(3, 12)).tolist()
        labels = rng.integers(1, 81, len(shapes)).tolist()
        annotations += [
            {
                "id": len(annotations) + place + 1,
                "image_id": image,
                "category_id": label,
                "segmentation": pool[shape],
                "area": areas[shape],
                "iscrowd": int(rng.random() < 0.01),
            }
            for place, (shape, label) in enumerate(zip(shapes, labels, strict=True))
        ]
        for score in rng.random(100).astype(np.float32).tolist():
            place = int(rng.integers(0, 2 * len(shapes)))
            known = place < len(shapes)
            results.append(
                {
                    "image_id": image,
                    "category_id": labels[place] if known else int(rng.integers(1, 81)),
                    "segmentation": pool[shapes[place] if known else int(rng.integers(0, len(pool)))],
                    "score": score,
                }
            )
    truth = {
        "images": [{"id": number, "height": SIZE[0], "width": SIZE[1]} for number in range(1, 5001)],
        "categories": [{"id": number, "name": str(number)} for number in range(1, 81)],
        "annotations": annotations,
    }
    return written(folder, truth, results)


def video_files(folder: Path) -> tuple[Path, Path]:
    """Write 302 videos of 28 frames, 1 to 4 objects in each, and 100 results for each video.

    As in YouTube-VIS, objects of one video are mostly of one category, and so are the results.
    """
    rng = np.random.default_rng(0)
    pool = blobs(rng, 3000, VIDEO_SIZE)
    areas = [int(coco_mask.area(code)) for code in pool]
    length = 28
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for video in range(1, 303):
        labels = rng.integers(1, 41, rng.integers(1, 5))
        labels = np.where(rng.random(len(labels)) < 0.7, labels[0], labels).tolist()
        tracks = []
        for label in labels:
            shapes = rng.integers(0, len(pool), length).tolist()
            tracks.append(shapes)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": video,
                    "category_id": label,
                    "segmentations": [pool[shape] for shape in shapes],
                    "areas": [areas[shape] for shape in shapes],
                    "iscrowd": 0,
                }
            )
        for score in rng.random(100).astype(np.float32).tolist():
            place = int(rng.integers(0, len(labels)))
            noise = rng.random(length) < rng.random()
            shapes = np.where(noise, rng.integers(0, len(pool), length), tracks[place]).tolist()
            results.append(
                {
                    "video_id": video,
                    "category_id": labels[place] if rng.random() < 0.7 else int(rng.integers(1, 41)),
                    "segmentations": [None if rng.random() < 0.1 else pool[shape] for shape in shapes],
                    "score": score,
                }
            )
    truth = {
        "videos": [
            {"id": number, "height": VIDEO_SIZE[0], "width": VIDEO_SIZE[1], "length": length}
            for number in range(1, 303)
        ],
        "categories": [{"id": number, "name": str(number)} for number in range(1, 41)],
        "annotations": annotations,
    }
    return written(folder, truth, results)


def per_pair_video_stats(annotations: Path, results: Path) -> list[float]:
    """Score plainly: two merges for every pair of tracks in every frame, then COCOeval's matching."""
    from pycocotools.cocoeval import COCOeval

    truth, found = (json.loads(path.read_text()) for path in (annotations, results))
    groups: list[Any] = [defaultdict(list), defaultdict(list)]
    for group, items in zip(groups, (truth["annotations"], found), strict=True):
        for number, item in enumerate(items, start=1):
            areas = item.get("areas") or [coco_mask.area(code) for code in item["segmentations"] if code]
            present = [area for area in areas if area]
            crowd = item.get("iscrowd", 0)
            item.update(id=number, area=np.mean(present) if present else 0, iscrowd=crowd, ignore=crowd)
            group[item["video_id"], item["category_id"]].append(item)

    def pair_iou(one: dict[str, Any], other: dict[str, Any]) -> float:
        inter = union = 0.0
        for a, b in zip(one["segmentations"], other["segmentations"], strict=True):
            if a and b:
                inter += float(coco_mask.area(coco_mask.merge([a, b], True)))
                union += float(coco_mask.area(coco_mask.merge([a, b], False)))
            elif a or b:
                union += float(coco_mask.area(a or b))
        return inter / union if union else 0.0

    class PerPair(COCOeval):  # type: ignore[misc]
        def _prepare(self) -> None:
            self._gts, self._dts = groups

        def computeIoU(self, imgId: int, catId: int) -> Any:  # noqa: N802, N803
            wanted, painted = groups[0][imgId, catId], groups[1][imgId, catId]
            order = np.argsort([-item["score"] for item in painted], kind="mergesort")[:100]
            if not wanted or not painted:
                return []
            return np.array([[pair_iou(painted[index], other) for other in wanted] for index in order])

    evaluator = PerPair(None, None, "segm")
    evaluator.params.imgIds = [item["id"] for item in truth["videos"]]
    evaluator.params.catIds = [item["id"] for item in truth["categories"]]
    evaluator.params.areaRng = [[0, 1e10], [0, 128**2], [128**2, 256**2], [256**2, 1e10]]
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return [float(value) for value in evaluator.stats]


def measured(program: tuple[str, str], paths: tuple[Path, Path]) -> tuple[float, float, list[float]]:
    """Run one side in a fresh process, hotcoco on one thread, and return CPU seconds, peak MB and the numbers."""
    script = METER.format(imports=program[0], code=program[1])
    root = str(Path(__file__).resolve().parents[2])
    environment = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, paths)], env=environment, capture_output=True, text=True, check=True
    )
    cpu_s, peak_mb, values = json.loads(done.stdout)
    return cpu_s, peak_mb, values


@pytest.mark.parametrize(
    ("ours", "plain", "files"),
    [
        pytest.param(OURS_COCO, PYCOCOTOOLS, coco_files, id="val2017 against pycocotools"),
        # What reading with every check costs beside the engine's own unchecked reading.
        pytest.param(OURS_COCO, HOTCOCO, coco_files, id="val2017 against the engine alone"),
        pytest.param(OURS_VIDEO, PER_PAIR, video_files, id="YouTube-VIS against merging every pair"),
    ],
)
def test_scoring(
    benchmark: Any,
    tmp_path: Path,
    ours: tuple[str, str],
    plain: tuple[str, str],
    files: Callable[[Path], tuple[Path, Path]],
) -> None:
    """Time our side as the benchmark and set the plain side beside it."""
    paths = files(tmp_path)
    cpu_s, peak_mb, values = benchmark.pedantic(measured, args=(ours, paths), rounds=1)
    plain_cpu_s, plain_peak_mb, plain_values = measured(plain, paths)
    assert values == pytest.approx(plain_values, abs=1e-12)
    benchmark.extra_info.update(
        cpu_s=cpu_s,
        peak_mb=peak_mb,
        plain_cpu_s=plain_cpu_s,
        plain_peak_mb=plain_peak_mb,
        cpu_ratio=plain_cpu_s / cpu_s,
        memory_ratio=peak_mb / plain_peak_mb,
    )
    print({key: round(value, 2) for key, value in benchmark.extra_info.items()})
