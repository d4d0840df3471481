"""The whole answer: the AP ladder, the AP by category and size, and the images or videos that cost most."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from suite.accuracy.error_analysis.judging import Judged, judge_images, judge_tracks
from suite.accuracy.error_analysis.kinds import BACKGROUND_IOU, FOREGROUND_IOU, SPECIAL_KINDS, Kind
from suite.accuracy.error_analysis.ladder import Ladder
from suite.accuracy.mask_ap import evaluate_coco
from suite.accuracy.score import Score
from suite.accuracy.video_ap import evaluate_youtube_vis
from suite.datasets.categories import Id
from suite.datasets.coco import CocoDataset, Detections, read_detections
from suite.datasets.youtube_vis import MaskedTrack, YoutubeVisDataset, read_tracks

SIZES = {"small": "APs", "medium": "APm", "large": "APl"}
"""Size of objects -> its official statistic."""
WORST = 10


@dataclass(frozen=True)
class Rung:
    """A kind of error, how many there are, what undoing it alone adds, and AP50 once it and all before are undone."""

    kind: Kind
    count: int
    gain: float
    reached: float


@dataclass(frozen=True)
class Part:
    """One category or one size of objects: its official AP, its AP50, its objects and what each kind of error costs it.

    AP and AP50 are -1 where the part has no object; ``gains`` are then empty.
    """

    ap: float
    ap50: float
    objects: int
    gains: dict[Kind, float]
    counts: dict[Kind, int]


@dataclass(frozen=True)
class WorstUnit:
    """An image or video, the AP50 that undoing its errors alone would bring, and its errors."""

    id: Id
    gain: float
    counts: dict[Kind, int]

    @property
    def errors(self) -> str:
        """The errors in words."""
        return ", ".join(f"{amount} {kind.label}" for kind, amount in self.counts.items() if amount)


@dataclass(frozen=True)
class Analysis:
    """The errors of one results file.

    Attributes:
        score: the official numbers of the same file.
        ap50: AP50 over all areas, where the ladder starts.
        rungs: every kind of error, in the order in which the ladder undoes them; the last one reaches 1.
        special: AP50 that perfect precision or perfect recall alone would bring.
        by_category: parts by name of category.
        by_size: parts by `SIZES`.
        worst: the images or videos whose errors cost most, the dearest first.
        judged: every detection and object behind it.
        dataset: the ground truth.
        found: what was scored.
    """

    score: Score
    ap50: float
    rungs: tuple[Rung, ...]
    special: dict[Kind, float]
    by_category: dict[str, Part]
    by_size: dict[str, Part]
    worst: tuple[WorstUnit, ...]
    judged: Judged
    dataset: CocoDataset | YoutubeVisDataset
    found: Detections | tuple[MaskedTrack, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints; fractions in full precision, -1 where undefined."""
        unit = "image_id" if self.score.task == "coco" else "video_id"

        def named(values: dict[Kind, Any]) -> dict[str, Any]:
            return {kind.name: value for kind, value in values.items()}

        def part(item: Part) -> dict[str, Any]:
            costs = {"dAP50": named(item.gains), "counts": named(item.counts)}
            return {"AP": item.ap, "AP50": item.ap50, "objects": item.objects, **costs}

        return {
            "task": self.score.task,
            "stats": self.score.stats,
            "thresholds": {"foreground": FOREGROUND_IOU, "background": BACKGROUND_IOU},
            "AP50": self.ap50,
            "ladder": [
                {"error": rung.kind.name, "count": rung.count, "dAP50": rung.gain, "reached_AP50": rung.reached}
                for rung in self.rungs
            ],
            "special": named(self.special),
            "per_category": {name: part(item) for name, item in self.by_category.items()},
            "per_size": {name: part(item) for name, item in self.by_size.items()},
            "worst": [{unit: item.id, "dAP50": item.gain, "counts": named(item.counts)} for item in self.worst],
            "notes": list(self.score.notes),
        }


def _by_category(ladder: Ladder, score: Score) -> dict[str, Part]:
    judged, categories = ladder.judged, len(score.per_category)
    objects, missed = (
        np.bincount(ladder.objects.category[chosen], minlength=categories) for chosen in (ladder.counted, ladder.missed)
    )
    wrong = np.zeros((categories, len(judged.kinds)), np.int64)
    np.add.at(wrong, (ladder.detections.category[ladder.wrong], judged.kind[ladder.wrong]), 1)
    gains = {kind: ladder.fixed([kind]) - ladder.base for kind in judged.kinds}
    parts = {}
    for place, (name, stats) in enumerate(score.per_category.items()):
        counts = dict(zip(judged.kinds, wrong[place].tolist(), strict=True))
        counts[judged.kinds[-1]] = int(missed[place])
        # A category of which all was missed has no AP50 left once that is undone: nothing more can be gained there.
        costs = {kind: 0.0 if np.isnan(table[place]) else float(table[place]) for kind, table in gains.items()}
        known = bool(objects[place])
        parts[name] = Part(stats["AP"], stats["AP50"], int(objects[place]), costs if known else {}, counts)
    return parts


def _by_size(judged: Judged, score: Score) -> dict[str, Part]:
    parts = {}
    for number, (name, statistic) in enumerate(SIZES.items(), start=1):
        ladder = Ladder(judged, number)
        objects = int(ladder.counted.sum())
        gains = {kind: ladder.gain([kind]) for kind in judged.kinds} if objects else {}
        parts[name] = Part(score.stats[statistic], ladder.mean(ladder.base), objects, gains, ladder.counts())
    return parts


def _analyse(
    judged: Judged,
    score: Score,
    worst: int,
    dataset: CocoDataset | YoutubeVisDataset,
    found: Detections | tuple[MaskedTrack, ...],
) -> Analysis:
    """Price every error of a results file."""
    ladder, unit_ids = Ladder(judged), sorted(dataset.places)
    counts, known = ladder.counts(), bool(ladder.counted.any())
    rungs = []
    for place, kind in enumerate(judged.kinds):
        reached = ladder.mean(ladder.fixed(judged.kinds[: place + 1]))
        rungs.append(Rung(kind, counts[kind], ladder.gain([kind]) if known else 0.0, reached))
    gains = ladder.gain_by_unit() if worst and known else np.zeros(0)
    order = [place for place in np.argsort(-gains, kind="stable")[:worst].tolist() if gains[place] > 0]
    return Analysis(
        score=score,
        ap50=ladder.mean(ladder.base),
        rungs=tuple(rungs),
        special={kind: ladder.gain([kind]) if known else 0.0 for kind in SPECIAL_KINDS},
        by_category=_by_category(ladder, score),
        by_size=_by_size(judged, score),
        worst=tuple(WorstUnit(unit_ids[i], float(gains[i]), ladder.counts(i)) for i in order),
        judged=judged,
        dataset=dataset,
        found=found,
    )


def analyse_coco(
    annotations: Path, results: Path, engine: str = "auto", worst: int = WORST, images: Path | None = None
) -> Analysis:
    """Analyse the errors of a COCO results file; mask IoU.

    Args:
        annotations: COCO instances file, ``.json`` or ``.json.gz``.
        results: COCO results file.
        engine: of the official numbers, as in `suite.accuracy.mask_ap.score_coco`.
        worst: how many images to list.
        images: where their file names start; None if none is going to be drawn.

    Raises:
        DataError: if a file or folder is absent.
        InputError: naming file and place of whatever is wrong in either file.
    """
    dataset = CocoDataset.load(annotations, images).require_truth()
    detections = read_detections(results, dataset)
    score = evaluate_coco(dataset, detections, engine)
    return _analyse(judge_images(dataset, detections), score, worst, dataset, detections)


def analyse_youtube_vis(annotations: Path, results: Path, worst: int = WORST, images: Path | None = None) -> Analysis:
    """Analyse the errors of a YouTube-VIS results file; IoU of tracks. Arguments and errors as `analyse_coco`."""
    dataset = YoutubeVisDataset.load(annotations, images).require_truth()
    tracks = read_tracks(results, dataset)
    score = evaluate_youtube_vis(dataset, tracks)[0]
    return _analyse(judge_tracks(dataset, tracks), score, worst, dataset, tracks)
