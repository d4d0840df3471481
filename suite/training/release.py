"""A release of trained weights: everything somebody else needs to check them, in one archive.

It holds the weights, the model card, the sealed record of the training, every results file given with its protocol, its
score and, where it is of held-out videos, their list, and ``SHA256SUMS`` over all of them. Nothing is packed whose
digest does not tie it to the weights.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from reference_model.weights import CheckpointError, load_checkpoint
from suite.accuracy.intervals import RESAMPLES
from suite.accuracy.mask_ap import score_coco
from suite.accuracy.predict import protocol_path
from suite.accuracy.segmenter import ReferenceSegmenter
from suite.accuracy.video_ap import score_youtube_vis
from suite.datasets.local_split import read_local_split
from suite.errors import DataError, InputError
from suite.files import atomic_path, file_digest, read_json
from suite.records.store import RunFile, read_run
from suite.training.finish import CARD
from suite.training.state import write_errors

WEIGHTS = "model.safetensors"
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class ScoredResults:
    """A results file of the weights, and the ground truth that it is scored with.

    Attributes:
        results: made by ``python -m suite predict``, with ``NAME.protocol.json`` beside it.
        annotations: with ground truth; None packs the results without a score, as for a test server.
        split_ids: list of the held-out videos that the results are for; results of all videos do not need it.
    """

    results: Path
    annotations: Path | None
    split_ids: Path | None = None


@dataclass(frozen=True)
class Release:
    """A packed archive.

    Attributes:
        path: of the archive.
        sha256: of the archive.
        files: SHA-256 of each file in it.
        scores: AP in [0, 1] of each scored results file.
        cautions: what must be said where the archive is published.
    """

    path: Path
    sha256: str
    files: Mapping[str, str]
    scores: Mapping[str, float]
    cautions: tuple[str, ...]


def record_of(folder: Path, weights_sha256: str) -> RunFile:
    """Return the training record of a run's folder.

    Raises:
        DataError: if there is none.
        InputError: if none is of these weights, or one is damaged.
    """
    runs = [read_run(path) for path in sorted(folder.glob("*.jsonl"))]
    if not runs:
        raise DataError(f"{folder}: no record beside the weights; train with 'python -m suite train', which writes it")
    fitting = [run for run in runs if any(series.subject.weights_sha256 == weights_sha256 for series in run.series)]
    if not fitting:
        raise InputError(f"{folder / WEIGHTS}: the record beside it is of other weights; train again")
    return fitting[-1]


def _protocol(scored: ScoredResults, model_digest: str) -> dict[str, Any]:
    path = protocol_path(scored.results)
    made = read_json(path, "protocol file")
    if not isinstance(made, dict) or not {"results_sha256", "model_sha256", "task", "annotations_sha256"} <= set(made):
        raise InputError(f"{path}: not a protocol file of 'python -m suite predict'; predict again")
    if made["results_sha256"] != file_digest(scored.results):
        raise InputError(f"{scored.results}: changed after it was predicted (its protocol file says); predict again")
    if made["model_sha256"] != model_digest:
        raise InputError(f"{scored.results}: predicted by other weights (its protocol file says); predict with these")
    if scored.annotations is not None and made["annotations_sha256"] != file_digest(scored.annotations):
        raise InputError(f"{scored.results}: predicted for other annotations than {scored.annotations}; name its own")
    return made


def _list_of(scored: ScoredResults, part: str | None) -> Path | None:
    """Return the list of the videos that results are for, None if they are for all: the others would count as missed.

    Args:
        scored: the results.
        part: digest of the list that they were predicted with, from their protocol.
    """
    if part is None or scored.annotations is None:
        return None
    if scored.split_ids is None:
        raise InputError(f"{scored.results}: predicted for the videos of a list only; name it with --split-ids")
    if not scored.split_ids.is_file():
        raise DataError(f"{scored.split_ids}: no such list of videos; check the path")
    if file_digest(scored.split_ids) != part:
        raise InputError(f"{scored.results}: predicted for the videos of another list than {scored.split_ids}")
    return scored.split_ids


def _score(results: Path, annotations: Path, task: str, listed: Path | None) -> dict[str, Any]:
    if task == "coco":
        return score_coco(annotations, results, resamples=RESAMPLES).to_json()
    ids = None if listed is None else read_local_split(listed, annotations).video_ids
    return score_youtube_vis(annotations, results, resamples=RESAMPLES, video_ids=ids).to_json()


def pack(folder: Path, scored: Sequence[ScoredResults], out: Path) -> Release:
    """Pack a finished run; equal inputs give equal archives, byte for byte.

    Args:
        folder: of the run, with weights, record and card.
        scored: results files of these weights.
        out: the ``.tar`` to write.

    Raises:
        DataError: if a file is absent.
        InputError: if a file is damaged, or not of these weights.
    """
    weights, card = folder / WEIGHTS, folder / CARD
    for needed in (weights, card):
        if not needed.is_file():
            raise DataError(f"{needed}: absent; a finished 'python -m suite train' writes it")
    record = record_of(folder, file_digest(weights))
    try:
        model, _ = load_checkpoint(weights)
    except CheckpointError as error:
        raise InputError(str(error)) from None
    digest = ReferenceSegmenter(model, model.config).digest()
    content: dict[str, bytes | Path] = {WEIGHTS: weights, CARD: card, "record.jsonl": record.path}
    scores: dict[str, float] = {}
    cautions = [] if record.run.git_dirty is False else ["trained with uncommitted changes: nobody else has this code"]
    for item in scored:
        name = f"scored/{item.results.name}"
        if name in content:
            raise InputError(f"{item.results}: two results files of this name; rename one")
        if not item.results.is_file():
            raise DataError(f"{item.results}: no such results file; check the path")
        made = _protocol(item, digest)
        content |= {name: item.results, f"scored/{protocol_path(item.results).name}": protocol_path(item.results)}
        if made.get("caution"):
            cautions.append(f"{item.results.name}: {made['caution']}")
        if item.annotations is None:
            continue
        listed = _list_of(item, made.get("part"))
        if listed is not None:
            content[f"scored/{item.results.stem}.split_ids.json"] = listed
        score = _score(item.results, item.annotations, made["task"], listed)
        content[f"scored/{item.results.stem}.score.json"] = json.dumps(score, sort_keys=True, indent=1).encode()
        scores[item.results.name] = score["stats"]["AP"]
    if not scored:
        cautions.append("no scored results: the weights come without a number that anybody can check")
    files = {
        name: file_digest(found) if isinstance(found, Path) else sha256(found).hexdigest()
        for name, found in sorted(content.items())
    }
    content[SUMS] = "".join(f"{value}  {name}\n" for name, value in files.items()).encode()
    with write_errors(str(out), "make room, or name another place"), atomic_path(out) as temporary:
        _write(temporary, content, out.stem)
    return Release(out, file_digest(out), files, scores, tuple(cautions))


def _write(path: Path, content: Mapping[str, bytes | Path], top: str) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, found in sorted(content.items()):
            member = tarfile.TarInfo(f"{top}/{name}")
            member.mode = 0o644
            if isinstance(found, bytes):
                member.size = len(found)
                archive.addfile(member, io.BytesIO(found))
                continue
            member.size = found.stat().st_size
            with found.open("rb") as stream:
                archive.addfile(member, stream)
