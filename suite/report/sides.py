"""What a user means by one side of a comparison: a record file, a folder of records, a model, a run or a commit."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.errors import InputError, NothingMeasuredError
from suite.paths import repository_root
from suite.records.store import RunFile, read_folder, read_run
from suite.report.select import Cell, select_cells


@dataclass(frozen=True)
class Side:
    """One side.

    Attributes:
        title: what it is, e.g. ``"commit f7118537b1"``.
        runs: the runs it consists of, oldest first.
        cells: what the selection rule made of them, of the named model only where a model was named.
    """

    title: str
    runs: tuple[RunFile, ...]
    cells: tuple[Cell, ...]

    @property
    def models(self) -> set[str]:
        """The models that were measured."""
        return {cell.model for cell in self.cells}


def _side(title: str, runs: Sequence[RunFile], model: str | None = None) -> Side:
    cells = [cell for cell in select_cells(runs)[0] if model is None or cell.model == model]
    return Side(title, tuple(runs), tuple(cells))


def _commit(name: str) -> str | None:
    """Return the full SHA of anything git understands as a commit, or None."""
    words = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    try:
        done = subprocess.run(words, cwd=repository_root(), capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def find_side(name: str, runs: Sequence[RunFile]) -> Side:
    """Return what ``name`` stands for: tried in this order, a path, a model, a commit, a part of a run's id.

    Args:
        name: a ``.jsonl`` file, a folder of them, a model's name, a commit (SHA, branch, ``HEAD~1``) or a run id.
        runs: the recorded runs in which models, runs and commits are looked up, oldest first.

    Raises:
        InputError: if it is none of these, a spoiled record, or fits several runs.
        NothingMeasuredError: if it is a commit from which nothing was measured.
    """
    path = Path(name)
    if path.is_file():
        return _side(f"record {path.name}", [read_run(path)])
    if path.is_dir():
        found, refused = read_folder(path)
        if refused:
            raise InputError(f"{path}: {refused[0]}")
        return _side(f"records in {path.name}", found)
    if any(item.subject.model == name for file in runs for item in file.measurements):
        return _side(f"model {name}", runs, name)
    sha = name.lower() if re.fullmatch(r"[0-9a-fA-F]{7,40}", name) else ""
    commits = {file.run.git_sha for file in runs if file.run.git_sha and sha and file.run.git_sha.startswith(sha)}
    if len(commits) != 1:
        matches = [file for file in runs if name in file.run.run_id]
        if len(matches) == 1:
            return _side(f"run {matches[0].run.run_id}", matches)
        if matches:
            listed = ", ".join(file.run.run_id for file in matches[:6])
            raise InputError(f"{name!r} fits {len(matches)} runs: {listed}; write more of one")
    full = next(iter(commits)) if len(commits) == 1 else _commit(name)
    if full is None:
        raise InputError(
            f"{name!r} is no record file, folder, model, run or commit; 'python -m suite records --csv' has the names"
        )
    measured = [file for file in runs if file.run.git_sha == full]
    if not measured:
        known = list(dict.fromkeys((file.run.git_sha or "")[:10] for file in runs if file.run.git_sha))
        raise NothingMeasuredError(
            f"no record was measured at commit {full[:10]}; commits with records: {', '.join(known[-6:]) or 'none'}"
        )
    return _side(f"commit {full[:10]}", measured)
