"""The tables of the report: functions of the evidence, each marked with `table` in a module of this folder.

A new table is one new function here. Its name is that of its files, and nothing else has to list it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from suite.report.evidence import Evidence
from suite.report.table import Table

Build = Callable[[Evidence], Table]


class ReportTable(NamedTuple):
    """A table's place on the page, whether it is written as LaTeX for a paper, too, and the function that builds it."""

    place: int
    in_paper: bool
    build: Build


_marked: dict[str, ReportTable] = {}


def table(place: int, in_paper: bool = False) -> Callable[[Build], Build]:
    """Mark a function as a table of the report; the function's name becomes the table's, the evidence its origin."""

    def mark(function: Build) -> Build:
        @functools.wraps(function)
        def build(evidence: Evidence) -> Table:
            origin = (f"{evidence.coverage}.", evidence.provenance)
            return replace(function(evidence), name=function.__name__, origin=origin)

        _marked[function.__name__] = ReportTable(place, in_paper, build)
        return build

    return mark


def discover() -> dict[str, ReportTable]:
    """Return the tables of every module of this folder by name, in the page's order."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(_marked.items(), key=lambda item: item[1].place))
