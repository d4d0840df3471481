"""The command line: finds the commands under ``suite/commands/`` and turns errors into one line and an exit code.

Each module of ``suite/commands`` defines ``command``, a `click.Command` (or group) whose name is the word a user types.
These modules import click alone; what a command needs beyond it is imported when the command runs, so that
``--help`` answers at once and drawing a table never loads torch.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import pkgutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

import suite.commands
from suite import __version__
from suite.command_options import CommandGroup
from suite.errors import INTERRUPTED, PASS, UNEXPECTED, USAGE, InputError, SuiteError
from suite.files import DiskError
from suite.progress import CONTROLS, silence
from suite.signals import answering_interrupts

CONSOLE_SCRIPT = "mobileinst-suite"

REFUSALS = {errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EROFS}
"""What a disk refuses; nothing is wrong with the suite then."""
WRONG_PATHS = {errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG, errno.EPERM}
"""What is wrong with a path, be it read or written."""

# Importable packages that only an extra of pyproject.toml installs, and the smallest such extra.
EXTRAS = {
    "ai_edge_litert": "litert",
    "cv2": "predict",
    "dvc": "data",
    "executorch": "executorch",
    "huggingface_hub": "hub",
    "litert_torch": "litert",
    "ncnn": "mobile",
    "onnx": "mobile",
    "onnx_ir": "mobile",
    "onnxruntime": "mobile",
    "onnxscript": "mobile",
    "pnnx": "mobile",
    "safetensors": "predict",
    "tensorboard": "train",
    "torch": "predict",
    "trackeval": "trackers",
}
# Where not all of constraints.txt can hold: LiteRT's converter takes older releases of these (docs/deploy.md).
CONSTRAINTS = {"litert": "<(grep -vE '^(anyio|pydantic|typing)' constraints.txt)"}
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
        f"in the repository: {sys.executable} -m pip install -c {CONSTRAINTS.get(extra, 'constraints.txt')} "
        f"-e '.[{extra}]'"
    )


def usage_line(error: click.UsageError) -> str:
    """Return a click usage error as one line that ends with the help command to read."""
    where = error.ctx.command_path if error.ctx else program_name()
    message = " ".join(error.format_message().split()).rstrip(".")
    return f"{message}; see '{where} --help'"


def prepare_streams() -> None:
    """Make standard output and error usable: characters that the terminal lacks are replaced, closed errors are lost.

    Raises:
        InputError: if standard output is closed.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    if sys.stdout is None:
        raise InputError("standard output is closed; send it to a file or to /dev/null")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def what_is_full() -> str:
    """Name what an error without a file name is about: standard output, if not even a line break goes there."""
    try:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"\n")
    except io.UnsupportedOperation:  # a stream in memory
        return "a file"
    except OSError:
        silence(sys.stdout)
        return "standard output"
    return "a file"


def unexpected_line(error: BaseException) -> str:
    """Keep the traceback of a defect in a file, and return the line that says what happened and where it is."""
    what = f"{type(error).__name__}: {error}".splitlines()[0][:200].rstrip(": ")
    text = "".join(traceback.format_exception(error))
    try:
        handle, name = tempfile.mkstemp(prefix="mobileinst-suite-", suffix=".traceback.txt")
        with os.fdopen(handle, "w", errors="replace") as stream:
            stream.write(text)
    except OSError:
        return f"unexpected {what}; its traceback cannot be kept, the disk of {tempfile.gettempdir()} is full"
    return f"unexpected {what}; this is a defect of the suite, its traceback is in {name}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command as `console` does, and leave the signals as they were."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        return console(arguments)
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)


def console(arguments: Sequence[str] | None = None) -> int:
    """Run one command as the program.

    Args:
        arguments: the words after the program's name; ``sys.argv[1:]`` if None.

    Returns:
        The exit code: 0 pass, 1 regression, 2 usage, 3 nothing measured, 4 data missing, 70 an error nobody expected,
        75 stopped by the system and saved, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Read by OpenMP when torch is loaded. Its threads would spin while one of them waits for a busy core: beside other
    # processes a training step took ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.filterwarnings("ignore", module="PIL")  # of damaged parts that are not read; the others are errors
    try:
        prepare_streams()
        # Not `entry.main`, which ends the process with exit code 1 where the reader of our output has gone.
        with answering_interrupts(), entry.make_context(program_name(), list(words)) as context:
            result = entry.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except SuiteError as error:
        return failed(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.UsageError as error:
        return failed(usage_line(error), USAGE)
    except click.ClickException as error:
        return failed(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        with suppress(OSError):
            click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output (a pager, `head`) has gone
        silence(sys.stdout)
        return PASS
    except OSError as error:
        if error.errno in WRONG_PATHS and error.filename:
            return failed(wrong_path(error), USAGE)
        if error.errno not in REFUSALS | WRONG_PATHS:
            return failed(unexpected_line(error), UNEXPECTED)
        return failed(str(DiskError(error.filename or what_is_full(), error)), USAGE)
    except ModuleNotFoundError as error:
        remedy = missing_extra(error, next(iter(words), ""))
        return failed(remedy, USAGE) if remedy else failed(unexpected_line(error), UNEXPECTED)
    except Exception as error:
        loop = error.__context__  # of links; pathlib made another error of it before Python 3.13
        if isinstance(loop, OSError) and loop.errno == errno.ELOOP:
            return failed(wrong_path(loop), USAGE)
        return failed(unexpected_line(error), UNEXPECTED)
    return result if isinstance(result, int) else PASS


def wrong_path(error: OSError) -> str:
    """Return what is wrong with a path as one line."""
    return f"{error.filename}: {error.strerror}; check its permissions, or give another path"


def failed(message: str, exit_code: int) -> int:
    """Print an error as one line and return its exit code."""
    with suppress(OSError):  # standard error is full or closed; the exit code still tells
        click.echo(f"error: {' '.join(message.split()).translate(CONTROLS)}", err=True)
    return exit_code
