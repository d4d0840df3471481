"""What stands against measuring on a device now."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that stands against measuring (``refuses``) or has to be said beside the number.

    Attributes:
        refuses: whether no run may start.
        what: what was seen.
        remedy: what to do.
        passes: whether waiting is enough, as for a device that is too warm.
    """

    refuses: bool
    what: str
    remedy: str
    passes: bool = False

    def line(self) -> str:
        """Return the finding as one line."""
        return f"{'refused' if self.refuses else 'note'}: {self.what}; {self.remedy}"
