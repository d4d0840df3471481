"""What a user asks to be timed on a phone or board: parsed, prepared, measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.latency.device import Device
from suite.latency.prepare import prepare_model
from suite.latency.protocol import Protocol
from suite.latency.remote.engine import Engine, load_engine
from suite.latency.remote.measure import measure_remote
from suite.latency.remote.report import RemoteReport
from suite.latency.remote.runner import Runner
from suite.latency.remote.target import Target
from suite.latency.request import checkpoints_of, words_of
from suite.latency.timed_model import TimedModel
from suite.paths import runs_dir


@dataclass(frozen=True)
class RemoteRequest:
    """A checked request; see the options of ``latency phone`` and ``latency board``."""

    models: tuple[str, ...]
    size: tuple[int, int] | None
    checkpoints: dict[str, Path]
    protocol: Protocol
    engine: Engine
    runner: Runner
    seed: int

    @staticmethod
    def from_text(
        models: str,
        size: tuple[int, int] | None,
        checkpoints: Sequence[Path],
        pairs: int | None,
        protocol: str,
        engine: str,
        runner: Path | None,
        libraries: Sequence[Path],
        seed: int,
        device: Device,
    ) -> RemoteRequest:
        """Check the words of a command line.

        Raises:
            InputError: naming the option and what it may be.
        """
        names = words_of(models, "--models")
        loaded = load_engine(engine)
        return RemoteRequest(
            models=names,
            size=size,
            checkpoints=checkpoints_of(checkpoints, names),
            protocol=device.protocol(protocol).with_samples(pairs),
            engine=loaded,
            runner=Runner(runner or default_runner(device, loaded), tuple(libraries)),
            seed=seed,
        )

    def prepared(self) -> list[TimedModel]:
        """Export every model and convert it to the engine's format.

        Raises:
            InputError: if a model, size or file is bad.
        """
        return [
            prepare_model(
                name,
                checkpoint=self.checkpoints.get(name),
                size=self.size,
                seed=self.seed,
                runtime=self.engine.host_runtime,
            ).timed
            for name in self.models
        ]


def default_runner(device: Device, engine: Engine) -> Path:
    """Return where docs/phone.md builds the runner: by the backend it is for."""
    return runs_dir() / "runners" / ("android" if device.backend == "adb" else "linux") / f"{engine.name}_runner"


def measure_request_on(target: Target, request: RemoteRequest, notes: Sequence[str]) -> RemoteReport:
    """Prepare every model of a request and measure them together on a device.

    Args:
        target: the device, inspected.
        request: what to time and how.
        notes: what has to be said beside the numbers.

    Raises:
        InputError: if a model, size or file is bad.
        NothingMeasuredError: if nothing could be measured.
    """
    return measure_remote(
        target, request.prepared(), request.protocol, request.engine, request.runner, request.seed, notes
    )
