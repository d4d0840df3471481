"""Makes groups of pinned datasets true on this disk: generate, adopt, download, unpack, ask DVC."""

from __future__ import annotations

from pathlib import Path

from suite.datasets.adopt import adopt
from suite.datasets.download import DownloadOptions, download
from suite.datasets.dvc_check import dvc_changes
from suite.datasets.embedded import ensure
from suite.datasets.health import require_health
from suite.datasets.official import READY
from suite.datasets.pins import Pin, examine, select_pins
from suite.datasets.unpack import unpack
from suite.errors import DataError
from suite.paths import repository_root
from suite.progress import say

GOOD = ("verified", "unpacked", "adopted")


def fetch(
    groups: tuple[str, ...],
    source: Path | None = None,
    options: DownloadOptions | None = None,
    unpacking: bool = True,
) -> list[Pin]:
    """Bring every dataset of some groups.

    What needs a login is described on standard error and the others are brought first.

    Args:
        groups: as `suite.datasets.pins.select_pins` takes them.
        source: where to adopt files from before anything is downloaded, or None.
        options: how to download.
        unpacking: whether archives are unpacked too.

    Returns:
        The pins of the groups, all of them here and as pinned (or present, where nothing is pinned).

    Raises:
        DataError: if something could not be brought or is not what it should be.
    """
    pins = select_pins(groups)
    adopted = [pin.name for pin in pins if source is not None and adopt(pin, source)]
    if source is not None and not adopted:
        names = ", ".join(Path(pin.path).name for pin in pins)
        raise DataError(f"{source}: holds nothing of {' '.join(groups) or 'the embedded group'}; looked for {names}")
    for pin in pins:
        if pin.generator:
            ensure()
        elif pin.url and source is None:
            download(pin, options)
    missing = [state.explanation for pin in pins if (state := examine(pin)).status not in (*GOOD, "unpinned")]
    for line in missing if len(missing) > 1 else ():
        say(line)
    if unpacking:
        for pin in pins:
            if pin.unpack and examine(pin).status in (*GOOD, "unpinned") and unpack(pin):
                say(f"{pin.path}: unpacked into {pin.unpack}")
    for pin in pins:
        _check_ready(pin)
    if missing:
        raise DataError(missing[0] + (f" (and {len(missing) - 1} more, listed above)" if len(missing) > 1 else ""))
    confirm_with_dvc(pins)
    return pins


def _check_ready(pin: Pin) -> None:
    """Do a health check of the dataset an archive belongs to, as soon as its annotations and its images are here.

    Raises:
        DataError: if they do not belong together.
    """
    if pin.unpack is None or pin.name not in READY:
        return
    kind, annotations, images = READY[pin.name]
    folder = repository_root() / pin.unpack
    if (folder / annotations).is_file() and (folder / images).is_dir():
        say(require_health(kind, folder / annotations, folder / images).text())


def confirm_with_dvc(pins: list[Pin]) -> None:
    """Ask DVC about every pinned file that is here.

    Raises:
        DataError: if DVC does not agree that they are as pinned.
    """
    here = [pin.path for pin in pins if pin.md5 is not None and pin.file.exists()]
    changes = dvc_changes(here) if here else {}
    for path, word in changes.items():
        raise DataError(f"{path}: its digest is right but dvc calls it {word}; run 'dvc status {path}'")
