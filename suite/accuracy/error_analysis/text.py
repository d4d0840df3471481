"""An analysis of errors as text for a person."""

from __future__ import annotations

from collections.abc import Mapping

from suite.accuracy.error_analysis.analysis import Analysis, Part
from suite.accuracy.error_analysis.kinds import SPECIAL_KINDS, Kind


def _percent(value: float) -> str:
    return "-" if value < 0 else f"{100 * value:.2f}"


def _errors(counts: Mapping[Kind, int]) -> str:
    return ", ".join(f"{amount} {kind.label}" for kind, amount in counts.items() if amount)


def _parts(title: str, parts: Mapping[str, Part], kinds: tuple[Kind, ...]) -> list[str]:
    width = max([len(title), *map(len, parts)]) + 2
    heads = [kind.label for kind in kinds]
    wide = [max(8, len(head)) + 2 for head in heads]
    lines = [title.ljust(width) + f"{'objects':>9}{'AP':>8}{'AP50':>8}" + "".join(map(str.rjust, heads, wide))]
    for name, part in parts.items():
        costs = [_percent(part.gains[kind]) if kind in part.gains else "-" for kind in kinds]
        lines.append(
            f"{name.ljust(width)}{part.objects:>9}{_percent(part.ap):>8}{_percent(part.ap50):>8}"
            + "".join(map(str.rjust, costs, wide))
        )
    return lines


def analysis_text(analysis: Analysis) -> str:
    """Return the ladder, the breakdowns and the worst units as lines; AP in percent, ``-`` where undefined."""
    what, unit = ("mask AP50", "image") if analysis.score.task == "coco" else ("video AP50", "video")
    lines = [
        f"{what} {_percent(analysis.ap50)} percent; what undoing each kind of error alone would add, and the ladder"
    ]
    lines.append(f"{'error':<22}{'count':>8}{'adds':>8}{'ladder':>9}  meaning")
    for rung in analysis.rungs:
        numbers = f"{rung.count:>8}{_percent(rung.gain):>8}{_percent(rung.reached):>9}"
        lines.append(f"{rung.kind.label:<22}{numbers}  {rung.kind.meaning}")
    for kind in SPECIAL_KINDS:
        lines.append(f"{kind.label:<22}{'':>8}{_percent(analysis.special[kind]):>8}{'':>9}  {kind.meaning}")
    kinds = analysis.judged.kinds
    lines += ["", "what each kind of error costs in AP50, by category and by size of the objects"]
    lines += [*_parts("category", analysis.by_category, kinds), *_parts("size", analysis.by_size, kinds), ""]
    if analysis.worst:
        lines.append(f"{unit}s whose errors cost most AP50")
        lines += [f"{unit} {item.id:<12}{100 * item.gain:>7.3f}  {_errors(item.counts)}" for item in analysis.worst]
    return "\n".join(lines + [f"note: {note}" for note in analysis.score.notes])
