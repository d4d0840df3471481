"""Training recipes: TOML files with every choice that changes a trained model's numbers."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import msgspec

from reference_model.config import ConfigError, ModelConfig, config_from_dict, config_to_dict, get_config
from suite.errors import DataError, InputError

RECIPES = Path(__file__).parent / "recipes"
FIXED_FIELDS = frozenset({"name", "num_classes", "short_side_px", "long_side_px", "size_divisor_px"})
"""Fields of `ModelConfig` that the variant's name, the data and the input size settle."""
MODEL_OPTIONS = frozenset(config_to_dict(ModelConfig("any"))) - FIXED_FIELDS
"""Fields of `ModelConfig` that a recipe may replace; each is an entry of its records' protocol."""


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What to train, on what, and how.

    Every field is given in the recipe's file; none has a second default here. Only ``model_options``, which replaces
    fields of the named variant's `ModelConfig`, may be absent; where it is empty it is not part of the digest.
    """

    model: str
    dataset: str
    iterations: int
    batch_size: int
    threads: int
    learning_rate: float
    backbone_learning_rate_multiplier: float
    weight_decay: float
    warmup_fraction: float
    final_learning_rate_fraction: float
    clip_norm: float
    horizontal_flip: float
    vertical_flip: float
    brightness: float
    query_passing: bool
    image_stage_fraction: float
    pair_gap_frames: int
    evaluations: int
    evaluation_images: int
    checkpoint_every: int
    model_options: dict[str, bool | int | float | str] = {}

    def digest(self) -> str:
        """Return the SHA-256 of the recipe's values."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    def config(self) -> ModelConfig:
        """Return the variant's configuration with the recipe's model options.

        Raises:
            ConfigError: if the variant or an option is unknown, or a value is refused.
        """
        return config_from_dict(config_to_dict(get_config(self.model)) | self.model_options)

    def trains_on_pairs(self, iteration: int) -> bool:
        """Return whether an iteration sees pairs of frames (and passes queries between them) or single frames."""
        return self.query_passing and iteration >= self.image_stage_fraction * self.iterations

    def problems(self) -> list[str]:
        """Return one clause per value that cannot be trained with."""
        positive = ("iterations", "batch_size", "threads", "learning_rate", "clip_norm", "checkpoint_every")
        fractions = (
            "warmup_fraction",
            "final_learning_rate_fraction",
            "horizontal_flip",
            "vertical_flip",
            "brightness",
        )
        found = [f"{name} must be above 0" for name in positive if getattr(self, name) <= 0]
        found += [f"{name} must be between 0 and 1" for name in fractions if not 0 <= getattr(self, name) <= 1]
        if self.query_passing and self.batch_size % 2:
            found.append("batch_size must be even, query passing trains on pairs of frames")
        if self.query_passing and self.pair_gap_frames < 1:
            found.append("pair_gap_frames must be at least 1")
        return found + self._model_problems()

    def _model_problems(self) -> list[str]:
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


def load_recipe(name_or_path: str, **overrides: object) -> Recipe:
    """Read a shipped recipe by name, or any recipe by the path of its TOML file.

    Args:
        name_or_path: e.g. ``"shapes"`` or ``"my/recipe.toml"``.
        overrides: values that replace the file's, e.g. ``iterations=20``; None keeps the file's.

    Raises:
        DataError: if there is no such recipe.
        InputError: if the file is not TOML, lacks or adds a key, or holds a value of the wrong type or range.
    """
    path = Path(name_or_path) if name_or_path.endswith(".toml") else RECIPES / f"{name_or_path}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"no recipe {name_or_path!r}; shipped: {', '.join(recipe_names())}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not a recipe ({error}); see suite/training/recipes/shapes.toml") from None
    values |= {key: value for key, value in overrides.items() if value is not None}
    try:
        recipe = msgspec.convert(values, Recipe)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}; see suite/training/recipes/shapes.toml") from None
    if problems := recipe.problems():
        raise InputError(f"{path}: {'; '.join(problems)}")
    return recipe
