"""The split of YouTube-VIS train that is held out here, because the servers that scored valid are closed.

Which videos are held out is a pure function of ids and categories, iterative stratification (Sechidis, Tsoumakas,
Vlahavas 2011): the rarest category is shared out first, each of its videos to the part that still lacks most of it.
Ties are broken by a hash of the video's id, so that neither the order of a file nor a random generator matters.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from suite.datasets.categories import Id
from suite.datasets.pins import load_pins
from suite.datasets.state import verified_digest
from suite.errors import DataError, InputError
from suite.files import file_digest, write_text
from suite.paths import repository_root, shown
from suite.typed import read_typed

LOCAL_VALID = "local-valid"
"""Split name in records of the videos of YouTube-VIS train that are held out here."""

LOCAL_TRAIN = "local-train"
"""The other videos of train; weights that are scored on `LOCAL_VALID` were trained on nothing else of train."""

VALID_VIDEOS = {"youtube-vis-2019": 302, "youtube-vis-2021": 421}
"""Number of videos in the official valid split of each year, and so in `LOCAL_VALID`."""

TRAIN_VIDEOS = {"youtube-vis-2019": 2238, "youtube-vis-2021": 2985}

Unit = Literal["image", "video"]


def part_of(content: Mapping[str, Any], unit: Unit, ids: Collection[Id]) -> dict[str, Any]:
    """Return a document of COCO or YouTube-VIS with only these images or videos, everything else as it is.

    Their order stays the file's; one without ``annotations`` gets an empty list of them.
    """
    return {
        **content,
        f"{unit}s": [item for item in content[f"{unit}s"] if item["id"] in ids],
        "annotations": [item for item in content.get("annotations") or [] if item[f"{unit}_id"] in ids],
    }


def _rank(name: str, video_id: int) -> str:
    return hashlib.sha256(f"{name}:{video_id}".encode()).hexdigest()


def _shares(categories_of: Mapping[int, frozenset[int]], amount: int) -> dict[int, tuple[float, float]]:
    """Return for each category how many of its videos each side should get: (held out, rest).

    A category of at least two videos gets one on each side, or its AP could not be measured, or not be learned. What
    rare categories get beyond their share for that is taken from all common ones alike.
    """
    found = Counter(category for categories in categories_of.values() for category in categories)
    wanted = amount / len(categories_of) * sum(found.values())

    def held(share: float) -> dict[int, float]:
        return {key: min(max(count * share, 1.0), count - 1.0) if count > 1 else 0.0 for key, count in found.items()}

    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(held(middle).values()) < wanted else (low, middle)
    return {key: (share, found[key] - share) for key, share in held(high).items()}


def _needier(lacks: list[float], room: list[int], share: float, rank: str) -> int:
    """Return the side that lacks more of a stratum: 0 to hold out, 1 for the rest."""
    if not all(room):
        return 0 if room[0] else 1
    needs = [(lacks[0], room[0] / share), (lacks[1], room[1] / (1 - share))]
    if needs[0] == needs[1]:
        return 0 if rank < "8" else 1
    return 0 if needs[0] > needs[1] else 1


def held_out(categories_of: Mapping[int, frozenset[int]], amount: int, name: str) -> tuple[int, ...]:
    """Choose the videos to hold out.

    Args:
        categories_of: video id -> the categories that occur in it; empty where nothing is annotated.
        amount: how many videos to hold out.
        name: of the dataset; another name gives another choice.

    Returns:
        The chosen ids, ascending; exactly ``amount`` of them.

    Raises:
        InputError: if there are not more videos than are to be held out, or none is.
    """
    if not 0 < amount < len(categories_of):
        raise InputError(f"{name}: cannot hold out {amount} of {len(categories_of)} videos; give the whole file")
    # How many categories a video has is a stratum too (negative, so that it is no category): with the shares of these
    # strata the amount comes out right without leaving the last category short.
    strata = {key: categories | {-len(categories) - 1} for key, categories in categories_of.items()}
    room = [amount, len(strata) - amount]
    lacks = {stratum: list(shares) for stratum, shares in _shares(strata, amount).items()}
    left, chosen = dict(strata), []
    while left:
        sizes = Counter(stratum for of_video in left.values() for stratum in of_video)
        rarest = min((count, stratum) for stratum, count in sizes.items())[1]
        videos = [video_id for video_id, of_video in left.items() if rarest in of_video]
        for video_id in sorted(videos, key=lambda key: _rank(name, key)):
            side = _needier(lacks[rarest], room, amount / len(strata), _rank(name, video_id))
            room[side] -= 1
            chosen += [video_id] if side == 0 else []
            for stratum in left.pop(video_id):
                lacks[stratum][side] -= 1
    return tuple(sorted(chosen))


LISTS = "suite/datasets/local_splits"
RULE = "iterative stratification by video and category, suite/datasets/local_split.py"
_AGAIN = "make it with 'python -m suite data split'"


class LocalSplit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list of held-out videos, as its file has it.

    Attributes:
        dataset: e.g. ``"youtube-vis-2019"``.
        split: name on record.
        rule: how the videos were chosen.
        annotations_sha256: digest of the train annotations that the list was made from.
        videos: number of videos in them.
        held_out: ids of the videos.
    """

    dataset: str
    split: str
    rule: str
    annotations_sha256: str
    videos: int
    held_out: list[int]

    @property
    def video_ids(self) -> frozenset[int]:
        """The held-out videos."""
        return frozenset(self.held_out)


def list_path(dataset: str) -> Path:
    """Return where the list of a year belongs."""
    return repository_root() / LISTS / f"{dataset.replace('-', '_')}.json"


def make_local_split(dataset: str) -> LocalSplit:
    """Write the list of held-out videos of one year to its place (`list_path`) and return it.

    Args:
        dataset: ``"youtube-vis-2019"`` or ``"youtube-vis-2021"``.

    Raises:
        InputError: if it is neither, or the annotations are not in YouTube-VIS format.
        DataError: if the train annotations are absent, not the pinned ones, or do not have the official counts.
    """
    from suite.datasets.youtube_vis import YoutubeVisDataset  # The report names splits without reading masks.

    if dataset not in VALID_VIDEOS:
        raise InputError(f"{dataset}: no dataset to split; give one of {', '.join(VALID_VIDEOS)}")
    pins = load_pins()
    pictures = pins[f"{dataset.replace('-', '_')}_train"]
    assert pictures.meta.split is not None
    pin = pins[pictures.meta.split.annotations_pin or pictures.name]
    try:
        verified_digest(pin)
    except DataError as error:
        raise DataError(
            f"{error}; the local split of {dataset} follows from the pinned train annotations alone"
        ) from None
    annotations = pictures.folder / pictures.meta.split.annotations
    loaded = YoutubeVisDataset.load(annotations)
    count, official = len(loaded.videos), TRAIN_VIDEOS[dataset]
    if count != official:
        raise DataError(f"{shown(annotations)}: holds {count} videos, officially {official}; get it again")
    categories_of = {
        int(video.video_id): frozenset(
            int(loaded.categories.ids[track.class_index]) for track in loaded.tracks_of(video.video_id)
        )
        for video in loaded.videos
    }
    ids = held_out(categories_of, VALID_VIDEOS[dataset], dataset)
    split = LocalSplit(dataset, LOCAL_VALID, RULE, file_digest(annotations), len(categories_of), list(ids))
    write_text(list_path(dataset), json.dumps(msgspec.structs.asdict(split), indent=1) + "\n")
    return split


def read_local_split(path: Path, annotations: Path | None = None) -> LocalSplit:
    """Read a list of held-out videos.

    Args:
        path: a file that `make_local_split` wrote.
        annotations: the annotations it is going to be used with, whose digest has to be the list's.

    Raises:
        DataError: if it is absent, with what to do, or was made from other annotations.
        InputError: if it is no such list.
    """
    if not path.is_file() and path.resolve() in {list_path(year).resolve() for year in VALID_VIDEOS}:
        year = path.stem.replace("_", "-")
        raise DataError(
            f"{shown(path)}: not in the repository yet, because its train annotations need a login; get them as "
            f"'python -m suite data fetch {year}' says, then run 'python -m suite data split {year}'"
        )
    split = read_typed(path, LocalSplit, "list of videos", _AGAIN)
    if not split.held_out or len(set(split.held_out)) < len(split.held_out):
        raise InputError(f"{shown(path)}: held_out must name at least one video, and none twice; {_AGAIN}")
    if annotations is not None and file_digest(annotations) != split.annotations_sha256:
        raise DataError(
            f"{shown(annotations)}: is not the annotations file that {shown(path)} was made from (sha256 "
            f"{split.annotations_sha256[:12]}...); give the whole train annotations of {split.dataset}"
        )
    return split
