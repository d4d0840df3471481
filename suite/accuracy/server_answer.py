"""What an evaluation server answered, read from the forms that servers used.

* ``lines``: the twelve lines that COCOeval prints, in COCO's ``stdout.txt``. The server printed them for each category
  first and overall last, after the words "overall performance".
* ``json``: an object ``{"AP": 0.3, "AP_50": ...}``, also inside other objects or lists.
* ``pairs``: a line ``AP: 0.3`` for each number, as CodaLab's ``scores.txt``. Of COCO's test-dev phase that file held
  the numbers of val2017 (codalab-competitions, issue 3538), so it is not taken for test-dev.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from suite.accuracy.score import STATS
from suite.errors import InputError
from suite.files import read_unpacked, refuse_constant
from suite.paths import shown

Form = Literal["lines", "json", "pairs", "typed in"]

LARGEST_BYTES = 2**22
"""A longer answer is no answer: the twelve numbers of every category fit many times."""

_LINE = re.compile(
    r"Average\s+(?:Precision|Recall)\s+\((?P<kind>AP|AR)\)\s*@\[\s*IoU=(?P<iou>[\d.:]+)\s*\|\s*area=\s*(?P<area>\w+)\s*"
    r"\|\s*maxDets=\s*(?P<cap>\d+)\s*\]\s*=\s*(?P<value>\S+)"
)
_BY_LINE = {
    ("AP", "0.50:0.95", "all", "100"): "AP",
    ("AP", "0.50", "all", "100"): "AP50",
    ("AP", "0.75", "all", "100"): "AP75",
    ("AP", "0.50:0.95", "small", "100"): "APs",
    ("AP", "0.50:0.95", "medium", "100"): "APm",
    ("AP", "0.50:0.95", "large", "100"): "APl",
    ("AR", "0.50:0.95", "all", "1"): "AR1",
    ("AR", "0.50:0.95", "all", "10"): "AR10",
    ("AR", "0.50:0.95", "all", "100"): "AR100",
    ("AR", "0.50:0.95", "small", "100"): "ARs",
    ("AR", "0.50:0.95", "medium", "100"): "ARm",
    ("AR", "0.50:0.95", "large", "100"): "ARl",
}
_OVERALL = re.compile(r"overall\s+performance", re.IGNORECASE)
_BOXES = re.compile(r"Evaluate annotation type \*bbox\*")
_PAIR = re.compile(r"(?P<key>[A-Za-z][\w@.\- ]*?)\s*[:=]\s*(?P<value>[-+\d.eE]+|nan|NaN)")
_ALIASES = {
    "map": "ap",
    "ap05": "ap50",
    "ap075": "ap75",
    "apsmall": "aps",
    "apmedium": "apm",
    "aplarge": "apl",
    "arsmall": "ars",
    "armedium": "arm",
    "arlarge": "arl",
    "armax1": "ar1",
    "armax10": "ar10",
    "armax100": "ar100",
}
_NAMES = {name.lower(): name for name in STATS}
REMEDY = "give the file that has the numbers, or type them with --metric AP=0.312 and keep this file as the receipt"


@dataclass(frozen=True)
class Answer:
    """Numbers of a server by official name (`suite.accuracy.score.STATS`), fractions, -1 where it says undefined."""

    form: Form
    stats: dict[str, float]


def official_name(key: str) -> str | None:
    """Return the official name of a statistic, whatever its spelling (``AP_50``, ``mAP``, ``AR_max_1``), or None."""
    plain = re.sub(r"[^a-z0-9]", "", key.lower())
    return _NAMES.get(_ALIASES.get(plain, plain))


def _number(where: str, text: object) -> float:
    try:
        value = math.nan if isinstance(text, bool) else float(str(text))
    except ValueError:
        value = math.nan
    if value == -1:
        return value
    if not 0 <= value <= 1:
        raise InputError(f"{where}: {text} is no fraction between 0 and 1; write percentages as --metric AP=31.2%")
    return value


def _lines(path: Path, text: str) -> dict[str, float] | None:
    found = list(_LINE.finditer(text))
    if not found:
        return None
    if _BOXES.search(text):
        raise InputError(f"{shown(path)}: holds the AP of boxes (annotation type *bbox*), not of masks; {REMEDY}")
    overall = list(_OVERALL.finditer(text))
    if len(overall) == 1:
        found = [line for line in found if line.start() > overall[0].end()]
    stats: dict[str, float] = {}
    for line in found:
        place = f"{shown(path)}: line {text.count(chr(10), 0, line.start()) + 1}"
        name = _BY_LINE.get((line["kind"], line["iou"], line["area"], line["cap"]))
        if name is None:
            raise InputError(f"{place}: no line of the official evaluators; {REMEDY}")
        if name in stats:
            raise InputError(f"{place}: a second {name}; keep one evaluation in the file, the overall one")
        stats[name] = _number(place, line["value"])
    if missing := [name for name in STATS if name not in stats]:
        raise InputError(f"{shown(path)}: of the twelve lines {missing[0]} is missing; {REMEDY}")
    return stats


def _tables(value: Any) -> Iterable[Mapping[str, Any]]:
    """Yield every object, however deep, that has an AP itself."""
    if isinstance(value, dict):
        if any(official_name(key) == "AP" for key in value):
            yield value
        else:
            for inner in value.values():
                yield from _tables(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _tables(inner)


def _collect(path: Path, pairs: Iterable[tuple[str, str, Any]]) -> dict[str, float]:
    stats: dict[str, float] = {}
    for place, key, value in pairs:
        name = official_name(key)
        if name is None:
            continue
        if name in stats:
            raise InputError(f"{shown(path)}: {place}: a second {name}; keep one evaluation in the file")
        stats[name] = _number(f"{shown(path)}: {place}", value)
    return stats


def _json(path: Path, text: str) -> dict[str, float] | None:
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        content = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown(path)}: not valid JSON ({error}); {REMEDY}") from None
    tables = list(_tables(content))
    if len(tables) != 1:
        raise InputError(f"{shown(path)}: holds {len(tables)} tables with an AP instead of one; {REMEDY}")
    return _collect(path, ((key, key, value) for key, value in tables[0].items()))


def _pairs(path: Path, text: str) -> dict[str, float] | None:
    pairs = []
    for number, line in enumerate(text.splitlines(), start=1):
        found = _PAIR.fullmatch(line.strip())
        if found:
            pairs.append((f"line {number}", found["key"], found["value"]))
        elif line.strip():
            return None
    return _collect(path, pairs)


def read_answer(path: Path) -> Answer:
    """Read a server's answer.

    Args:
        path: ``stdout.txt``, ``scores.json``, ``scores.txt`` or the like.

    Raises:
        DataError: if the file is absent.
        InputError: if it is in no known form, holds several evaluations or none, or boxes' AP.
    """
    raw = read_unpacked(path, "server's answer")
    if raw[:4] == b"PK\x03\x04":
        raise InputError(f"{shown(path)}: is a zip; unpack it and give stdout.txt, scores.json or scores.txt from it")
    try:
        text = raw.decode("utf-8") if len(raw) <= LARGEST_BYTES else ""
    except UnicodeDecodeError:
        text = ""
    forms: tuple[tuple[Form, Any], ...] = (("lines", _lines), ("json", _json), ("pairs", _pairs))
    for form, read in forms:
        stats: dict[str, float] | None = read(path, text)
        if stats:
            if "AP" not in stats:
                raise InputError(f"{shown(path)}: holds no AP; {REMEDY}")
            return Answer(form, stats)
    raise InputError(f"{shown(path)}: in no known form of a server's answer; {REMEDY}")


def typed_answer(words: Iterable[str]) -> Answer:
    """Read numbers typed by a person: ``AP=0.312`` or ``AP=31.2%``.

    Raises:
        InputError: for an unknown or repeated name, or a value that is neither a fraction nor a percentage.
    """
    stats: dict[str, float] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"--metric {word}: has no value; write NAME=VALUE, e.g. AP=0.312")
        name = official_name(key)
        if name is None:
            raise InputError(f"--metric {word}: unknown; give NAME=VALUE with one of {', '.join(STATS)}")
        if name in stats:
            raise InputError(f"--metric {word}: {name} is given twice; leave one out")
        if value.endswith("%"):
            stats[name] = round(_number(f"--metric {word}", _hundredth(value[:-1])), 12)
        else:
            stats[name] = _number(f"--metric {word}", value)
    if "AP" not in stats:
        raise InputError("--metric: AP itself is missing; give --metric AP=...")
    return Answer("typed in", stats)


def _hundredth(text: str) -> object:
    try:
        return float(text) / 100
    except ValueError:
        return text
