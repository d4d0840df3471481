"""What command modules share: the look of a group's help, and options that mean the same in every command."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from suite.progress import CONTROLS

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Option = Callable[[Decorated], Decorated]

PATH = click.Path(path_type=Path)
SIDES_PX = range(32, 4097)


class CommandGroup(click.Group):
    """A click group that lists each command with the whole first paragraph of its help, wrapped instead of cut off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; hidden ones are left out."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                paragraph = inspect.cleandoc(command.help or "").split("\n\n")[0]
                rows.append((name, " ".join(paragraph.split())))
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


class RegularFile(click.ParamType[Path]):
    """A file to write, or to read at any place in it: no folder, pipe or device, which is found before any work."""

    name = "FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path.

        Raises:
            click.BadParameter: if a folder, pipe or device is there.
        """
        path = Path(value)
        if path.exists() and not path.is_file():
            self.fail(f"{path} is not a regular file", param, ctx)
        return path


class FiniteRange(click.FloatRange):
    """A finite number in a range; click takes "nan" for one in any range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; raises `click.BadParameter` for any other text."""
        number: float = super().convert(value, param, ctx)
        if not abs(number) < float("inf"):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class InputSize(click.ParamType[tuple[int, int]]):
    """The size of a network's input, typed as ``HEIGHTxWIDTH`` in pixels and passed on as (height_px, width_px)."""

    name = "HEIGHTxWIDTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return the two sides in pixels.

        Raises:
            click.BadParameter: if the text is not two whole numbers joined by ``x``, or a side is out of bounds.
        """
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", str(value).strip().lower(), re.ASCII)
        sides = (int(match[1]), int(match[2])) if match else (0, 0)
        if not all(side in SIDES_PX for side in sides):
            self.fail(
                f"{value!r} is not HEIGHTxWIDTH with sides from {SIDES_PX[0]} to {SIDES_PX[-1]} px, e.g. 640x864",
                param,
                ctx,
            )
        return sides


class Checkpoint(RegularFile):
    """A checkpoint: a file, the name of weights that come with the package, or ``hf:user/repo`` of Hugging Face."""

    name = "FILE|NAME|hf:USER/REPO"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the file's path; whether it is a checkpoint is found when it is read.

        Raises:
            click.BadParameter: if a repository's weights cannot be had.
        """
        from reference_model.config import CheckpointError, find_checkpoint

        try:
            return super().convert(find_checkpoint(value), param, ctx)
        except CheckpointError as error:
            self.fail(str(error), param, ctx)


def checkpoint_option(default: str | None = None) -> Option[Any]:
    """Return the option ``--checkpoint``, passed on as a path or None.

    Args:
        default: the name of the weights taken without the option.
    """
    help_text = "Weights (.safetensors) of a MobileInst; shapes: the shipped ones; hf:user/repo."
    return click.option("--checkpoint", type=Checkpoint(), default=default, show_default=True, help=help_text)


def options(*shared: Option[Any]) -> Option[Any]:
    """Return one decorator that gives a command several options, listed by ``--help`` in this order."""

    def decorate(function: Decorated) -> Decorated:
        for option in reversed(shared):
            function = option(function)
        return function

    return decorate


def size_option(default: str = "each model's own") -> Option[Any]:
    """Return the option ``--size``; a command receives (height_px, width_px) or None.

    Args:
        default: what is taken without the option, for the help.
    """
    return click.option(
        "--size", type=InputSize(), metavar="HEIGHTxWIDTH", help=f"Input size in pixels; default: {default}."
    )


def seed_option(what: str) -> Option[Any]:
    """Return the option ``--seed``, a whole number from 0.

    Args:
        what: what is drawn from the seed, for the help.
    """
    return click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help=what)


def json_option(instead_of: str = "a table") -> Option[Any]:
    """Return the option ``--json``, passed on as ``as_json``.

    Args:
        instead_of: what is printed without the option, for the help.
    """
    return click.option("--json", "as_json", is_flag=True, help=f"Print one JSON object instead of {instead_of}.")


def show(as_json: bool, values: Any, text: str) -> None:
    """Print a result on standard output: as one JSON object, in which NaN is refused, or as text."""
    click.echo(json.dumps(values, allow_nan=False) if as_json else text.removesuffix("\n").translate(CONTROLS))


def records_option() -> Option[Any]:
    """Return the option ``--records``, passed on as a folder of record files."""

    def folder(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path:
        from suite.paths import records_dir

        return value or records_dir()

    kind = click.Path(exists=True, file_okay=False, path_type=Path)
    help_text = "Folder of record files; default: reports/records."
    return click.option("--records", type=kind, callback=folder, help=help_text)


def metric_option() -> Option[Any]:
    """Return the option ``--metric``, the name of a metric of the records or None."""

    def known(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        from suite.records.schema import METRICS

        if value is not None and value not in METRICS:
            raise click.BadParameter(f"{value}: unknown; known: {', '.join(METRICS)}")
        return value

    return click.option("--metric", callback=known, help="Only this metric, e.g. mask_ap.")


def core_option() -> Option[Any]:
    """Return the option ``--core``, the processor core that a measurement is pinned to."""

    def usable(ctx: click.Context, param: click.Parameter, value: int | None) -> int | None:
        from suite.latency.child import usable_cores

        if value is not None and value not in (cores := usable_cores()):
            raise click.BadParameter(f"core {value} is not one of {', '.join(map(str, cores))} that this may run on")
        return value

    return click.option("--core", type=int, callback=usable, help="Core to pin to; default: the idlest one.")


def pairs_option(each: str = "model") -> Option[Any]:
    """Return the option ``--pairs``, the samples that a timing takes or None; two make a round.

    Args:
        each: what the samples are of, for the help.
    """
    help_text = f"Samples per {each}, from 20, since a ratio's interval needs rounds; default: the protocol's."
    return click.option("--pairs", type=click.IntRange(20, 100_000), help=help_text)


def record_option() -> Option[Any]:
    """Return the option ``--record``, which adds the run to the records that the report is made from."""
    return click.option("--record", is_flag=True, help="Also write a record under reports/records.")
