"""Options that several commands have, asked for in the same words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def seed_option(what: str) -> Callable[[Any], Any]:
    """Return the option ``--seed``, a whole number from 0.

    Args:
        what: what is drawn from it, the option's help.
    """
    return click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help=what)
