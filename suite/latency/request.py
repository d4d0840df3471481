"""What a user asks to be timed, on this machine or on a device: parsed, prepared, measured, recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from suite.errors import InputError
from suite.latency.device import Phone, RemoteDevice, load_device
from suite.latency.host import measure_host
from suite.latency.prepare import named_files, prepare_given, prepare_model
from suite.latency.report import LatencyReport, write_report
from suite.latency.spans import KEY_FRAME_INTERVALS, SPANS, TimedModel
from suite.paths import runs_dir
from suite.records.provenance import shown_command

if TYPE_CHECKING:
    from suite.latency.remote.target import Target

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_PICTURES = 24


def words_of(text: str, option: str, known: Collection[object] = ()) -> tuple[str, ...]:
    """Return the different, comma-separated words of an option.

    Raises:
        InputError: if there is none, one is given twice, or one is not known where ``known`` has any.
    """
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words or len(set(words)) != len(words):
        raise InputError(f"{option} {text!r}: give different names, separated by commas")
    if known and not set(words) <= set(map(str, known)):
        raise InputError(f"{option} {text!r}: choose from {', '.join(map(str, known))}")
    return words


def _checkpoints(paths: Sequence[Path], names: Sequence[str]) -> dict[str, Path]:
    """Return the checkpoints by the model that each holds."""
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
    pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)[:MAX_PICTURES]
    if not pictures:
        raise InputError(f"--images {folder}: holds no {', '.join(PICTURE_SUFFIXES)} file; name another folder")
    return tuple(pictures)


def timed_models(
    models: str | None,
    given: Sequence[str],
    size: tuple[int, int] | None,
    checkpoints: Sequence[Path],
    seed: int,
    runtime: str,
    spans: str | None = "network",
    key_frame_intervals: str = "1",
    images: Path | None = None,
) -> list[TimedModel]:
    """Export every model as its spans need it, and make the given graphs ready, in the order of the words.

    Raises:
        InputError: naming the option at fault and what it may be, or if a model or file is bad.
    """
    if models is None and not given:
        raise InputError("latency: nothing to time; name --models or --onnx")
    if size is not None and models is None:
        raise InputError("--size: a graph of --onnx has its own; leave it out, or name --models")
    names = () if models is None else words_of(models, "--models")
    files = named_files(given)
    intervals = words_of(key_frame_intervals, "--key-frame-intervals", KEY_FRAME_INTERVALS)
    options: dict[str, Any] = {
        "size": size,
        "spans": words_of(spans, "--spans", SPANS) if spans else (),
        "key_frame_intervals": [int(word) for word in intervals],
        "images": _pictures(images),
        "runtime": runtime,
        "seed": seed,
    }
    weights = _checkpoints(checkpoints, names)
    timed = [prepare_model(name, checkpoint=weights.get(name), **options) for name in names]
    return timed + [prepare_given(path, name, runtime, seed) for name, path in files.items()]


def measure_here(
    protocol: str,
    pairs: int | None,
    attempts: int | None,
    core: int | None,
    seed: int,
    record: bool,
    **words: Any,
) -> LatencyReport:
    """Measure by the words of ``latency host``, those of `timed_models` among them; record the report if asked to.

    Raises:
        InputError: naming the option at fault and what it may be, or if a model or file is bad.
        NothingMeasuredError: if the measured process crashed.
    """
    chosen = load_device("host").protocol(protocol).with_samples(pairs)
    if attempts is not None:
        chosen = msgspec.structs.replace(chosen, attempts=attempts)
    report = measure_host(timed_models(seed=seed, **words), chosen, core)
    if record:
        write_report(report, "latency-host", seed)
    return report


def _without(private: str) -> str:
    """Return the command as it was typed, but for the serial number or address, which no record publishes."""
    named = (private, f"--serial={private}", f"--ssh={private}")
    words = shown_command().split(" ")
    return " ".join(word.removesuffix(private) + "DEVICE" if word in named else word for word in words)


def measure_device(
    device: RemoteDevice,
    reach: Callable[[], Target],
    engine: str,
    runner: Path | None,
    protocol: str,
    pairs: int | None,
    seed: int,
    record: bool,
    **words: Any,
) -> LatencyReport:
    """Measure by the words of ``latency device``, those of `timed_models` among them; record it if all of it is valid.

    ``reach`` opens the device, once the runner is there.

    Raises:
        InputError: if an option or file is bad, or the device cannot be reached.
        NothingMeasuredError: if nothing could be measured.
    """
    from suite.latency.remote.measure import measure_remote
    from suite.latency.remote.plan import ENGINES

    chosen = ENGINES[engine]
    built = runs_dir() / "runners" / ("android" if isinstance(device, Phone) else "linux") / f"{chosen.name}_runner"
    program = runner or built
    if not program.is_file():
        raise InputError(f"{program}: no such file; build the runner as docs/phone.md describes")
    target = reach()
    target.require_fit()
    timed = timed_models(seed=seed, runtime=chosen.host_runtime, **words)
    report = measure_remote(target, timed, device.protocol(protocol).with_samples(pairs), chosen, program, seed)
    if record and report.valid_count == len(report.results):
        write_report(report, "latency-device", seed, _without(target.transport.name))
    return report
