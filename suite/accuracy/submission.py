"""Results packed for an evaluation server in the official form, everything that can be checked beforehand checked.

COCO (cocodataset.org, "upload"): one list ``detections_TESTSET_ALGORITHM_results.json`` in a zip of the same stem.
YouTube-VIS (its CodaLab page): one list ``results.json`` in a zip without folders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.accuracy.coco_files import Detections, read_detections, read_image_table
from suite.accuracy.package import Packed, write_zip
from suite.accuracy.segmentations import Codes
from suite.accuracy.submission_checks import (
    CAP,
    COCO_IDS,
    YOUTUBE_VIS_IDS,
    apply_cap,
    clean_codes,
    coco_names,
    match_units,
    refuse_bad_target,
    refuse_foreign_category,
    table_note,
    year_of,
)
from suite.accuracy.youtube_vis_files import Track, read_tracks, read_video_table
from suite.datasets.splits import SERVERS_CLOSED, find_split
from suite.errors import InputError
from suite.files import file_digest
from suite.paths import shown

DEFAULT_MAX_SIZE_MB = 300.0
"""No server published a limit; packages of COCO masks of 80 MB were accepted and such of 300 MB were not."""


@dataclass(frozen=True)
class Submission:
    """A written package and what is known about it.

    ``checked``, ``changed`` and ``unchecked`` are sentences for a person; ``dataset`` and ``split`` are None where the
    annotations file is no official list.
    """

    package: str
    inside: str
    dataset: str | None
    split: str | None
    results: int
    units_with_results: int
    units: int
    results_sha256: str
    annotations_sha256: str
    packed: Packed
    checked: tuple[str, ...]
    changed: tuple[str, ...]
    unchecked: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return asdict(self)

    def text(self) -> str:
        """Return the report for a person."""
        packed, lists = self.packed, (self.checked, self.changed, self.unchecked)
        what = "images" if self.inside.startswith("detections") else "videos"
        lines = [
            f"{self.package}: {self.results} results for {self.units_with_results} of {self.units} {what}, "
            f"{packed.zip_bytes / 1e6:.1f} MB, sha256 {packed.zip_sha256}",
            f"inside: {self.inside}, {packed.json_bytes / 1e6:.1f} MB, sha256 {packed.json_sha256}",
        ]
        for title, sentences in zip(("checked", "changed", "could not be checked"), lists, strict=True):
            lines += [f"{title}: {sentence}" for sentence in sentences]
        return "\n".join(lines)


def _code(codes: Codes, place: int) -> dict[str, Any]:
    return {"size": [int(codes.heights[place]), int(codes.widths[place])], "counts": codes.counts[place]}


def _coco_rows(detections: Detections, codes: Codes, kept: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    for place in kept.tolist():
        yield {
            "image_id": int(detections.image_ids[place]),
            "category_id": int(detections.category_ids[place]),
            "segmentation": _code(codes, place),
            "score": float(detections.scores[place]),
        }


def submit_coco(
    results: Path,
    annotations: Path,
    out: Path,
    split: str = "test-dev2017",
    algorithm: str | None = None,
    trim: bool = False,
    max_size_mb: float = DEFAULT_MAX_SIZE_MB,
) -> Submission:
    """Write COCO results as a package for an evaluation server.

    Args:
        results: any results file that `suite.accuracy.mask_ap.score_coco` takes, for these images.
        annotations: the image list, e.g. ``image_info_test-dev2017.json``; ground truth in it is not read.
        out: the zip to write; named ``detections_SPLIT_ALGORITHM_results.zip``, it gives the algorithm's name.
        split: ``"test-dev2017"`` or ``"val2017"``, which the server took too.
        algorithm: name in the file inside the package; "mobileinst" if neither this nor ``out`` gives one.
        trim: drop results beyond the evaluators' cap instead of refusing them.
        max_size_mb: largest package.

    Raises:
        DataError: if a file is absent.
        InputError: naming file and place of whatever the evaluators would refuse, misread or ignore.
    """
    refuse_bad_target(out)
    wanted = find_split("coco", split)
    if wanted is None:
        raise InputError(f"--split {split}: no COCO split; give test-dev2017 or val2017")
    inside, unchecked = coco_names(out, algorithm, split)
    table = read_image_table(annotations)
    unchecked += match_units(annotations, wanted, len(table.image_sizes))
    unchecked += table_note(annotations, {category.id for category in table.categories} == COCO_IDS)
    detections = read_detections(results, table)
    refuse_foreign_category(results, detections.category_ids, COCO_IDS, "COCO")
    groups = (detections.image_ids, detections.category_ids)
    kept, changed = apply_cap(results, "image", groups, detections.scores, trim)
    codes, cleaned = clean_codes(detections.codes)
    if detections.box_areas is not None:
        changed.append("boxes were left out, so that APs, APm and APl go by the masks' areas")
    about = sum(map(len, codes.counts)) * 2 + 200 * len(kept)
    packed = write_zip(out, inside, _coco_rows(detections, codes, kept), int(max_size_mb * 1e6), about)
    official = len(table.image_sizes) == wanted.units
    return Submission(
        package=shown(out),
        inside=inside,
        dataset="coco" if official else None,
        split=split if official else None,
        results=len(kept),
        units_with_results=len(np.unique(detections.image_ids[kept])),
        units=len(table.image_sizes),
        results_sha256=file_digest(results),
        annotations_sha256=file_digest(annotations),
        packed=packed,
        checked=_checked("image", max_size_mb),
        changed=(*changed, *cleaned),
        unchecked=(*unchecked, *_CLOSING),
    )


def _checked(unit: str, max_size_mb: float) -> tuple[str, ...]:
    return (
        f"every {unit} id and category id, finite scores, every mask's code and size"
        + (", one entry per frame of each track" if unit == "video" else ""),
        f"at most {CAP} results per category and {unit}, at most {max_size_mb:g} MB, names inside the package",
    )


_CLOSING = (
    "the list itself byte for byte and the size limit of a server: nobody published either",
    f"acceptance by a server: {SERVERS_CLOSED}",
)


def _video_rows(tracks: Sequence[Track], kept: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    for place in kept.tolist():
        track = tracks[place]
        codes = track.masks.codes
        yield {
            "video_id": track.video_id,
            "category_id": track.category_id,
            "segmentations": [None if frame < 0 else _code(codes, frame) for frame in track.masks.places.tolist()],
            "score": track.score,
        }


def submit_youtube_vis(
    results: Path, annotations: Path, out: Path, trim: bool = False, max_size_mb: float = DEFAULT_MAX_SIZE_MB
) -> Submission:
    """Write YouTube-VIS results as a package for an evaluation server; the year and split follow from the video list.

    Args:
        results: any results file that `suite.accuracy.video_ap.score_youtube_vis` takes, for these videos.
        annotations: the video list, the official file of valid or test; ground truth in it is not read.
        out: the zip to write.
        trim: drop results beyond the evaluators' cap instead of refusing them.
        max_size_mb: largest package.

    Raises:
        DataError: if a file is absent.
        InputError: naming file and place of whatever the evaluators would refuse, misread or ignore.
    """
    refuse_bad_target(out)
    table = read_video_table(annotations)
    split, unchecked = year_of(annotations, len(table.videos), table.categories)
    tracks = read_tracks(results, table)
    videos = np.array([track.video_id for track in tracks], np.int64)
    categories = np.array([track.category_id for track in tracks], np.int64)
    refuse_foreign_category(results, categories, YOUTUBE_VIS_IDS, "YouTube-VIS")
    kept, changed = apply_cap(results, "video", (videos, categories), np.array([track.score for track in tracks]), trim)
    if any(video.frames is None for video in table.videos.values()):
        unchecked.append(f"the number of frames of videos for which {shown(annotations)} gives none")
    characters = sum(map(len, tracks[0].masks.codes.counts)) * 2
    about = characters + sum(200 + 40 * len(track.masks.places) for track in tracks)
    packed = write_zip(out, "results.json", _video_rows(tracks, kept), int(max_size_mb * 1e6), about)
    return Submission(
        package=shown(out),
        inside="results.json",
        dataset=split.dataset if split else None,
        split=split.name if split else None,
        results=len(kept),
        units_with_results=len(np.unique(videos[kept])),
        units=len(table.videos),
        results_sha256=file_digest(results),
        annotations_sha256=file_digest(annotations),
        packed=packed,
        checked=_checked("video", max_size_mb),
        changed=tuple(changed),
        unchecked=(*unchecked, *_CLOSING),
    )
