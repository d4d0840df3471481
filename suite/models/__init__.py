"""One file a method: its rows of the paper's tables, its network, its selection. `discover` finds them by folder.

An installed package brings methods by entry points of the group `ENTRY_POINTS`, each of which names a module of the
same form (``docs/prior_art.md`` has a complete one). They are looked for when a name is none of the folder's, so that
nothing installed changes what the suite's own tables and records are made of. A method's file defines

- ``ROWS``: a tuple of `ModelEntry` calls with literal arguments, one per model; they are read without running the file,
  because tables and lists need them where torch is not installed;
- ``build(row)``: the network of a row, weights drawn from the global random state;
- ``select(row, height_px, width_px, seed)``: a `suite.models.parts.selection.Selection`, where one is to be timed.

What several methods share is in ``suite/models/parts``. Files whose name starts with an underscore are no methods.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import msgspec

from suite.errors import InputError
from suite.files import file_digest
from suite.seeds import derive_seed
from suite.typed import convert

if TYPE_CHECKING:
    from torch import nn

    from suite.models.parts.selection import Selection

INTERFACE = "see suite/models/__init__.py for what a method's file defines"
ENTRY_POINTS = "mobileinst_suite.models"
Side = Annotated[int, msgspec.Meta(ge=1, le=1 << 15)]


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model that the suite can build and run, as its method's file says.

    Attributes:
        name: the word a user types, unique in the suite.
        method: the method as the paper's tables print it, e.g. ``"SparseInst"``.
        backbone: the backbone as the paper's tables print it, e.g. ``"TopFormer-Base"``.
        input_shapes: image (height_px, width_px) to count and time at; the first is the primary one, by default the
            640 px of most image rows.
        num_classes: number of categories, without background.
        trunk: the backbone's name in `suite.models.parts.trunks.TRUNKS`; empty for a network that brings its own.
        variant: which of the method's networks, for ``build``; empty for the usual one.
        published_rows: ids of the claims' rows that the model stands for.
        reading: how the published row is read where the paper leaves a choice, and why; empty for our own models.
        alternative_to: name of the model whose row this one reads differently; empty for the default reading.
        masks_apart: whether ``forward`` stops before the masks, so that the module has a second graph ``with_masks``
            that goes on to those of 100 instances. Otherwise the network itself makes its masks.
        module: the module to import; filled in when its file is read, as are the next two.
        selects: whether the file has a selection to time.
        package: the installed package that brings it; empty for the suite's own.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\Z", max_length=80)]
    method: str
    backbone: str
    input_shapes: Annotated[tuple[tuple[Side, Side], ...], msgspec.Meta(min_length=1)] = ((640, 864), (640, 640))
    num_classes: Annotated[int, msgspec.Meta(ge=1)] = 80
    trunk: str = ""
    variant: str = ""
    published_rows: tuple[str, ...] = ()
    reading: str = ""
    alternative_to: str = ""
    masks_apart: bool = False
    module: str = ""
    selects: bool = False
    package: str = ""

    @property
    def description(self) -> str:
        """One line for lists."""
        what = f"{self.method} with {self.backbone}, {self.num_classes} classes"
        return f"{what}: {self.reading}" if self.reading else what

    @property
    def title(self) -> str:
        """The name for readers, e.g. ``"MobileInst, TopFormer-Base, 640 px"``."""
        number = re.search(r"_(\d+)", self.name)
        side = number.group(1) if number else min(self.input_shapes[0])
        reading = self.name.removeprefix(self.alternative_to).replace("_", " ") if self.alternative_to else ""
        return f"{self.method}, {self.backbone}, {side} px" + (f",{reading}" if reading.startswith(" ") else "")

    @property
    def masks_span(self) -> str:
        """The span in which the masks are made, in which methods are compared: the network unless it stops before."""
        return "with_masks" if self.masks_apart else "network"

    @property
    def spans(self) -> tuple[str, ...]:
        """What is timed beside prior art: network, its extension to masks where that is another graph, selection."""
        return ("network", *["with_masks"] * self.masks_apart, *["selection"] * self.selects)

    @property
    def selection(self) -> Callable[[int, int, int], Selection] | None:
        """(height_px, width_px, seed) -> what chooses detections after the network; None where the file has none."""
        return partial(self._module().select, self) if self.selects else None

    def build(self, seed: int) -> nn.Module:
        """Return the network in evaluation mode, its random weights drawn from ``seed`` and its name only.

        Its forward takes normalised images (B, 3, H, W) and returns a tuple of tensors, None for what it does not
        compute; no operator depends on the data. The global random state stays as it is.

        Raises:
            InputError: if the code of an installed package fails.
        """
        import torch

        with torch.random.fork_rng(devices=[]), redirect_stdout(sys.stderr):
            torch.manual_seed(derive_seed(seed, f"models/{self.name}"))
            try:
                network: nn.Module = self._module().build(self)
                return network.eval()
            except (Exception, SystemExit) as error:
                if not self.package:
                    raise
                what = f"package {self.package}: cannot build {self.name}"
                raise InputError(f"{what} ({error!r:.200}); mend it") from None

    def _module(self) -> ModuleType:
        return importlib.import_module(self.module)


def _entries(path: Path, module: str, package: str = "") -> Iterator[ModelEntry]:
    """Read a method's rows without running its file.

    Raises:
        InputError: naming the file and the place: no Python, no ``ROWS`` or ``build``, a row that is no call of
            `ModelEntry` or has arguments that are not literal, unknown, missing or of the wrong type.
    """
    try:
        body = ast.parse(path.read_text(encoding="utf-8"), str(path)).body
    except (SyntaxError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not Python ({error}); correct it") from None
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    assigned = {ast.unparse(node.targets[0]): node.value for node in body if isinstance(node, ast.Assign)}
    rows = assigned.get("ROWS")
    if not isinstance(rows, ast.Tuple) or "build" not in functions:
        raise InputError(f"{path}: no tuple ROWS or no function build; {INTERFACE}, or start its name with '_'")
    for row in rows.elts:
        where = f"{path} line {row.lineno}"
        if not (isinstance(row, ast.Call) and ast.unparse(row.func) == "ModelEntry"):
            raise InputError(f"{where}: not a call of ModelEntry; {INTERFACE}")
        try:
            fields = {keyword.arg: ast.literal_eval(keyword.value) for keyword in row.keywords}
        except ValueError:
            raise InputError(f"{where}: an argument is not a literal; {INTERFACE}") from None
        own = {"module": module, "selects": "select" in functions, "package": package}
        yield convert(fields | own, ModelEntry, where, INTERFACE)


def discover() -> dict[str, ModelEntry]:
    """Return every model of the folder by name, sorted.

    Raises:
        InputError: naming the file that defines no models, or a name for the second time.
    """
    entries: dict[str, ModelEntry] = {}
    for folder in __path__:
        for path in sorted(Path(folder).glob("[!_]*.py")):
            for entry in _entries(path, f"{__name__}.{path.stem}"):
                if entry.name in entries:
                    other = f"{entries[entry.name].module.rpartition('.')[2]}.py"
                    raise InputError(f"{path}: model {entry.name!r} is already defined in {other}; rename one")
                entries[entry.name] = entry
    return dict(sorted(entries.items()))


def find_counterparts() -> dict[str, tuple[str, ...]]:
    """Return published row id -> names of the models that stand for it, sorted."""
    rows: dict[str, tuple[str, ...]] = {}
    for name, entry in discover().items():
        for row_id in entry.published_rows:
            rows[row_id] = (*rows.get(row_id, ()), name)
    return rows


def discover_installed() -> tuple[dict[str, ModelEntry], list[str]]:
    """Return the models of installed packages by name, and what is wrong with packages whose models are left out.

    A package is left out as a whole: its module cannot be found or read, or it repeats a name of the suite's or of
    another package's.
    """
    own = discover()
    entries: dict[str, ModelEntry] = {}
    faults: list[str] = []
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: (point.value, point.name)):
        package = (point.dist and point.dist.name) or point.name
        try:
            with redirect_stdout(sys.stderr):
                spec = importlib.util.find_spec(point.module)
            if spec is None or not spec.has_location or spec.origin is None:
                raise InputError(f"there is no module {point.module}")
            rows: dict[str, ModelEntry] = {}
            for entry in _entries(Path(spec.origin), point.module, package):
                if entry.name in (own | entries | rows):
                    raise InputError(f"its model {entry.name!r} repeats a known name; rename it")
                rows[entry.name] = entry
            entries |= rows
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a package that is imported to find its module may raise anything
            faults.append(f"package {package}: {error if isinstance(error, InputError) else f'{error!r:.200}'}")
    return dict(sorted(entries.items())), faults


def get_entry(name: str) -> ModelEntry:
    """Return one model, the suite's own or an installed package's.

    Raises:
        InputError: if there is none of that name; the message lists packages that are left out, and the known ones.
    """
    entries = discover()
    if name not in entries:
        installed, faults = discover_installed()
        entries |= installed
        if name not in entries:
            raise InputError("; ".join([f"unknown model {name!r}", *faults, f"known are {', '.join(entries)}"]))
    return entries[name]


def refuse_known(name: str, where: str, remedy: str) -> None:
    """Refuse the name of a model for anything else, which tables and the ledger would take for that model.

    Raises:
        InputError: that begins with ``where`` and ends with the remedy.
    """
    if name in discover() or name in discover_installed()[0]:
        raise InputError(f"{where}: {name} is the name of a model that is built by name; {remedy}")


def build_model(name: str, checkpoint: Path | None = None, seed: int = 0) -> tuple[nn.Module, str | None]:
    """Return a model in evaluation mode, and the SHA-256 of its checkpoint.

    Args:
        name: a model of this folder or of an installed package.
        checkpoint: its weights; random ones, and no digest, if None.
        seed: of random weights.

    Raises:
        InputError: if there is no such model, or the checkpoint cannot be read or is another model's.
    """
    if checkpoint is None:
        return get_entry(name).build(seed), None
    from suite.accuracy.segmenter import open_checkpoint

    loaded, _ = open_checkpoint(checkpoint)
    if loaded.config.name != name:
        raise InputError(f"{checkpoint}: holds {loaded.config.name}, not {name}; name that model or another checkpoint")
    return loaded, file_digest(checkpoint)
