"""Tracks results too large for git (predictions, raw timing samples) with DVC, for any remote of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from suite.datasets.digests import directory_digest, file_md5
from suite.datasets.dvc_check import run_dvc
from suite.errors import DataError, InputError
from suite.files import write_text
from suite.paths import repository_root

RESULTS_FOLDER = "results"
"""Holds one small ``.dvc`` file per kept result; one file for all would need all of them here to change one."""


def _relative(path: Path) -> str:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; check the path")
    try:
        relative = path.resolve().relative_to(repository_root())
    except ValueError:
        raise InputError(f"{path}: lies outside the repository; copy it to runs/ first") from None
    if not relative.parts or relative.parts[0] in (".git", ".dvc", RESULTS_FOLDER):
        raise InputError(f"{path}: cannot be kept; name a file or folder of results, e.g. below runs/")
    return relative.as_posix()


def _measured(relative: str) -> dict[str, Any]:
    path = repository_root() / relative
    if path.is_dir():
        md5, size, files = directory_digest(path)
        return {"md5": md5, "size": size, "nfiles": files, "hash": "md5", "path": relative}
    return {"md5": file_md5(path), "size": path.stat().st_size, "hash": "md5", "path": relative}


def _tracked(text: str) -> str | None:
    """Return the path that a ``.dvc`` file of ours tracks, or None if it is not one."""
    try:
        path = yaml.safe_load(text)["outs"][0]["path"]
    except (yaml.YAMLError, LookupError, TypeError):
        return None
    return str(path)


def keep(path: Path) -> str:
    """Track a file or folder in ``results/`` and copy it into DVC's cache, ready for ``dvc push``.

    Args:
        path: a result inside the repository, e.g. ``runs/seed0/results.json``; measured again if tracked already.

    Returns:
        One line with the path, its digest and the ``.dvc`` file that brings it back.

    Raises:
        DataError: if the path does not exist or DVC refuses; nothing is changed then.
        InputError: if the path lies outside the repository, or another result has the name of its ``.dvc`` file.
    """
    out = _measured(_relative(path))
    name = f"{RESULTS_FOLDER}/{out['path'].replace('/', '-')}.dvc"
    target = repository_root() / name
    before = target.read_text(encoding="utf-8") if target.exists() else None
    if before is not None and (other := _tracked(before)) not in (None, out["path"]):
        raise InputError(f"{out['path']}: {name} already tracks {other}; rename one of the two, then run this again")
    write_text(target, yaml.safe_dump({"wdir": "..", "outs": [out]}, sort_keys=False, width=120))
    run = run_dvc("commit", name)
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
        if before is None:
            target.unlink()
        else:
            write_text(target, before)
        raise DataError(f"{out['path']}: dvc does not keep it ({reason}); {name} is as before")
    return f"{out['path']}: kept, {out['md5']}, {out['size']} bytes; 'dvc push', then 'dvc pull {name}' brings it back"
