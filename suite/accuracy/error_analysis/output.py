"""An analysis of errors as text for a person, and as lines of a record."""

from __future__ import annotations

from collections.abc import Mapping

from suite.accuracy.error_analysis.analysis import Analysis, Part
from suite.accuracy.error_analysis.kinds import AS_SCORED, SPECIAL_KINDS, Kind
from suite.accuracy.score import percent
from suite.records.schema import Dataset, Measurement, Scalar, Subject
from suite.text_table import TextColumn, text_table


def _parts(title: str, parts: Mapping[str, Part], kinds: tuple[Kind, ...]) -> list[str]:
    """Return a row for each part that has objects or costs AP."""
    columns = [TextColumn(title)]
    columns += [TextColumn(name, number=True) for name in ("objects", "AP50", *(kind.label for kind in kinds))]
    rows = []
    for name, part in parts.items():
        if part.objects or any(part.gains.values()):
            costs = [percent(part.gains[kind]) if kind in part.gains else "-" for kind in kinds]
            rows.append([name, str(part.objects), percent(part.ap50), *costs])
    return text_table(columns, rows)


def analysis_text(analysis: Analysis) -> str:
    """Return the ladder, the breakdowns and the worst units as lines; AP in percent, ``-`` where undefined."""
    what, unit = ("mask AP50", "image") if analysis.score.task == "coco" else ("video AP50", "video")
    lines = [f"{what} {percent(analysis.ap50)} percent; what each kind of error costs: undone alone, and one by one"]
    rungs = [
        [rung.kind.label, str(rung.count), percent(rung.gain), percent(rung.reached), rung.kind.meaning]
        for rung in analysis.rungs
    ]
    special = [[kind.label, "", percent(analysis.special[kind]), "", kind.meaning] for kind in SPECIAL_KINDS]
    numbers = [TextColumn(title, number=True) for title in ("count", "adds", "ladder")]
    lines += text_table([TextColumn("error"), *numbers, TextColumn("meaning")], rungs + special)
    kinds = analysis.judged.kinds
    lines += ["", "what each kind of error costs in AP50, by category and by size of the objects"]
    lines += [*_parts("category", analysis.by_category, kinds), "", *_parts("size", analysis.by_size, kinds), ""]
    if analysis.worst:
        lines.append(f"{unit}s whose errors cost most AP50")
        lines += [f"{unit} {item.id:<12}{100 * item.gain:>7.3f}  {item.errors}" for item in analysis.worst]
    return "\n".join(lines + [f"note: {note}" for note in analysis.score.notes])


UNDEFINED = "no ground truth falls into this part"


def error_lines(
    analysis: Analysis, subject: Subject, dataset: Dataset, protocol: dict[str, Scalar]
) -> list[Measurement]:
    """Return what each kind of error costs, the ladder, and AP and AP50 by category and by size.

    The metrics are ``*_error_ap50``, ``*_ladder_ap50``, ``*_part_ap`` and ``*_part_ap50``, for masks or videos. Where
    nothing is annotated a value is null with its reason. Subject, dataset and protocol are those of
    `suite.accuracy.score.stat_lines`; ``error``, ``category`` or ``size`` is added to the protocol.
    """
    kind_of_ap = "mask" if analysis.score.task == "coco" else "video"
    lines: list[Measurement] = []

    def add(metric: str, value: float, extra: dict[str, Scalar]) -> None:
        defined = value >= 0 and analysis.ap50 >= 0
        reason = None if defined else UNDEFINED
        fields = {**protocol, **extra}
        lines.append(
            Measurement(f"{kind_of_ap}_{metric}", value if defined else None, subject, fields, dataset, reason=reason)
        )

    add("ladder_ap50", analysis.ap50, {"error": AS_SCORED})
    for rung in analysis.rungs:
        # Undoing an error never lowers AP; what is below 0 is rounding.
        add("error_ap50", max(rung.gain, 0.0), {"error": rung.kind.name})
        add("ladder_ap50", rung.reached, {"error": rung.kind.name})
    for kind, gain in analysis.special.items():
        add("error_ap50", max(gain, 0.0), {"error": kind.name})
    for key, parts in (("category", analysis.by_category), ("size", analysis.by_size)):
        for name, part in parts.items():
            add("part_ap", part.ap, {key: name})
            add("part_ap50", part.ap50, {key: name})
    return lines
