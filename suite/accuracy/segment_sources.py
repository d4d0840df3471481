"""A model over anybody's pictures and videos: instances of pictures, tracks of clips, drawn and as JSON."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from reference_model.images import Detection, detect
from reference_model.mobileinst import MobileInst, NonFiniteError
from reference_model.tracking import TrackingError
from suite.accuracy.drawings import Drawings, drawing_into
from suite.accuracy.segmenter import PredictionProtocol
from suite.accuracy.sources import Frame, Frames, Source, open_source, writing_video
from suite.datasets.categories import Categories
from suite.datasets.masks import encode_mask
from suite.drawing.overlay import COLOURS, Shape, paint, save_png
from suite.errors import InputError, NothingMeasuredError, SuiteError
from suite.paths import shown
from suite.progress import Step, say, track

SAY_EVERY_S = 5.0
DRAWN_PX = (480, 1280)
"""Least and largest width of a drawn picture: labels have one size, and no smaller one can be read."""

Found = tuple[Detection, int | None]
"""One instance, and the number of its object in its clip, from 1 in order of appearance; None in a picture."""


class SourceSegmenter:
    """Finds the instances of sources and writes what it found.

    Args:
        model: the network.
        categories: what its classes stand for; None calls them by number.
        protocol: input size, thresholds, and for clips the key-frame interval and association; an instance is found
            where its score is at least the protocol's score threshold.
        folder: where drawn pictures, clips and ``instances.json`` go; None draws nothing.
        max_frames: of a clip or camera; None for all.
    """

    def __init__(
        self,
        model: MobileInst,
        categories: Categories | None,
        protocol: PredictionProtocol,
        folder: Path | None = None,
        max_frames: int | None = None,
    ) -> None:
        self.model, self.protocol, self.folder, self.max_frames = model.eval(), protocol, folder, max_frames
        self.config, numbers = protocol.at_size(model.config), tuple(range(1, model.config.num_classes + 1))
        self.categories = categories or Categories(numbers, tuple(f"class {number}" for number in numbers))
        self.skipped: list[dict[str, str]] = []
        self._drawings: Drawings | None = None

    def run(self, sources: list[Source]) -> dict[str, Any]:
        """Predict over sources: all pictures first, then clip by clip.

        Returns:
            ``sources``, one object each with its instances, and ``skipped``, what could not be read and why.

        Raises:
            NothingMeasuredError: if nothing could be read.
            InputError: if the model's weights give no numbers, the folder holds another's ``instances.json``, or
                another process draws into it.
            DataError: if a result cannot be written.
        """
        if self.folder is None:
            return self._run(sources)
        with drawing_into(self.folder) as self._drawings:
            return self._run(self._drawings.others(sources))

    def _run(self, sources: list[Source]) -> dict[str, Any]:
        result: dict[str, Any] = {"model": self.config.name, "sources": [], "skipped": self.skipped}
        found = result["sources"]
        try:
            for made in self._each(sources):
                found.append(made)
        except NonFiniteError as error:
            raise InputError(f"{self.config.name}: {error}; use another checkpoint") from None
        except (KeyboardInterrupt, SystemExit):
            if self._drawings is not None and found:
                self._drawings.write(result)
            raise
        if not found:
            raise NothingMeasuredError(f"none of {len(sources)} sources could be read; see the lines above")
        if self._drawings is not None:
            self._drawings.write(result)
        return result

    def _each(self, sources: list[Source]) -> Iterator[dict[str, Any]]:
        """Yield what is found in each source that can be read."""
        if pictures := [source for source in sources if not source.clip]:
            with track("pictures", len(pictures)) as step:
                yield from filter(None, (self._picture(source, step) for source in pictures))
        yield from filter(None, (self._clip(source) for source in sources if source.clip))

    def _skip(self, source: Source, reason: str) -> None:
        self.skipped.append({"source": source.name, "reason": reason})
        say(f"skipped: {reason}")

    def _picture(self, source: Source, step: Step) -> dict[str, Any] | None:
        frame = next(open_source(source).each)
        if isinstance(frame, SuiteError):
            self._skip(source, str(frame))
            step()
            return None
        detections = detect(self.model, frame, self.config, self.protocol.thresholds())
        instances: list[Found] = [(item, None) for item in detections if item.score >= self.protocol.score_threshold]
        made = {"source": source.name, **self._described(frame, instances)}
        if self._drawings is not None:
            path = self._drawings.path_for(source, ".png")
            save_png(self._painted(frame, instances), path)
            self._drawings.note(path)
            made["drawn"] = str(path)
        step(f"{len(instances)} instances")
        return made

    def _clip(self, source: Source) -> dict[str, Any] | None:
        path = None if self._drawings is None else self._drawings.path_for(source, ".mp4")
        try:
            opened = open_source(source)
        except SuiteError as error:
            self._skip(source, str(error))
            return None
        with closing(opened.each), nullcontext() if path is None else writing_video(path, opened.drawn_per_s) as add:
            frames = list(self._frames(source, opened, add))
        if not frames:
            return None
        made = {
            "source": source.name,
            "frames_per_s": opened.per_s,
            "key_frame_interval": self.protocol.key_frame_interval,
            "association": self.protocol.association,
            "frames": frames,
        }
        if path is None or self._drawings is None:
            return made
        self._drawings.note(path)
        return made | {"drawn": str(path)}

    def _frames(
        self, source: Source, opened: Frames, add: Callable[[Frame, float], None] | None
    ) -> Iterator[dict[str, Any]]:
        """Track a clip frame by frame, and say how fast; Ctrl-C ends a camera as its last frame would."""
        online, numbers = self.protocol.tracker(self.model, self.config), dict[int, int]()
        total = min(filter(None, (opened.total, self.max_frames)), default=None)
        name, camera = source.name, source.camera
        if camera:
            say(f"{name}: Ctrl-C ends it")
        started = said = time.monotonic()
        with track(Path(name).name, total) if total else nullcontext() as step:
            try:
                for index, frame in enumerate(opened.each):
                    if index == self.max_frames:
                        break
                    try:
                        if isinstance(frame, SuiteError):
                            raise frame
                        seen = online.push(frame)
                    except (SuiteError, TrackingError) as error:
                        where = "" if isinstance(error, SuiteError) else f"{name}, frame {index}: "
                        self._skip(source, f"{where}{error}")
                        continue
                    instances: list[Found] = [
                        (item, numbers.setdefault(item.track_index, len(numbers) + 1))
                        for item in seen.instances
                        if item.score >= self.protocol.score_threshold
                    ]
                    at_s = index / opened.per_s if opened.time_s is None else opened.time_s()
                    if add is not None:
                        add(np.asarray(self._painted(frame, instances)), at_s)
                    said_of = {"frame": index, "time_s": round(at_s, 3), "key_frame": seen.is_key_frame}
                    yield said_of | self._described(frame, instances)
                    now = time.monotonic()
                    rate = f"{(index + 1) / max(now - started, 1e-9):.1f} frames/s"
                    if step is not None:
                        step(rate)
                    elif now - said >= SAY_EVERY_S:
                        said = now
                        say(f"{name}: {index + 1} frames, {rate}")
            except KeyboardInterrupt:
                if not camera:
                    raise

    def _described(self, frame: Frame, instances: list[Found]) -> dict[str, Any]:
        described = []
        for item, number in instances:
            code = encode_mask(item.mask)
            described.append(
                {
                    "category_id": self.categories.ids[item.class_index],
                    "category": self.categories.names[item.class_index],
                    "score": round(item.score, 5),
                    **({} if number is None else {"track": number}),
                    "bbox": coco_mask.toBbox(code).astype(int).tolist(),
                    "segmentation": code,
                }
            )
        return {"height": frame.shape[0], "width": frame.shape[1], "instances": described}

    def _painted(self, frame: Frame, instances: list[Found]) -> Image.Image:
        """Draw instances, the best one on top, at a width of `DRAWN_PX`; a track has one colour through the clip."""
        shapes = []
        for place, (item, number) in enumerate(instances):
            label = f"{'' if number is None else number} {self.categories.names[item.class_index]} {item.score:.2f}"
            colour = place if number is None else number - 1
            shapes.append(Shape(item.mask, COLOURS[colour % len(COLOURS)], label.lstrip()))
        width = frame.shape[1]
        return paint(frame, shapes[::-1], min(max(width, DRAWN_PX[0]), DRAWN_PX[1]))


def summary(result: Mapping[str, Any]) -> list[str]:
    """Return one line a source of `SourceSegmenter.run`'s result: what was found, and where it is drawn."""
    lines = []
    for source in result["sources"]:
        frames = source.get("frames", [source])
        classes: defaultdict[int, Counter[str]] = defaultdict(Counter)
        for frame in frames:
            for place, item in enumerate(frame["instances"]):
                classes[item.get("track", place)][item["category"]] += 1
        # A track whose class changes is one object, of its most frequent class.
        counts = Counter(found.most_common(1)[0][0] for _, found in sorted(classes.items()))
        words = ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"
        length = f" in {len(frames)} frames" if "frames" in source else ""
        drawn = f"; drawn in {shown(Path(source['drawn']))}" if "drawn" in source else ""
        lines.append(" ".join(f"{source['source']}: {words}{length}{drawn}".splitlines()))
    return lines
