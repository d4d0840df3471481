"""The command line: finds the commands under ``suite/commands/`` and turns errors into one line and an exit code.

Each module of ``suite/commands`` defines ``command``, a `click.Command` (or group) whose name is the word a user types.
These modules import click alone; what a command needs beyond it is imported when the command runs, so that
``--help`` answers at once and drawing a table never loads torch.
"""

from __future__ import annotations

import importlib
import io
import os
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

import suite.commands
from suite import __version__
from suite.command_options import CommandGroup
from suite.errors import INTERRUPTED, PASS, USAGE, SuiteError

CONSOLE_SCRIPT = "mobileinst-suite"

# Importable packages that only an extra of pyproject.toml installs, and the smallest such extra.
EXTRAS = {
    "cv2": "predict",
    "dvc": "data",
    "ncnn": "mobile",
    "onnx": "mobile",
    "onnx_ir": "mobile",
    "onnxruntime": "mobile",
    "onnxscript": "mobile",
    "pnnx": "mobile",
    "safetensors": "predict",
    "tensorboard": "train",
    "torch": "predict",
}
# Commands that need more than the first package they miss.
EXTRA_OF_COMMAND = {"ablation": "run", "reproduce": "run", "train": "train"}


class CommandFolder(CommandGroup):
    """A click group whose commands are the modules of ``suite/commands`` (``_`` in a module name is typed ``-``)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names, sorted."""
        return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(suite.commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, or None where no module has that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"suite.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


@click.command(cls=CommandFolder, name=CONSOLE_SCRIPT, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=CONSOLE_SCRIPT)
def entry() -> None:
    """Check MobileInst's published numbers: train, score, time, compare, draw."""


def program_name() -> str:
    """Return how this program was started, so that a hint can be typed as it stands."""
    started = Path(sys.argv[0]).stem
    return CONSOLE_SCRIPT if started == CONSOLE_SCRIPT else "python -m suite"


def missing_extra(error: ModuleNotFoundError, command: str) -> str | None:
    """Return what to install as one line, or None where no extra has the module: that is a defect of the suite.

    Args:
        error: the failed import.
        command: the word typed after the program's name.
    """
    package = (error.name or "").split(".")[0]
    if package not in EXTRAS:
        return None
    extra = EXTRA_OF_COMMAND.get(command, EXTRAS[package])
    return (
        f"{package} is not installed, {command} needs the extra '{extra}'; "
        f"in the repository: {sys.executable} -m pip install -c constraints.txt -e '.[{extra}]'"
    )


def usage_line(error: click.UsageError) -> str:
    """Return a click usage error as one line that ends with the help command to read."""
    where = error.ctx.command_path if error.ctx else program_name()
    message = " ".join(error.format_message().split()).rstrip(".")
    return f"{message}; see '{where} --help'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after the program's name; ``sys.argv[1:]`` if None.

    Returns:
        The exit code: 0 pass, 1 regression, 2 usage, 3 nothing measured, 4 data missing, 75 stopped by the
        system and saved, 130 interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # A name that the terminal's encoding lacks must not end the command.
    try:
        result = entry.main(args=arguments, prog_name=program_name(), standalone_mode=False)
        sys.stdout.flush()
    except SuiteError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.UsageError as error:
        click.echo(f"error: {usage_line(error)}", err=True)
        return USAGE
    except click.ClickException as error:
        click.echo(f"error: {' '.join(error.format_message().split())}", err=True)
        return error.exit_code
    except ModuleNotFoundError as error:
        remedy = missing_extra(error, next(iter(sys.argv[1:] if arguments is None else arguments), ""))
        if remedy is None:
            raise
        click.echo(f"error: {remedy}", err=True)
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (a pager, `head`) has gone; /dev/null takes what the interpreter flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PASS
    return result if isinstance(result, int) else PASS
