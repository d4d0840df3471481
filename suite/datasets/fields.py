"""Checked access to the fields of the official JSON files: every fault is one line naming file and place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from suite.errors import InputError
from suite.files import read_json


@dataclass(frozen=True)
class Categories:
    """The category table of one file, in the file's order.

    Attributes:
        ids: dataset category ids; the position in it is the contiguous class index.
        names: one name per id.
    """

    ids: tuple[int, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def index_of(self, path: Path, place: str, category_id: int) -> int:
        """Return the contiguous class index of a category id.

        Raises:
            InputError: naming ``path`` and ``place``, if the table has no such id.
        """
        try:
            return self.ids.index(category_id)
        except ValueError:
            raise InputError(
                f"{path}: {place}.category_id {category_id} is not among the file's categories; correct or remove it"
            ) from None


def read_object(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON file that must hold an object.

    Raises:
        DataError: if the file is absent.
        InputError: if it cannot be parsed or holds something else.
    """
    content = read_json(path, what)
    if not isinstance(content, dict):
        raise InputError(f"{path}: a {what} must hold an object, not {_kind(content)}; is it a results file?")
    return content


def _kind(value: object) -> str:
    return {list: "a list", dict: "an object", str: "a string", type(None): "null"}.get(type(value), f"{value!r}")


def member(path: Path, place: str, entry: dict[str, Any], key: str) -> Any:
    """Return ``entry[key]``.

    Raises:
        InputError: if the key is missing.
    """
    if key not in entry:
        raise InputError(f"{path}: {place} has no '{key}'; add it or use the official file")
    return entry[key]


def integer(path: Path, place: str, entry: dict[str, Any], key: str) -> int:
    """Return ``entry[key]``, which must be an integer."""
    value = member(path, place, entry, key)
    if type(value) is not int:
        raise InputError(f"{path}: {place}.{key} must be an integer, not {value!r:.60}; correct it")
    return value


def positive(path: Path, place: str, entry: dict[str, Any], key: str) -> int:
    """Return ``entry[key]``, which must be an integer above 0."""
    value = integer(path, place, entry, key)
    if value < 1:
        raise InputError(f"{path}: {place}.{key} must be at least 1, not {value}; correct it")
    return value


def boolean_flag(path: Path, place: str, entry: dict[str, Any], key: str) -> bool:
    """Return ``entry[key]``, which must be 0 or 1, as a boolean; False where it is absent."""
    value = entry.get(key, 0)
    if value not in (0, 1):
        raise InputError(f"{path}: {place}.{key} must be 0 or 1, not {value!r:.60}; correct it")
    return bool(value)


def relative_name(path: Path, place: str, key: str, value: Any) -> str:
    """Return a file name that stays inside its folder.

    Raises:
        InputError: if it is not a string, is absolute or climbs out with ``..``.
    """
    if not isinstance(value, str) or not value or "\0" in value:
        raise InputError(f"{path}: {place}.{key} must be a file name, not {value!r:.60}; correct it")
    if PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts:
        raise InputError(f"{path}: {place}.{key} {value!r} leads out of the image folder; give it relative to it")
    return value


def objects(
    path: Path, content: dict[str, Any], key: str, optional: bool = False
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, object) for each entry of the list ``content[key]``; place reads like ``images[3]``.

    Args:
        path: the file, for messages.
        content: the file's content.
        key: the list's name.
        optional: whether the list may be absent.

    Raises:
        InputError: if the list is missing or holds anything but objects.
    """
    if optional and content.get(key) is None:
        return
    listed = member(path, "the file", content, key)
    if not isinstance(listed, list):
        raise InputError(f"{path}: '{key}' must be a list, not {_kind(listed)}; use the official file")
    for number, entry in enumerate(listed):
        if not isinstance(entry, dict):
            raise InputError(f"{path}: {key}[{number}] must be an object, not {_kind(entry)}; correct it")
        yield f"{key}[{number}]", entry


def unique(path: Path, key: str, ids: Iterable[int]) -> None:
    """Refuse a list in which two entries have the same id.

    Raises:
        InputError: naming both entries.
    """
    seen: dict[int, int] = {}
    for number, identity in enumerate(ids):
        if identity in seen:
            raise InputError(
                f"{path}: {key}[{number}] and {key}[{seen[identity]}] have the same id {identity}; give each its own"
            )
        seen[identity] = number


def read_categories(path: Path, content: dict[str, Any]) -> Categories:
    """Read the category table of a COCO or YouTube-VIS file.

    Raises:
        InputError: if it is missing or empty, or if two categories share an id or a name.
    """
    entries = list(objects(path, content, "categories"))
    if not entries:
        raise InputError(f"{path}: 'categories' is empty; use the official file")
    ids = tuple(integer(path, place, entry, "id") for place, entry in entries)
    unique(path, "categories", ids)
    names = []
    for place, entry in entries:
        name = member(path, place, entry, "name")
        if not isinstance(name, str) or not name or name in names:
            raise InputError(f"{path}: {place}.name must be a name no other category has, not {name!r:.60}; correct it")
        names.append(name)
    return Categories(ids, tuple(names))
