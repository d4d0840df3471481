"""The reader of YouTube-VIS files: annotations and results.

Everything that reads YouTube-VIS files reads them here, so that what one command accepts no other refuses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from suite.datasets.annotations import (
    AnnotationsFile,
    Area,
    Document,
    Flag,
    Number,
    RawId,
    Rle,
    Segmentation,
    check_name,
    read_columns,
    read_document,
    read_ids,
    read_size,
    references,
    whole_number,
)
from suite.datasets.categories import Id
from suite.datasets.masks import TrackMasks, compress, is_absent, without_empty_runs
from suite.datasets.pictures import MAX_SIDE_PX, Size, read_picture
from suite.errors import InputError
from suite.typed import read_typed

MAX_FRAMES = 10**6
"""Of a video whose frames have no file names; hours, and few enough to count them one by one."""


class _Video(msgspec.Struct, frozen=True):
    id: RawId
    height: Number
    width: Number
    length: Number | None = None
    file_names: list[str] | None = None


class _Annotation(msgspec.Struct, frozen=True):
    id: RawId
    video_id: RawId
    category_id: RawId
    segmentations: list[Segmentation]
    areas: list[Area] | None = None
    iscrowd: Flag = None


class _VideoFile(Document, frozen=True):
    videos: list[_Video]


class _AnnotationFile(_VideoFile, frozen=True):
    annotations: list[_Annotation] | None = None


class _Result(msgspec.Struct, frozen=True):
    video_id: RawId
    category_id: RawId
    score: float
    segmentations: list[Segmentation]


@dataclass(frozen=True)
class Video:
    """One video.

    Attributes:
        video_id: its id in the file.
        file_names: of its frames, relative to the frame folder; empty where the file has none.
        height: of every frame, in pixels.
        width: of every frame, in pixels.
        frames: number of frames; None where the file gives neither file names nor a length.
    """

    video_id: Id
    file_names: tuple[str, ...]
    height: int
    width: int
    frames: int | None

    @property
    def length(self) -> int:
        """The number of frames with a file name."""
        return len(self.file_names)


@dataclass(frozen=True, kw_only=True)
class Track:
    """One object through one video, annotated or of results.

    Attributes:
        track_id: the annotation's id in the file, or the number of the result.
        video_id: the video's id in the file.
        class_index: place of its category among the ids in ascending order.
        place: number of its entry in its file.
        segmentations: one per frame (see `suite.datasets.masks.to_mask`), None where an annotated one is not seen.
        areas: square pixels per frame, which nobody compares with the masks; None where the file has none.
        crowd: whether it marks a crowd.
        score: confidence; 1 of the ground truth.
    """

    track_id: Id
    video_id: Id
    class_index: int
    place: int
    segmentations: tuple[Segmentation, ...]
    areas: tuple[float | None, ...] | None = None
    crowd: bool = False
    score: float = 1.0


@dataclass(frozen=True, kw_only=True)
class MaskedTrack(Track):
    """One object with its masks, in place of the segmentations.

    Attributes:
        masks: frame by frame.
        area: the official one in square pixels: the mean over frames whose area is neither null nor 0, else 0; from
            the annotations' ``areas`` where they are given, else from the masks.
    """

    masks: TrackMasks
    area: float


@dataclass(frozen=True)
class YoutubeVisDataset(AnnotationsFile):
    """A YouTube-VIS annotations file.

    Attributes:
        videos: in the file's order.
        tracks: the annotated objects in the file's order.
        official_quirks: whether faults that the official evaluator does not notice were let through.
        part: what identifies a part of the file's videos, None where it is all of them.
    """

    videos: tuple[Video, ...]
    tracks: tuple[Track, ...]
    official_quirks: bool = False
    part: str | None = None

    @classmethod
    def load(
        cls, annotations: Path, frames: Path | None = None, truth: bool = True, official_quirks: bool = False
    ) -> YoutubeVisDataset:
        """Read and check a YouTube-VIS file; arguments and errors as of `suite.datasets.coco.CocoDataset.load`.

        With ``official_quirks`` what the official evaluator does not notice is let through: duplicate ids, tracks of
        unknown videos or categories, ragged tracks and masks of another size than the video.
        """
        remedy = "the annotations are not in YouTube-VIS format (a COCO file is read as coco)"
        document, categories = read_document(annotations, frames, _AnnotationFile if truth else _VideoFile, remedy)
        videos = _videos(annotations, document.videos, frames is not None, official_quirks)
        entries = document.annotations if isinstance(document, _AnnotationFile) else None
        dataset = cls(annotations, frames, categories, entries is not None, videos, (), official_quirks)
        return replace(dataset, tracks=_annotated_tracks(dataset, entries or []))

    @cached_property
    def places(self) -> dict[Id, int]:
        """Place in ``videos`` by video id."""
        return {video.video_id: place for place, video in enumerate(self.videos)}

    @cached_property
    def _by_video(self) -> dict[Id, tuple[Track, ...]]:
        grouped: dict[Id, list[Track]] = {video.video_id: [] for video in self.videos}
        for track in self.tracks:
            grouped[track.video_id].append(track)
        return {video_id: tuple(tracks) for video_id, tracks in grouped.items()}

    @cached_property
    def masked_tracks(self) -> tuple[MaskedTrack, ...]:
        """The tracks with their masks, compressed and checked; InputError names entry and frame of a bad one."""
        return _masked(self, self.tracks, self.path, "annotations")

    def only(self, video_ids: Collection[Id], part: str) -> YoutubeVisDataset:
        """Return the dataset with only these videos; InputError if the file lacks one of them.

        ``part`` is what identifies the choice, e.g. a digest.
        """
        chosen = set(video_ids)
        if missing := [key for key in chosen if key not in self.places]:
            raise InputError(f"{self.path}: has no video with id {missing[0]}; the list is for another file")
        videos = tuple(video for video in self.videos if video.video_id in chosen)
        return replace(
            self, videos=videos, tracks=tuple(track for track in self.tracks if track.video_id in chosen), part=part
        )

    def without(self, video_ids: Collection[Id], part: str) -> YoutubeVisDataset:
        """Return the dataset with all other videos; arguments and errors as `only`."""
        return self.only(set(self.places) - {video.video_id for video in self.only(video_ids, part).videos}, part)

    def tracks_of(self, video_id: Id) -> tuple[Track, ...]:
        """Return the objects of one of the file's videos, in the file's order."""
        return self._by_video[video_id]

    def masks_of(self, picture: int) -> list[tuple[str, Segmentation]]:
        """Return the place in the file and the segmentation of every object in an entry of `picture_files`."""
        video, frame = self.frames[picture]
        return [
            (f"annotations[{track.place}].segmentations[{frame}]", track.segmentations[frame])
            for track in self.tracks_of(video.video_id)
        ]

    @cached_property
    def frames(self) -> list[tuple[Video, int]]:
        """The video of every frame that has a file name, and the frame's number in it."""
        return [(video, frame) for video in self.videos for frame in range(video.length)]

    @property
    def crowds(self) -> list[bool]:
        """Whether each of ``tracks`` is a crowd."""
        return [track.crowd for track in self.tracks]

    def picture_files(self) -> list[tuple[Path, tuple[int, int]]]:
        """Return the path and the (height, width) in pixels of every entry of `frames`."""
        return [(self.file(video.file_names[frame]), (video.height, video.width)) for video, frame in self.frames]

    def read_frame(self, video: Video, frame: int) -> NDArray[np.uint8]:
        """Return a frame's pixels, (H, W, 3) uint8 RGB; raises as `suite.datasets.pictures.read_picture` does."""
        return read_picture(self.file(video.file_names[frame]), (video.height, video.width))

    def read_frames(self, video: Video) -> Iterator[NDArray[np.uint8]]:
        """Yield a video's frames in order, one in memory at a time."""
        for frame in range(video.length):
            yield self.read_frame(video, frame)


def _mean_area(areas: Sequence[float | None]) -> float:
    present = [area for area in areas if area]
    if set(map(type, present)) == {int}:  # as NumPy's mean, in a tenth of the time
        return sum(present) / len(present)
    with np.errstate(over="ignore"):
        return float(np.array(present).mean()) if present else 0.0


def _own_size(segmentation: Segmentation, frame: Size) -> Size:
    """Return the size that a run-length code itself states, if it can be one, else the frame's."""
    own = segmentation.size if isinstance(segmentation, Rle) else None
    if own is None or not all(1 <= side <= MAX_SIDE_PX and side == int(side) for side in own):
        return frame
    return int(own[0]), int(own[1])


def _masked(dataset: YoutubeVisDataset, tracks: Sequence[Track], path: Path, root: str) -> tuple[MaskedTrack, ...]:
    """Return tracks of a dataset's videos with their masks, which are compressed and checked together.

    ``path`` and ``root`` say where they are from; InputError names the place of a bad mask.
    """
    lengths = np.array([len(track.segmentations) for track in tracks], np.int64)
    first = np.cumsum(lengths) - lengths
    every = [segmentation for track in tracks for segmentation in track.segmentations]
    # Most masks are codes, which are told apart without a call.
    present = [
        place for place, one in enumerate(every) if (type(one) is Rle and one.counts is not None) or not is_absent(one)
    ]
    segmentations = [every[place] for place in present]
    of_track = frame = np.repeat(np.arange(len(tracks)), lengths)[present]
    videos = [dataset.videos[dataset.places[track.video_id]] for track in tracks]
    sizes = [(video.height, video.width) for video in videos]
    if dataset.official_quirks:
        own = zip(segmentations, of_track.tolist(), strict=True)
        sizes, frame = [_own_size(one, sizes[track]) for one, track in own], np.arange(len(present))

    def named(index: int) -> str:
        track = of_track[index]
        return f"{root}[{tracks[track].place}].segmentations[{present[index] - first[track]}]"

    codes = without_empty_runs(compress(segmentations, sizes, frame, path, named))
    places, areas_px = np.full(len(every), -1), np.zeros(len(every), np.int64)
    places[present] = np.arange(len(present))
    areas_px[present] = codes.areas_px
    masked = []
    for track, start, stop in zip(tracks, first.tolist(), (first + lengths).tolist(), strict=True):
        masks = TrackMasks(codes, places[start:stop], areas_px[start:stop])
        area = _mean_area(track.areas if track.areas is not None else masks.areas_px.tolist())
        masked.append(MaskedTrack(**{**vars(track), "segmentations": ()}, masks=masks, area=area))
    return tuple(masked)


def _videos(path: Path, entries: list[_Video], named: bool, official_quirks: bool) -> tuple[Video, ...]:
    ids = read_ids([entry.id for entry in entries], path, "videos", unique=not official_quirks)
    videos = []
    for place, (number, entry) in enumerate(zip(ids, entries, strict=True)):
        where = f"{path}: videos[{place}]"
        names = tuple(entry.file_names or ())
        for frame, name in enumerate(names):
            check_name(name, f"{where}.file_names[{frame}]")
        if named and not names:
            raise InputError(f"{where}: has no file_names, so its frames cannot be found; add them")
        # Where a length is given beside the file names, the names count, as for everybody who reads the frames.
        frames = len(names) or None
        if not names and entry.length is not None:
            frames = whole_number(entry.length, f"{where}.length", 0, MAX_FRAMES)
        videos.append(Video(number, names, *read_size(entry.height, entry.width, where), frames))
    return tuple({video.video_id: video for video in videos}.values())


def _require_lengths(
    path: Path, root: str, entries: Sequence[_Annotation | _Result], videos: Sequence[Video], frames_of: dict[Id, int]
) -> None:
    """Refuse a track whose length is not its video's; ``frames_of`` learns the length of videos that do not say it."""
    for place, (entry, video) in enumerate(zip(entries, videos, strict=True)):
        found = len(entry.segmentations)
        frames = video.frames if video.frames is not None else frames_of.setdefault(video.video_id, found)
        if found != frames:
            raise InputError(
                f"{path}: {root}[{place}].segmentations: {found} entries for the {frames} frames of video "
                f"{video.video_id}; give one per frame, null where the object is absent"
            )


def _annotated_tracks(dataset: YoutubeVisDataset, entries: list[_Annotation]) -> tuple[Track, ...]:
    path, videos, quirks = dataset.path, dataset.videos, dataset.official_quirks
    units = ("video_id", dataset.places)
    ids, of_video, class_index, crowd = read_columns(path, entries, units, dataset.categories, quirks)
    if not quirks:
        _require_lengths(path, "annotations", entries, [videos[place] for place in of_video.tolist()], {})
    tracks = []
    for place in np.flatnonzero((of_video >= 0) & (class_index >= 0)).tolist():
        entry = entries[place]
        track = Track(
            track_id=ids[place],
            video_id=videos[of_video[place]].video_id,
            class_index=int(class_index[place]),
            place=place,
            crowd=bool(crowd[place]),
            segmentations=tuple(None if is_absent(frame) else frame for frame in entry.segmentations),
            areas=None if entry.areas is None else tuple(entry.areas),
        )
        tracks.append(track)
    return tuple(tracks)


def read_tracks(path: Path, dataset: YoutubeVisDataset) -> tuple[MaskedTrack, ...]:
    """Read a YouTube-VIS results file (``.json`` or ``.json.gz``) that is for the videos of a dataset.

    Args:
        path: the file.
        dataset: the videos it is for. If it was loaded with the official quirks, results of unknown categories are
            dropped and ragged tracks and masks of other sizes let through, as in the official code; that too refuses
            results of unknown videos, and fails on an empty list.

    Raises:
        DataError: if the file is absent.
        InputError: naming the place of bad JSON, a wrong type, an unknown id, a ragged track or a bad mask.
    """
    quirks = dataset.official_quirks
    remedy = "a result needs video_id, category_id, score and segmentations"
    results = read_typed(path, list[_Result], "results file", remedy, "results")
    if quirks and not results:
        raise InputError(f"{path}: the official evaluator cannot score an empty list; leave out --official-quirks")
    remedy, units = f"these results are not for {dataset.path.name}", ("video_id", dataset.places)
    lenient = ("category_id",) if quirks else ()
    of_video, class_index = references(path, "results", results, units, dataset.categories, remedy, lenient)
    videos = [dataset.videos[place] for place in of_video.tolist()]
    if not quirks:
        known = {track.video_id: len(track.segmentations) for track in dataset.tracks}
        _require_lengths(path, "results", results, videos, known)
    tracks = [
        Track(
            track_id=place + 1,
            video_id=video.video_id,
            class_index=index,
            place=place,
            score=result.score,
            segmentations=tuple(result.segmentations),
        )
        for place, (result, video, index) in enumerate(zip(results, videos, class_index.tolist(), strict=True))
    ]
    return tuple(track for track in _masked(dataset, tracks, path, "results") if track.class_index >= 0)
