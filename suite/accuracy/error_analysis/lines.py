"""An analysis of errors as lines of a record."""

from __future__ import annotations

from suite.accuracy.error_analysis.analysis import Analysis
from suite.accuracy.error_analysis.kinds import AS_SCORED
from suite.records.schema import Dataset, Measurement, Scalar, Subject

UNDEFINED = "no ground truth falls into this part"


def error_lines(
    analysis: Analysis, subject: Subject, dataset: Dataset, protocol: dict[str, Scalar]
) -> list[Measurement]:
    """Return what each kind of error costs, the ladder, and AP and AP50 by category and by size.

    Args:
        analysis: of the scored results file.
        subject: the scored model.
        dataset: the scored data.
        protocol: everything that defines the numbers; ``error``, ``category`` or ``size`` is added to it.

    Returns:
        Metrics ``*_error_ap50``, ``*_ladder_ap50``, ``*_part_ap`` and ``*_part_ap50``, for masks or videos. Where
        nothing is annotated a value is null with its reason.
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
