"""Which reference model a record was made with: a digest of its code that comments and docstrings do not change."""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import reference_model
from suite.paths import repository_root

PACKAGE = "reference_model"


def _meaning(source: bytes) -> str:
    """Return a module's code without comments, formatting and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                statement
                for statement in node.body
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            ] or [ast.Pass()]
    return ast.unparse(tree)


def code_digest(sources: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of some modules' code.

    Args:
        sources: path inside the package -> content.

    Raises:
        SyntaxError: if a file is not Python.
    """
    meanings = [f"{name}\n{_meaning(sources[name])}" for name in sorted(sources)]
    return hashlib.sha256("\n".join(meanings).encode()).hexdigest()


def present_digest() -> str:
    """Return the digest of the reference model on this disk."""
    folder = Path(reference_model.__file__).parent
    return code_digest({path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.py")})


@functools.cache
def digest_at_commit(sha: str) -> str | None:
    """Return the digest of the reference model of a commit, or None if git cannot show that commit."""
    try:
        archive = subprocess.run(
            ["git", "archive", sha, PACKAGE], cwd=repository_root(), capture_output=True, check=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    sources = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            content = files.extractfile(member) if member.name.endswith(".py") else None
            if content is not None:
                sources[member.name.removeprefix(f"{PACKAGE}/")] = content.read()
    return code_digest(sources)
