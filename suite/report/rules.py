"""The rules of the verdicts, read from `rules.toml`: tolerances, dates, reasons, and changes made after the fact."""

from __future__ import annotations

import datetime
from pathlib import Path

import msgspec

from suite.typed import read_typed


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule.

    Attributes:
        since: when it was written.
        reason: why it is this and no other.
        says: the sentence that the ledger prints, with the rule's own numbers and the case's facts as ``{name}``.
    """

    since: datetime.date
    reason: str
    says: str


class ToleranceRule(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many AP points below the published value still count, or by which share a latency or ratio may differ."""

    tolerance: float


class RatioRule(ToleranceRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same of a latency ratio, and how near to 1 a ratio says "equally fast"."""

    even_tolerance: float


class TrendRule(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many standard errors a mean gain over paired seeds must exceed, and how few seeds decide nothing.

    ``power`` is the chance, 0 to 1, with which the stated smallest gain would have been shown.
    """

    standard_errors: float
    min_seeds: int
    power: float


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change of a rule after numbers that it judges were seen."""

    rule: str
    date: datetime.date
    what: str


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    accuracy: ToleranceRule
    other_split: ToleranceRule
    latency: ToleranceRule
    estimate: Rule
    ratio: RatioRule
    trend: TrendRule
    change: list[Change]

    def sentence(self, name: str, **facts: object) -> str:
        """Return what a rule says of a case, and that it was changed after its numbers were seen where it was.

        ``facts`` are what the sentence names beside the rule's own numbers.
        """
        rule: Rule = getattr(self, name)
        text = rule.says.format(**{**msgspec.structs.asdict(rule), **facts})
        dates = ", ".join(str(change.date) for change in self.change if change.rule == name)
        return f"{text} (changed after its numbers were seen: {dates})" if dates else text


RULES = read_typed(Path(__file__).with_suffix(".toml"), Rules, "verdict rules", "restore it from version control")
