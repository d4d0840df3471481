"""Training recipes: TOML files with every choice that changes a trained model's numbers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from reference_model.config import ConfigError, ModelConfig, config_from_dict, config_to_dict, get_config
from suite.errors import DataError, InputError
from suite.typed import convert, read_typed

RECIPES = Path(__file__).parent / "recipes"
REMEDY = "see suite/training/recipes/shapes.toml"
FIXED_FIELDS = frozenset({"name", "num_classes", "short_side_px", "long_side_px", "size_divisor_px"})
"""Fields of `ModelConfig` that follow from the variant's name, the data and the input size."""
MODEL_OPTIONS = frozenset(config_to_dict(ModelConfig("any"))) - FIXED_FIELDS
"""Fields of `ModelConfig` that a recipe may replace; each is an entry of its records' protocol."""

Count = Annotated[int, Meta(ge=1, le=10**9)]
CountOrNone = Annotated[int, Meta(ge=0, le=10**9)]
Side = Annotated[int, Meta(ge=32, le=8192)]
Positive = Annotated[float, Meta(gt=0, le=1e9)]
NotNegative = Annotated[float, Meta(ge=0, le=1e9)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
InnerFraction = Annotated[float, Meta(gt=0, lt=1)]


class Resizing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How training images are resized and cropped; both frames of a pair alike.

    Attributes:
        short_sides_px: the shorter side becomes one of these, drawn for each image or pair.
        long_side_px: upper limit of the longer side.
        crop_probability: chance that an image is first resized to one of ``crop_short_sides_px`` and cut.
        crop_short_sides_px: shorter sides before the cut.
        crop_sides_px: smallest and largest side of the cut, drawn for height and width apart.
    """

    short_sides_px: Annotated[tuple[Side, ...], Meta(min_length=1)]
    long_side_px: Side
    crop_probability: Fraction = 0.0
    crop_short_sides_px: tuple[Side, ...] = ()
    crop_sides_px: tuple[int, int] = (0, 0)

    def conflicts(self) -> list[str]:
        """Return one clause per value that contradicts another one."""
        found = []
        if self.long_side_px < max(self.short_sides_px):
            found.append("resizing.long_side_px must be at least the largest of short_sides_px")
        low, high = self.crop_sides_px
        if self.crop_probability and (not self.crop_short_sides_px or not 32 <= low <= high):
            found.append("resizing.crop_short_sides_px and crop_sides_px (at least 32, ascending) must say how to crop")
        return found


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What to train, on what, and how.

    Fields without a default are given in every recipe's file. A field at its default is not part of the digest, so that
    recipes which were recorded before it existed keep theirs: a default must mean "as if there were no such field".

    Attributes:
        batch_size: images per optimiser step, over all processes and accumulation steps.
        clip_norm: largest norm of the gradient.
        query_passing: whether iterations after ``image_stage_fraction`` train on pairs of frames and pass queries on;
            with ``loss_weight_query_passing = 0.0`` among the model options they see the same pairs without it.
        model_options: replaces fields of the named variant's `ModelConfig`.
        initial_weights: ``""`` draws all weights; ``"imagenet"`` expects an official checkpoint of the backbone;
            another recipe's name expects the checkpoint that it trains.
        decay_at: shares of the iterations after which the learning rate falls by ``decay_factor``; empty: cosine.
        decay_factor: see ``decay_at``.
        clipping: false leaves the gradient as it is, whatever its norm.
        precision: of the model's activations; weights, losses and the optimiser are always float32.
        accumulation: parts that an iteration is computed in, one after the other.
        batch_norm: ``"own"`` statistics of each part, ``"synchronised"`` over processes, or ``"frozen"`` as loaded.
        ema_decay: of the running average of the weights, which is then what is evaluated and saved; 0: none.
        resizing: of images; None: as they are.
        pair_gap_share: the frames of a pair are at most this share of their video's length apart, or
            ``pair_gap_frames`` where that is more.
        joint_dataset: images that are mixed into a video recipe as pairs of two views; ``""``: none.
        joint_share: share of the pairs that come from ``joint_dataset``.
        keep_checkpoints: states kept at a time, the newest ones.
        num_classes: of the model; 0: the variant's own, or as many as the user's annotations have categories.
    """

    model: str
    dataset: str
    iterations: Count
    batch_size: Annotated[int, Meta(ge=1, le=1 << 16)]
    threads: Count
    learning_rate: Positive
    backbone_learning_rate_multiplier: NotNegative
    weight_decay: NotNegative
    warmup_fraction: Fraction
    final_learning_rate_fraction: Fraction
    clip_norm: Positive
    horizontal_flip: Fraction
    vertical_flip: Fraction
    brightness: Fraction
    query_passing: bool
    image_stage_fraction: Fraction
    pair_gap_frames: Count
    evaluations: CountOrNone
    evaluation_images: Count
    checkpoint_every: Count
    model_options: dict[str, bool | int | float | str] = {}
    initial_weights: str = ""
    decay_at: tuple[InnerFraction, ...] = ()
    decay_factor: Positive = 0.1
    clipping: bool = True
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    accumulation: Count = 1
    batch_norm: Literal["own", "synchronised", "frozen"] = "own"
    ema_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    resizing: Resizing | None = None
    pair_gap_share: Fraction = 0.0
    joint_dataset: str = ""
    joint_share: Fraction = 0.0
    keep_checkpoints: Count = 1
    num_classes: Annotated[int, Meta(ge=0, le=10000)] = 0

    def digest(self) -> str:
        """Return the SHA-256 of the recipe's values."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    def config(self) -> ModelConfig:
        """Return the variant's configuration with the recipe's model options.

        Raises:
            ConfigError: if the variant or an option is unknown, or a value is refused.
        """
        classes = {"num_classes": self.num_classes} if self.num_classes else {}
        return config_from_dict(config_to_dict(get_config(self.model)) | self.model_options | classes)

    def trains_on_pairs(self, iteration: int) -> bool:
        """Return whether an iteration sees pairs of frames (and passes queries between them) or single frames."""
        return self.query_passing and iteration >= self.image_stage_fraction * self.iterations

    def slots(self, iteration: int, rank: int, world_size: int) -> range:
        """Return which of an iteration's images (or pairs) one of ``world_size`` equal parts holds.

        Raises:
            InputError: if the batch cannot be divided evenly.
        """
        whole = self.batch_size // 2 if self.trains_on_pairs(iteration) else self.batch_size
        if whole % world_size:
            unit = "pairs" if self.trains_on_pairs(iteration) else "images"
            raise InputError(
                f"{whole} {unit} per iteration cannot be divided into {world_size} parts (processes times "
                "accumulation); choose another batch_size, accumulation or number of processes"
            )
        part = whole // world_size
        return range(rank * part, (rank + 1) * part)

    def check_division(self, world_size: int) -> None:
        """Refuse as `slots` does, for images and for pairs of frames, which may begin after days."""
        for iteration in (0, self.iterations - 1):
            self.slots(iteration, 0, world_size)

    def conflicts(self) -> list[str]:
        """Return one clause per value that contradicts another one, or the model."""
        found = []
        if self.query_passing and self.batch_size % 2:
            found.append("batch_size must be even, query passing trains on pairs of frames")
        if list(self.decay_at) != sorted(self.decay_at):
            found.append("decay_at must ascend")
        if bool(self.joint_dataset) != (self.joint_share > 0):
            found.append("joint_dataset and joint_share go together")
        if self.joint_dataset and not self.query_passing:
            found.append("joint_dataset needs query_passing, its images are mixed in as pairs")
        if self.resizing is not None:
            found += self.resizing.conflicts()
        return found + self._model_conflicts()

    def _model_conflicts(self) -> list[str]:
        if refused := sorted(set(self.model_options) - MODEL_OPTIONS):
            return [f"model_options cannot replace {', '.join(refused)}; known are {', '.join(sorted(MODEL_OPTIONS))}"]
        try:
            config = self.config()
        except ConfigError as error:
            return [str(error)]
        if self.query_passing and len(config.decoder_sources) == 1:
            return [f"query_passing must be false, the one decoder of {config.decoder!r} leaves nothing to pass on to"]
        return []


def recipe_names() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def _read_values(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return a recipe's values, those of the shipped recipe that it is ``based_on`` under its own.

    Raises:
        DataError: if a file is absent.
        InputError: if a file is not TOML, or ``based_on`` names no shipped recipe or comes back to the file itself.
    """
    values: dict[str, Any] = read_typed(path, dict[str, Any], "recipe", REMEDY)
    if "based_on" not in values:
        return values
    base, known = values.pop("based_on"), [name for name in recipe_names() if RECIPES / f"{name}.toml" not in above]
    if base not in known or RECIPES / f"{base}.toml" == path:
        raise InputError(f"{path}: based_on: no recipe {base!r} to build on; shipped: {', '.join(known)}")
    return _read_values(RECIPES / f"{base}.toml", (*above, path)) | values


def load_recipe(name_or_path: str, **overrides: object) -> Recipe:
    """Read a shipped recipe by name, or any recipe by the path of its TOML file.

    A file with ``based_on = "NAME"`` holds only what differs from the shipped recipe of that name; a table, e.g.
    ``[resizing]``, replaces the whole table.

    Args:
        name_or_path: e.g. ``"shapes"`` or ``"my/recipe.toml"``.
        overrides: values that replace the file's, e.g. ``iterations=20``; None leaves the file's.

    Raises:
        DataError: if there is no such recipe.
        InputError: if the file is not TOML, lacks or adds a key, or holds a value of the wrong type or range.
    """
    path = Path(name_or_path) if name_or_path.endswith(".toml") else RECIPES / f"{name_or_path}.toml"
    if not path.exists():
        raise DataError(f"no recipe {name_or_path!r}; shipped: {', '.join(recipe_names())}")
    values = _read_values(path) | {key: value for key, value in overrides.items() if value is not None}
    recipe = convert(values, Recipe, str(path), REMEDY)
    if conflicts := recipe.conflicts():
        raise InputError(f"{path}: {'; '.join(conflicts)}")
    return recipe
