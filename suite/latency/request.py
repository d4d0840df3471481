"""What a user asks to be timed on this machine: parsed, prepared, measured, recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.errors import InputError
from suite.export.runtime import runtime_names
from suite.latency.device import load_device
from suite.latency.host import measure_host
from suite.latency.prepare import prepare_model
from suite.latency.protocol import Protocol
from suite.latency.report import HostReport, record_lines
from suite.records.provenance import start_run
from suite.records.store import write_run

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_PICTURES = 24


@dataclass(frozen=True)
class HostRequest:
    """A checked request; see the options of ``latency host``."""

    models: tuple[str, ...]
    size: tuple[int, int] | None
    checkpoints: dict[str, Path]
    spans: tuple[str, ...]
    key_frame_intervals: tuple[int, ...]
    images: tuple[Path, ...]
    protocol: Protocol
    core: int | None
    seed: int
    runtime: str

    @staticmethod
    def from_text(
        models: str,
        size: tuple[int, int] | None,
        checkpoints: Sequence[Path],
        spans: str | None,
        key_frame_intervals: str,
        images: Path | None,
        pairs: int | None,
        attempts: int | None,
        protocol: str,
        core: int | None,
        seed: int,
        runtime: str,
    ) -> HostRequest:
        """Check the words of a command line.

        Raises:
            InputError: naming the option and what it may be.
        """
        names = words_of(models, "--models")
        if runtime not in runtime_names():
            raise InputError(f"--runtime {runtime}: no such runtime; known: {', '.join(runtime_names())}")
        chosen = load_device("host").protocol(protocol).with_samples(pairs)
        if attempts is not None:
            chosen = dataclasses.replace(chosen, attempts=attempts)
        return HostRequest(
            models=names,
            size=size,
            checkpoints=checkpoints_of(checkpoints, names),
            spans=() if spans is None else words_of(spans, "--spans"),
            key_frame_intervals=_intervals(key_frame_intervals),
            images=_pictures(images),
            protocol=chosen,
            core=core,
            seed=seed,
            runtime=runtime,
        )


def words_of(text: str, option: str) -> tuple[str, ...]:
    """Return the different, comma-separated words of an option.

    Raises:
        InputError: if there is none, or one is given twice.
    """
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words or len(set(words)) != len(words):
        raise InputError(f"{option} {text!r}: give different names, separated by commas")
    return words


def _intervals(text: str) -> tuple[int, ...]:
    words = words_of(text, "--key-frame-intervals")
    if not all(word.isdigit() for word in words):
        raise InputError(f"--key-frame-intervals {text!r}: give whole numbers, separated by commas")
    return tuple(int(word) for word in words)


def checkpoints_of(paths: Sequence[Path], names: Sequence[str]) -> dict[str, Path]:
    """Return the checkpoints by the model that each holds.

    Raises:
        InputError: if a file is no checkpoint, or holds a model that is not named or named before.
    """
    if not paths:
        return {}
    from reference_model.weights import CheckpointError, checkpoint_config

    found: dict[str, Path] = {}
    for path in paths:
        try:
            name = checkpoint_config(path).name
        except CheckpointError as error:
            raise InputError(str(error)) from None
        if name not in names:
            raise InputError(f"{path}: holds {name}, which --models does not name; add it there")
        if name in found:
            raise InputError(f"{path}: holds {name}, as {found[name]} does; give one checkpoint per model")
        found[name] = path
    return found


def _pictures(folder: Path | None) -> tuple[Path, ...]:
    if folder is None:
        return ()
    if not folder.is_dir():
        raise InputError(f"--images {folder}: no such folder; check the path")
    pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)[:MAX_PICTURES]
    if not pictures:
        raise InputError(f"--images {folder}: holds no {', '.join(PICTURE_SUFFIXES)} file; name another folder")
    return tuple(pictures)


def measure_request(request: HostRequest) -> HostReport:
    """Prepare every model of a request and measure them together.

    Raises:
        InputError: if a model, span, size or file is bad.
        NothingMeasuredError: if the measured process crashed.
    """
    timed = [
        prepare_model(
            name,
            checkpoint=request.checkpoints.get(name),
            size=request.size,
            spans=request.spans,
            key_frame_intervals=request.key_frame_intervals,
            images=request.images,
            seed=request.seed,
            runtime=request.runtime,
        ).timed
        for name in request.models
    ]
    return measure_host(timed, request.protocol, request.core)


def write_record(report: HostReport, seed: int) -> Path:
    """Write a report as a run of its own under ``reports/records`` and return the file's path."""
    return write_run(start_run("latency-host", seed=seed), record_lines(report))
