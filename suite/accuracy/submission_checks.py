"""What can be checked of a submission before a server sees it: caps, categories, names, the list it is for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from suite.accuracy.score import Category
from suite.accuracy.segmentations import Codes
from suite.datasets.categories import COCO_UNUSED_IDS, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from suite.datasets.splits import Split, split_of_size
from suite.errors import InputError
from suite.paths import shown

CAP = 100
"""Results that the official evaluators look at, per category in each image or video."""

COCO_NAME = re.compile(r"detections_(?P<split>[a-z0-9-]+)_(?P<algorithm>[A-Za-z0-9.+-]+)_results")
COCO_IDS = frozenset(range(1, 91)) - COCO_UNUSED_IDS
YOUTUBE_VIS_IDS = frozenset(range(1, 41))
YEARS = {"youtube-vis-2019": YOUTUBE_VIS_2019, "youtube-vis-2021": YOUTUBE_VIS_2021}


def refuse_bad_target(out: Path) -> None:
    """Refuse a package that is a folder or no zip."""
    if out.is_dir() or out.suffix != ".zip":
        raise InputError(f"{shown(out)}: name the package itself, a file that ends in .zip")


def over_cap(groups: Sequence[NDArray[np.int64]], scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of results that no evaluator looks at, ascending.

    Args:
        groups: image (or video) and category of each result, two arrays of shape (N,).
        scores: shape (N,); of equal ones the earlier counts as the better, as in COCOeval.
    """
    order = np.lexsort((-scores, *groups))
    changes = np.ones(len(order), np.bool_)
    if len(order):
        changes[1:] = np.any([np.diff(group[order]) != 0 for group in groups], axis=0)
    first = np.flatnonzero(changes)
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    return np.sort(order[rank >= CAP])


def apply_cap(
    results: Path, unit: str, groups: Sequence[NDArray[np.int64]], scores: NDArray[np.float64], trim: bool
) -> tuple[NDArray[np.int64], list[str]]:
    """Return the places to keep and what was changed; without ``trim`` a result too many is an error."""
    if not len(scores):
        raise InputError(f"{results}: holds no results, which the official evaluators cannot score; predict again")
    excess = over_cap(groups, scores)
    if len(excess) and not trim:
        place = int(excess[0])
        raise InputError(
            f"{results}: results[{place}]: more than {CAP} results of category {groups[1][place]} in {unit} "
            f"{groups[0][place]}, and the evaluators look at the best {CAP}; let --trim drop the others"
        )
    kept = np.setdiff1d(np.arange(len(scores)), excess)
    dropped = [f"{len(excess)} results beyond the best {CAP} per category and {unit} were dropped"]
    return kept, dropped if len(excess) else []


def refuse_foreign_category(results: Path, ids: NDArray[np.int64], official: frozenset[int], what: str) -> None:
    """Refuse the first result whose category the official table does not have."""
    for place in np.flatnonzero(~np.isin(ids, list(official)))[:1].tolist():
        raise InputError(
            f"{results}: results[{place}].category_id: {ids[place]} is not a category of {what}; map the model's "
            "classes to the ids of the official table"
        )


def match_units(annotations: Path, wanted: Split, units: int) -> list[str]:
    """Compare the number of images with the official one; return what could not be checked."""
    if units == wanted.units:
        return []
    other = split_of_size(wanted.task, units)
    if other is not None:
        raise InputError(f"{shown(annotations)}: lists the {units} images of {other.name}; give those of {wanted.name}")
    return [f"{shown(annotations)} lists {units} images, {wanted.name} has {wanted.units}: it is not the official list"]


def table_note(annotations: Path, official: bool) -> list[str]:
    """Return what could not be checked where the file's categories are not the official ones."""
    return [] if official else [f"the categories of {shown(annotations)} are not the official table"]


def clean_codes(codes: Codes) -> tuple[Codes, list[str]]:
    """Rewrite codes with empty runs, at which pycocotools stops comparing early."""
    if not codes.has_empty_runs:
        return codes, []
    counts = [coco_mask.encode(coco_mask.decode(rle))["counts"].decode("ascii") for rle in codes.rles()]
    return replace(codes, counts=counts, has_empty_runs=False), ["masks with empty runs in their codes were rewritten"]


def coco_names(out: Path, algorithm: str | None, split: str) -> tuple[str, list[str]]:
    """Return the file name inside the package, and what is wrong with the package's own name."""
    found = COCO_NAME.fullmatch(out.stem)
    if found and found["split"] != split:
        raise InputError(f"{shown(out)}: is named for {found['split']}; rename it or give --split {found['split']}")
    if found and algorithm not in (None, found["algorithm"]):
        raise InputError(f"{shown(out)}: is named for {found['algorithm']}, not {algorithm}; leave out --algorithm")
    name = found["algorithm"] if found else algorithm or "mobileinst"
    stem = f"detections_{split}_{name}_results"
    if not COCO_NAME.fullmatch(stem):
        raise InputError(f"--algorithm {name}: may hold letters, digits and . + - only; give another name")
    return f"{stem}.json", [] if found else [f"the server's page asks for the package to be named {stem}.zip"]


def year_of(annotations: Path, videos: int, categories: Sequence[Category]) -> tuple[Split | None, list[str]]:
    """Return the official split that the file lists, and what could not be checked."""
    split = split_of_size("youtube-vis", videos)
    names = tuple(category.name for category in categories)
    ids = tuple(category.id for category in categories)
    year = next((key for key, table in YEARS.items() if names == table and ids == tuple(range(1, 41))), None)
    if split is not None and year is not None and split.dataset != year:
        raise InputError(
            f"{shown(annotations)}: lists the {videos} videos of {split.dataset} {split.name} with the categories of "
            f"{year}; give the official file of one year"
        )
    if split is not None and split.public:
        raise InputError(
            f"{shown(annotations)}: lists the videos of {split.dataset} {split.name}, whose ground truth is public; "
            "score it with 'python -m suite score youtube-vis'"
        )
    notes = [] if split else [f"{shown(annotations)} lists {videos} videos, no official split has so many"]
    return split, notes + table_note(annotations, year is not None)
