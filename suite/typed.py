"""The one reader of files with known fields: JSON, TOML and YAML into msgspec structs, each fault with its place."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from suite.errors import InputError
from suite.files import read_json, read_unpacked

Kind = TypeVar("Kind")


def _refusal(error: msgspec.ValidationError, start: str, root: str, remedy: str) -> InputError:
    """Return msgspec's complaint as one line: file, place, reason, remedy."""
    why, _, place = str(error).partition(" - at `$")
    where = (root + place.rstrip("`")).lstrip(".")
    middle = f"{where}: " if where else ""
    return InputError(f"{start}: {middle}{why[:1].lower()}{why[1:]}; {remedy}")


def convert(values: Any, kind: type[Kind], where: str, remedy: str, root: str = "", strict: bool = True) -> Kind:
    """Return plain values as a typed structure.

    Args:
        values: dictionaries, lists, numbers and strings, e.g. from another format's parser.
        kind: the structure; its own ``forbid_unknown_fields`` decides whether unknown keys are refused.
        where: how the message begins, usually the file's path.
        remedy: what to do about a wrong field.
        root: how the message calls the outermost value; empty where its keys speak for themselves.
        strict: whether numbers that come as text, as from CSV, are refused.

    Raises:
        InputError: naming the place of a missing or unknown key or of a value of the wrong type or range.
    """
    try:
        return msgspec.convert(values, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise _refusal(error, where, root, remedy) from None


DEEPEST = 100
"""Levels of a YAML file; libyaml's loader overflows the stack some thousands deeper."""


def read_typed(path: Path, kind: type[Kind], what: str, remedy: str, root: str = "") -> Kind:
    """Read a file into a typed structure: TOML and YAML by suffix, everything else as JSON (gzip recognised).

    Args:
        path: the file; ``.toml``, ``.yaml``, ``.yml`` and ``.dvc`` are read as their names say.
        kind: the type of the whole document; its own ``forbid_unknown_fields`` decides about unknown keys.
        what: how messages call the file, e.g. ``"results file"``.
        remedy: what to do about a wrong field, e.g. ``"see docs/training.md"``.
        root: how messages call the outermost value, e.g. ``"results"``; empty where its keys speak for themselves.

    Raises:
        DataError: if the file is absent.
        InputError: naming the line and column of a syntax error, or the place of a wrong value,
            e.g. ``results[3].score``.
    """
    raw = read_unpacked(path, what)
    if path.suffix not in (".toml", ".yaml", ".yml", ".dvc"):
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.ValidationError as error:
            raise _refusal(error, str(path), root, remedy) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            del raw
            read_json(path, what)
            raise InputError(f"{path}: not a valid {what} ({error}); write the file again") from None
    return convert(_plain_values(path, raw, what), kind, str(path), remedy, root)


def _plain_values(path: Path, raw: bytes, what: str) -> Any:
    """Parse TOML or YAML.

    Raises:
        InputError: if the bytes are not UTF-8 or not of the format.
    """
    if path.suffix == ".toml":
        try:
            return tomllib.loads(raw.decode("utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            raise InputError(f"{path}: not a {what} in TOML ({error}); correct it or restore the file") from None
    import yaml

    try:
        # libyaml reads ten times as fast; where PyYAML was built without it, the slow loader reads the same.
        text, loader, depth = raw.decode("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader), 0
        for event in yaml.parse(text, loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError("nested too deeply")
        return yaml.load(text, loader)
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: not a {what} in YAML ({error}); correct it or restore the file") from None
