"""Which reference model a record was made with: a digest of its code that comments and docstrings do not change."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from pathlib import Path

import reference_model


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
    """Return the digest of the reference model on this disk, as far as training and prediction run through it."""
    folder = Path(reference_model.__file__).parent
    sources = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.py")}
    return code_digest(sources)
