"""The local split of YouTube-VIS train: videos held out here, because nobody can score valid any more.

The list is a pure function of the pinned train annotations (`suite.datasets.splits`) and belongs to the repository
as a list of ids, in ``suite/datasets/local_splits/``. It is as long as the official valid.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path

import msgspec

from suite.datasets.official import READY, annotations_pin, check_counts
from suite.datasets.pins import load_pins
from suite.datasets.splits import LOCAL_TRAIN, LOCAL_VALID, VALID_VIDEOS, held_out, part_of
from suite.datasets.state import examine, read_stamp
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import DataError, InputError
from suite.files import file_digest, read_json, write_json, write_text
from suite.paths import repository_root, shown
from suite.typed import read_typed

LISTS = "suite/datasets/local_splits"
RULE = "iterative stratification by video and category, suite/datasets/splits.py"
_AGAIN = "make it with 'python -m suite data split'"


class _List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dataset: str
    split: str
    rule: str
    annotations_sha256: str
    videos: int
    held_out: list[int]


@dataclass(frozen=True)
class LocalSplit:
    """A list of held-out videos.

    Attributes:
        path: the list's file.
        dataset: e.g. ``"youtube-vis-2019"``.
        name: split name on record.
        video_ids: the videos.
        annotations_sha256: digest of the train annotations that the list was made from.
    """

    path: Path
    dataset: str
    name: str
    video_ids: frozenset[int]
    annotations_sha256: str


@dataclass(frozen=True)
class MadeSplit:
    """What `make_local_split` wrote: the list and the annotations of both parts, and how many videos each has."""

    ids: str
    valid_annotations: str
    train_annotations: str
    valid_videos: int
    train_videos: int
    categories: dict[str, tuple[int, int]]

    def text(self) -> str:
        """Return the report for a person."""
        few = min(self.categories.items(), key=lambda item: item[1][0])
        return (
            f"{self.ids}: {self.valid_videos} of {self.valid_videos + self.train_videos} videos held out; commit it\n"
            f"{self.valid_annotations}: to score on; {self.train_annotations}: to train on\n"
            f"fewest held-out videos: {few[0]}, {few[1][0]} of {sum(few[1])}"
        )


def list_path(dataset: str) -> Path:
    """Return where the list of a year belongs."""
    return repository_root() / LISTS / f"{dataset.replace('-', '_')}.json"


def _train_annotations(dataset: str) -> Path:
    """Return the train annotations after checking that they are the pinned ones.

    Raises:
        DataError: if they are absent, not as pinned, or nobody has pinned them.
    """
    name = f"{dataset.replace('-', '_')}_train"
    pins = load_pins()
    pin = pins[annotations_pin(name)]
    state = examine(pin)
    if state.status not in ("verified", "unpacked"):
        raise DataError(
            f"{state.explanation}; the local split of {dataset} follows from the pinned train annotations alone"
        )
    annotations = repository_root() / (pins[name].unpack or ".") / READY[name][1]
    if pin.unpack is not None:
        stamp = read_stamp(pin.unpack, pin.name)
        if stamp is None or stamp.digest != pin.md5:
            raise DataError(f"{pin.unpack}: {pin.name} is not unpacked; run 'python -m suite data fetch {pin.name}'")
    if not annotations.is_file():
        raise DataError(f"{shown(annotations)}: absent; {pin.how_to_get()}")
    return annotations


def categories_by_video(dataset: YoutubeVisDataset) -> dict[int, frozenset[int]]:
    """Return for each video the dataset ids of the categories that are annotated in it."""
    return {
        int(video.video_id): frozenset(
            int(dataset.categories.ids[track.class_index]) for track in dataset.tracks_of(video.video_id)
        )
        for video in dataset.videos
    }


def _list_text(dataset: str, sha256: str, videos: int, ids: tuple[int, ...]) -> str:
    fields = {"dataset": dataset, "split": LOCAL_VALID, "rule": RULE, "annotations_sha256": sha256, "videos": videos}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in fields.items()]
    wrapped = textwrap.fill(", ".join(map(str, ids)), 110, initial_indent="    ", subsequent_indent="    ")
    return "{\n" + "".join(lines) + f'  "held_out": [\n{wrapped}\n  ]\n}}\n'


def make_local_split(dataset: str) -> MadeSplit:
    """Write the list of held-out videos of one year, and the annotations of both parts beside the train annotations.

    Args:
        dataset: ``"youtube-vis-2019"`` or ``"youtube-vis-2021"``.

    Raises:
        InputError: if it is neither, or the annotations are not in YouTube-VIS format.
        DataError: if the train annotations are absent, not the pinned ones, or do not have the official counts.
    """
    if dataset not in VALID_VIDEOS:
        raise InputError(f"{dataset}: no dataset to split; give one of {', '.join(VALID_VIDEOS)}")
    annotations = _train_annotations(dataset)
    loaded = YoutubeVisDataset.load(annotations)
    check_counts(f"{dataset.replace('-', '_')}_train", {"videos": len(loaded.videos)}, shown(annotations))
    categories_of = categories_by_video(loaded)
    ids = held_out(categories_of, VALID_VIDEOS[dataset], dataset)
    held, rest = frozenset(ids), frozenset(categories_of) - frozenset(ids)
    content = read_json(annotations, "annotations file")
    folder, out = repository_root() / "data" / dataset.replace("-", "_"), list_path(dataset)
    for name, part in ((LOCAL_VALID, held), (LOCAL_TRAIN, rest)):
        write_json(folder / f"{name}.json", part_of(content, "video", part))
    write_text(out, _list_text(dataset, file_digest(annotations), len(categories_of), ids))
    found = {
        name: (
            sum(number in categories_of[key] for key in held),
            sum(number in categories_of[key] for key in rest),
        )
        for number, name in zip(loaded.categories.ids, loaded.categories.names, strict=True)
    }
    return MadeSplit(
        shown(out),
        shown(folder / f"{LOCAL_VALID}.json"),
        shown(folder / f"{LOCAL_TRAIN}.json"),
        len(held),
        len(rest),
        found,
    )


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
    listed = read_typed(path, _List, "list of videos", _AGAIN)
    ids = listed.held_out
    if not ids or len(set(ids)) != len(ids):
        raise InputError(f"{shown(path)}: held_out must name at least one video, and none twice; {_AGAIN}")
    split = LocalSplit(path, listed.dataset, listed.split, frozenset(ids), listed.annotations_sha256)
    if annotations is not None and file_digest(annotations) != split.annotations_sha256:
        raise DataError(
            f"{shown(annotations)}: is not the annotations file that {shown(path)} was made from (sha256 "
            f"{split.annotations_sha256[:12]}...); give the whole train annotations of {split.dataset}"
        )
    return split
