"""Pins what has no published digest yet, from a file on this disk whose counts are the official ones."""

from __future__ import annotations

import re

from suite.datasets.digests import directory_digest, file_md5
from suite.datasets.official import check_counts, measured_counts
from suite.datasets.pins import PINS_NAME, Pin, load_pins, pins_path
from suite.errors import DataError, InputError
from suite.files import write_text

_MEASURED_KEYS = ("md5", "size", "nfiles", "hash")


def pin_from_disk(name: str) -> str:
    """Write the digest and size of a file on this disk into ``datasets.dvc``.

    Args:
        name: a pin without a digest, or a generated dataset whose generator was changed on purpose.

    Returns:
        One line about what was pinned and what it was found to hold.

    Raises:
        InputError: if there is no such pin, or it has a published digest, which is never replaced.
        DataError: if the file is absent or its counts are not the official ones.
    """
    pins = load_pins()
    if name not in pins:
        raise InputError(f"{PINS_NAME}: no dataset '{name}'; known: {', '.join(pins)}")
    pin = pins[name]
    if pin.md5 is not None and not pin.generator:
        raise InputError(
            f"{PINS_NAME}: {name} is already pinned to {pin.md5}, which is never replaced by a measured one"
        )
    if not pin.file.exists():
        raise DataError(f"{pin.path}: absent; {pin.how_to_get()}, then pin it")
    if pin.is_folder:
        md5, size, files = directory_digest(pin.file)
        found = f"{files} files"
        measured: dict[str, str | int] = {"md5": md5, "size": size, "nfiles": files, "hash": "md5"}
    else:
        found = check_counts(name, measured_counts(pin), pin.path)
        measured = {"md5": file_md5(pin.file), "size": pin.file.stat().st_size, "hash": "md5"}
    text = pins_path().read_text(encoding="utf-8")
    _write_checked(_with_measured(text, pin, measured), pins, pin)
    return f"{pin.path}: pinned to {measured['md5']}, {measured['size']} bytes, {found}"


def _with_measured(text: str, pin: Pin, measured: dict[str, str | int]) -> str:
    """Return the file's text with the measured keys of one out replaced; all other lines stay as they are."""
    blocks = re.split(r"(?m)^(?=- )", text)
    for number, block in enumerate(blocks):
        lines = re.sub(r"\A- ", "  ", block).splitlines(keepends=True)
        if not any(re.fullmatch(rf"  path: ['\"]?{re.escape(pin.path)}['\"]?\n?", line) for line in lines):
            continue
        kept = [line for line in lines if not re.match(rf"  ({'|'.join(_MEASURED_KEYS)}):", line)]
        quoted = {
            key: f"'{value}'" if key == "md5" and str(value).isdigit() else value for key, value in measured.items()
        }
        fresh = "".join(f"  {key}: {value}\n" for key, value in quoted.items()) + "".join(kept)
        blocks[number] = "- " + fresh[2:]
        return "".join(blocks)
    raise InputError(f"{PINS_NAME}: the entry of {pin.path} is not written as one key a line; pin it by hand")


def _write_checked(text: str, before: dict[str, Pin], pin: Pin) -> None:
    """Write the new text, and put the old one back unless exactly one pin has changed."""
    path = pins_path()
    old = path.read_text(encoding="utf-8")
    write_text(path, text)
    try:
        after = load_pins()
    except InputError:
        after = {}
    others = {name: other for name, other in after.items() if name != pin.name}
    if pin.name not in after or others != {name: other for name, other in before.items() if name != pin.name}:
        write_text(path, old)
        raise InputError(f"{PINS_NAME}: cannot be edited safely for {pin.name}; pin it by hand")
