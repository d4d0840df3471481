"""HOTA and IDF1 by TrackEval, and TrackEval's own reading of YouTube-VIS files as an oracle of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from suite.accuracy.video_ap import score_youtube_vis
from suite.cli import main
from tests.suite.accuracy.cases import compressed, random_video, rectangle, uncompressed, written

trackeval = pytest.importorskip("trackeval", reason="the extra 'trackers' is not installed")


def evaluated(folder: Path, annotations: Any, results: Any) -> dict[str, Any]:
    """What TrackEval makes of both documents, written as it reads them, averaged over classes."""
    for place, video in enumerate(sorted(annotations["videos"], key=lambda video: video["id"])):
        video["file_names"] = [f"{place:03}/{frame}.jpg" for frame in range(video["length"])]
        for track in annotations["annotations"]:
            if track["video_id"] == video["id"]:
                # It reads masks of the ground truth only as lists of runs.
                runs = [code and uncompressed(coco_mask.decode(code) > 0) for code in track["segmentations"]]
                track |= {"height": video["height"], "width": video["width"], "segmentations": runs}
    for name, content in (("truth.json", annotations), ("ours/data/found.json", results)):
        path = folder / "youtube_vis_val" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    quiet = {"PRINT_CONFIG": False}
    places = {"GT_FOLDER": f"{folder}/", "TRACKERS_FOLDER": f"{folder}/", "TRACKERS_TO_EVAL": ["ours"]}
    dataset = trackeval.datasets.YouTubeVIS({**places, "SPLIT_TO_EVAL": "val", **quiet})
    dataset.global_tid_counter = 1  # its matching takes a result number 0 for none
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.Identity(quiet)]
    metrics.append(trackeval.metrics.TrackMAP({"USE_AREA_RANGES": False, "USE_TIME_RANGES": False, **quiet}))
    silent = ("PRINT_RESULTS", "PRINT_CONFIG", "TIME_PROGRESS", "OUTPUT_SUMMARY", "OUTPUT_DETAILED", "PLOT_CURVES")
    evaluator = trackeval.Evaluator(dict.fromkeys(silent, False))
    by_kind = evaluator.evaluate([dataset], metrics)[0]["YouTubeVIS"]["ours"]["COMBINED_SEQ"]
    averaged: dict[str, Any] = by_kind["cls_comb_cls_av"]
    return averaged


@pytest.mark.parametrize("seed", range(12))
def test_both_read_the_same_tracks_and_agree_in_every_number(tmp_path: Path, seed: int) -> None:
    annotations, results = random_video(seed)
    for track in annotations["annotations"]:
        track["iscrowd"] = 0  # it lets only one result match a crowd
    for track in [*annotations["annotations"], *results]:  # it counts a mask without pixels as an object that is there
        track["segmentations"] = [code if code and coco_mask.area(code) else None for code in track["segmentations"]]
    used = {track["category_id"] for track in annotations["annotations"]}
    annotations["categories"] = [entry for entry in annotations["categories"] if entry["id"] in used]
    results = [track for track in results if track["category_id"] in used]
    ours = score_youtube_vis(*written(tmp_path, annotations, results), hota_min_score=-1.0)
    theirs = evaluated(tmp_path, annotations, results)
    assert ours.stats["AP"] == pytest.approx(float(np.mean(theirs["TrackMAP"]["AP_all"])), abs=1e-12)
    for name, value in ours.tracking["class_averaged"].items():
        metric = "Identity" if name.startswith("ID") else "HOTA"
        assert value == pytest.approx(float(np.mean(theirs[metric][name])), abs=1e-12), name


def test_an_object_whose_track_breaks_in_the_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of its frames are one track's: association 1/2; without the weaker track half of it is found."""
    mask = compressed(rectangle(8, 8, 0, 0, 4, 4))
    tracks = [{"score": 0.9, "segmentations": [mask] * 2 + [None] * 2}]
    tracks += [{"score": 0.4, "segmentations": [None] * 2 + [mask] * 2}]
    annotations = {
        "videos": [{"id": 1, "height": 8, "width": 8, "length": 4}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "video_id": 1, "category_id": 1, "segmentations": [mask] * 4}],
    }
    paths = written(tmp_path, annotations, [{"video_id": 1, "category_id": 1, **track} for track in tracks])
    words = ["score", "youtube-vis", "--annotations", str(paths[0]), "--results", str(paths[1]), "--json", "--hota"]
    for limit, wanted in ((None, (0.5**0.5, 1, 0.5, 0.5)), ("0.5", (0.5, 0.5, 0.5, 2 / 3)), ("0.95", (0, 0, 0, 0))):
        assert main([*words, limit] if limit else words) == 0
        numbers = json.loads(capsys.readouterr().out)["tracking"]
        for averaged in (numbers["class_averaged"], numbers["detection_averaged"]):
            found = [averaged[name] for name in ("HOTA", "DetA", "AssA", "IDF1")]
            assert found == pytest.approx(wanted)
