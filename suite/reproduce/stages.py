"""The finished stages of a job on disk, so that the same command after a kill repeats none of them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence

import msgspec

from suite.errors import DataError
from suite.files import file_digest, write_bytes
from suite.paths import repository_root, runs_dir
from suite.progress import say
from suite.records.provenance import start_run
from suite.records.schema import Artifact, Measurement, Run, Series

Line = Measurement | Series | Artifact


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One finished stage: the run that it belongs to, or its lines of that run's record."""

    job: str
    run: Run | None = None
    lines: list[Line] = []


class Stages:
    """Stages of one job, each a JSON file under ``runs/stages``; a stage of another job of the same name is ignored.

    Args:
        name: of the job's folder.
        identity: everything the job depends on: options, recipe, data, code.
    """

    def __init__(self, name: str, *identity: str) -> None:
        self.folder = runs_dir() / "stages" / name
        self.job = hashlib.sha256("\n".join(identity).encode()).hexdigest()

    def _read(self, name: str) -> Stage | None:
        """Return a finished stage; None where it is absent, of another job, or its pictures have changed."""
        try:
            stage = msgspec.json.decode((self.folder / f"{name}.json").read_bytes(), type=Stage)
            artifacts = [line for line in stage.lines if isinstance(line, Artifact)]
            intact = all(file_digest(repository_root() / item.path) == item.sha256 for item in artifacts)
        except (OSError, DataError, msgspec.MsgspecError):
            return None
        return stage if intact and stage.job == self.job else None

    def run(self, name: str, command: str, seed: int) -> Run:
        """Return the first line of a record, the same one each time the job is continued; arguments as `start_run`."""
        stage = self._read(name)
        if stage is not None and stage.run is not None:
            return stage.run
        run = start_run(command, seed=seed)
        write_bytes(self.folder / f"{name}.json", msgspec.json.encode(Stage(self.job, run=run)))
        return run

    def lines(self, name: str, work: Callable[[], Sequence[Line]]) -> Sequence[Line]:
        """Return a stage's record lines: read where it is finished, otherwise by doing its work."""
        stage = self._read(name)
        if stage is not None:
            say(f"{name}: done before")
            return stage.lines
        lines = list(work())
        write_bytes(self.folder / f"{name}.json", msgspec.json.encode(Stage(self.job, lines=lines)))
        return lines

    def clear(self) -> None:
        """Remove all stages, once everything is recorded or to start afresh."""
        shutil.rmtree(self.folder, ignore_errors=True)
