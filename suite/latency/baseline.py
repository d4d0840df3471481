"""Another commit's graph of a model, exported by that commit's own code in a work tree of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from suite.errors import InputError, NothingMeasuredError
from suite.export.artifact import GraphArtifact
from suite.latency.pinning import ONE_THREAD_ENVIRONMENT
from suite.paths import repository_root, runs_dir
from suite.progress import say

EXPORT_LIMIT_S = 900
EXPORT = """
import json, pathlib, sys
from suite.latency.prepare import prepare_model
name, seed, folder = sys.argv[1:]
graph = prepare_model(name, seed=int(seed), folder=pathlib.Path(folder)).timed.graphs["whole"]
print(json.dumps({"path": str(graph.path), "sha256": graph.sha256, "reference": str(graph.reference)}))
"""


def _git(*words: str, root: Path) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise InputError(
            f"git {' '.join(words[:2])}: {done.stderr.strip() or 'failed'}; name a commit of this repository"
        )
    return done.stdout.strip()


def resolve_commit(revision: str | None) -> str:
    """Return the full SHA of a revision.

    Args:
        revision: anything git understands. None means the last commit if files differ from it, and the one before
            otherwise: what is compared with it is then never itself.

    Raises:
        InputError: if git does not know it, or this is not a git checkout.
    """
    root = repository_root()
    if revision is None:
        dirty = _git("status", "--porcelain", "--untracked-files=no", "--", "reference_model", "suite", root=root)
        revision = "HEAD" if dirty else "HEAD~1"
    return _git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}", root=root)


@contextmanager
def work_tree(sha: str) -> Iterator[Path]:
    """Check a commit out beside this one for a while; nothing of this checkout changes."""
    root = repository_root()
    with tempfile.TemporaryDirectory(prefix="latency-baseline-") as folder:
        path = Path(folder) / "tree"
        _git("worktree", "add", "--detach", str(path), sha, root=root)
        try:
            yield path
        finally:
            _git("worktree", "remove", "--force", str(path), root=root)


def baseline_graphs(sha: str, models: Sequence[str], seed: int = 0) -> dict[str, GraphArtifact]:
    """Export models with the code of a commit.

    Args:
        sha: the commit.
        models: names that the commit knows.
        seed: of the random weights, the same as this code's.

    Returns:
        The graphs by model, kept under ``runs/onnx/baseline``.

    Raises:
        InputError: if the commit cannot export a model; the message has its last line.
        NothingMeasuredError: if an export does not end in time.
    """
    folder = runs_dir() / "onnx" / "baseline"
    graphs = {}
    with work_tree(sha) as tree:
        environment = {**os.environ, **ONE_THREAD_ENVIRONMENT, "PYTHONPATH": str(tree)}
        for name in models:
            say(f"baseline: {name} with the code of {sha[:12]}")
            try:
                done = subprocess.run(
                    [sys.executable, "-c", EXPORT, name, str(seed), str(folder.resolve())],
                    cwd=tree,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=EXPORT_LIMIT_S,
                )
            except subprocess.TimeoutExpired:
                raise NothingMeasuredError(
                    f"baseline {sha[:12]}: {name} was not exported in {EXPORT_LIMIT_S} s; free the machine, run again"
                ) from None
            if done.returncode != 0:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise InputError(f"baseline {sha[:12]}: cannot export {name} ({last}); name a later commit")
            answer = json.loads(done.stdout.strip().splitlines()[-1])
            graphs[name] = GraphArtifact(Path(answer["path"]), answer["sha256"], Path(answer["reference"]))
    return graphs
