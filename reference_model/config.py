"""What a MobileInst is made of: one field per choice, one variant per row of the paper's tables.

The authors released no code, so several choices are not published. Each of them is one named option here, its default
argued in ``docs/decisions.md``. This module needs no torch.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

BACKBONES = (
    "topformer_tiny",
    "topformer_small",
    "topformer_base",
    "seaformer_tiny",
    "seaformer_small",
    "seaformer_base",
    "seaformer_large",
    "mobilenetv2",
)

Decoder = Literal["global_local", "local_local", "global_global", "local_global", "single_global", "single_local"]
COMPARED = ("kernels", "queries", "embedding", "masks")
ASSOCIATIONS = (*COMPARED, *(f"{compared}+active" for compared in COMPARED))
"""Names of the rules by which a tracker links queries, see `reference_model.association.Association`."""
ASSOCIATION = "kernels+active"
"""The rule where none is named: the paper's kernels, weighed by how active queries are (docs/decisions.md)."""
SHIPPED = Path(__file__).parent / "checkpoints"
"""Trained weights that come with the package, one ``NAME.safetensors`` with its model card ``NAME.md`` each."""
HUB_WEIGHTS = "model.safetensors"
"""What the weights are called in a Hugging Face repository."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or does not fit; the message is one line that names the file."""


def find_checkpoint(name: str | Path) -> Path:
    """Return the file of a checkpoint.

    Args:
        name: a path; the name of weights that come with the package, e.g. ``"shapes"``; or a Hugging Face repository
            whose weights are downloaded once: ``"user/repo"``, ``"hf:user/repo"``, ``@revision`` behind it if wanted.

    Raises:
        CheckpointError: if the repository or its weights cannot be had, or no file can have that name.
        ModuleNotFoundError: if a repository is named and huggingface_hub is not installed.
    """
    text, shipped = str(name), SHIPPED / f"{name}.safetensors"
    try:
        if shipped.parent == SHIPPED and shipped.is_file() and not Path(text).is_file():
            return shipped
        here = Path(text).exists()
    except OSError as error:  # such as a name that is too long
        raise CheckpointError(f"{text}: {error.strerror}; give another path") from None
    if here or not re.fullmatch(r"hf:.*|[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?(?<!\.safetensors)", text, re.ASCII):
        return Path(text)
    from huggingface_hub import hf_hub_download

    repository, _, revision = text.removeprefix("hf:").partition("@")
    try:
        return Path(hf_hub_download(repository, HUB_WEIGHTS, revision=revision or None))
    except Exception as error:  # also of its HTTP client, whose errors share no base with others
        words = f"{text}: neither a file nor a Hugging Face repository that answers ({error})".split()
        raise CheckpointError(" ".join(words)[:300]) from None


class ConfigError(ValueError):
    """A configuration that names an unknown variant, field or choice; the message is one line."""


MOST = {
    "short_side_px": 4096,
    "long_side_px": 4096,
    "size_divisor_px": 1024,
    "num_classes": 1 << 15,
    "num_queries": 1 << 12,
    "hidden_dim": 1 << 11,
    "kernel_dim": 1 << 11,
    "feed_forward_dim": 1 << 14,
}
"""Upper bounds: a checkpoint from elsewhere must not ask for more memory than a machine has."""


@dataclass(frozen=True)
class ModelConfig:
    """Every choice that makes one MobileInst.

    Args:
        name: the variant's name; checkpoints carry it.
        backbone: one of `BACKBONES`.
        num_classes: number of categories C (no background class: objectness is a head of its own).
        num_queries: number of instance queries N; 100 as in SparseInst and the public reproduction.
        hidden_dim: width of the mask decoder, of X_mask and of the queries.
        kernel_dim: length of a mask kernel, and channels of the mask features it is multiplied with.
        short_side_px: the shorter side of a resized image.
        long_side_px: the upper limit of the longer side of a resized image.
        size_divisor_px: images are padded right and bottom to a multiple of this; 64 is the stride of X6.
        pyramid: ``"raw"`` takes X3..X5 as the backbone computes them (the semantic enhancers add X6 themselves),
            ``"injected"`` takes the maps of the backbone's own semantic injection, as the public reproduction does.
        lateral_activation: what follows the 1x1 convolution and batch norm that bring X3..X6 to ``hidden_dim``.
        semantic_enhancer: ``"separate"`` computes X_l * f(X_G) + g(X_G) with two projections of X_G, f behind a hard
            sigmoid; ``"shared"`` is the public reproduction's form, relu(BNconv(X_l * g + g)) with one projection.
        upsampling: interpolation of the top-down paths.
        downsampling: how the bottom-up path halves a map; the same thing on even sizes.
        mask_decoder_convolutions: number of 3x3 convolutions in the mask decoder: 6 as in the paper's figure; 12, each
            followed by a second, is the arithmetic that the published latencies fit if they were timed in fp16.
        local_pooling: how X_mask becomes the local features X_L; the paper finds max 0.4 AP above average.
        decoder_stride: stride of the tokens that both decoders attend to; 64 as the paper says, 32 as in the public
            reproduction (X_G is then upsampled bilinearly).
        decoder: which features the first and the second decoder attend to; ``single_*`` has one decoder only. The
            paper's model is ``"global_local"``, the others are its ablation.
        num_heads: attention heads; must divide ``hidden_dim``.
        self_attention: self-attention among the queries after each cross-attention.
        norm_position: LayerNorm before each sub-layer (``"pre"``) or after its residual sum (``"post"``).
        feed_forward_dim: inner width of the one feed-forward network after the last decoder; None is twice
            ``hidden_dim``.
        position_encoding: what is added to the keys (not to the values) of both decoders.
        token_norm: normalise each token of X_G and X_L over its channels before the decoders attend to it; without
            weights of its own, since the key and value projections that follow would absorb them.
        deep_supervision: also predict from the queries that leave the first decoder, with the same heads, so that the
            criterion can supervise them.
        class_prior: probability that the class head gives every class before training.
        loss_weight_class: weight of the focal loss.
        loss_weight_mask_bce: weight of the mask's binary cross-entropy: 2 in the paper, 5 in SparseInst's code.
        loss_weight_dice: weight of the dice loss.
        loss_weight_objectness: weight of the IoU-aware objectness loss.
        loss_weight_deep_supervision: factor on all losses of the first decoder's predictions.
        loss_weight_query_passing: factor on all losses of the passed queries.
        loss_counts_padding: padded pixels are background in matching and losses, as in SparseInst, instead of left out.
        focal_alpha: the focal loss's weight of positives.
        focal_gamma: the focal loss's exponent.
        matcher_mask_power: exponent of the dice score in the matching score.
        matcher_class_power: exponent of the class probability in the matching score.

    Raises:
        ConfigError: if a value is not among its field's choices or outside its range.
    """

    name: str
    backbone: str = "topformer_base"
    num_classes: int = 80
    num_queries: int = 100
    hidden_dim: int = 256
    kernel_dim: int = 128
    short_side_px: int = 640
    long_side_px: int = 864
    size_divisor_px: int = 64
    pyramid: Literal["raw", "injected"] = "raw"
    lateral_activation: Literal["relu", "none"] = "relu"
    semantic_enhancer: Literal["separate", "shared"] = "separate"
    upsampling: Literal["bilinear", "nearest"] = "bilinear"
    downsampling: Literal["average", "bilinear"] = "average"
    mask_decoder_convolutions: Literal[6, 12] = 6
    local_pooling: Literal["max", "average"] = "max"
    decoder_stride: Literal[64, 32] = 64
    decoder: Decoder = "global_local"
    num_heads: int = 8
    self_attention: bool = True
    norm_position: Literal["pre", "post"] = "pre"
    feed_forward_dim: int | None = None
    position_encoding: Literal["sine", "none"] = "sine"
    token_norm: bool = True
    deep_supervision: bool = False
    class_prior: float = 0.01
    loss_weight_class: float = 2.0
    loss_weight_mask_bce: float = 2.0
    loss_weight_dice: float = 2.0
    loss_weight_objectness: float = 1.0
    loss_weight_deep_supervision: float = 1.0
    loss_weight_query_passing: float = 1.0
    loss_counts_padding: bool = False
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    matcher_mask_power: float = 0.8
    matcher_class_power: float = 0.2

    def __post_init__(self) -> None:
        """Refuse values that no model can be built from."""
        for field, hint in typing.get_type_hints(type(self)).items():
            _check_type(self.name, field, getattr(self, field), hint)
        if self.backbone not in BACKBONES:
            raise _wrong(self.name, "backbone", self.backbone, f"one of {', '.join(BACKBONES)}")
        if self.hidden_dim % self.num_heads:
            raise _wrong(self.name, "num_heads", self.num_heads, f"a divisor of hidden_dim {self.hidden_dim}")
        if self.hidden_dim % 4:
            raise _wrong(self.name, "hidden_dim", self.hidden_dim, "a multiple of 4, as the sine encoding needs")
        for field, most in MOST.items():
            if (getattr(self, field) or 0) > most:
                raise _wrong(self.name, field, getattr(self, field), f"at most {most}")
        if self.long_side_px < self.short_side_px:
            raise _wrong(self.name, "long_side_px", self.long_side_px, f"at least short_side_px {self.short_side_px}")
        if not 0 < self.class_prior < 1:
            raise _wrong(self.name, "class_prior", self.class_prior, "between 0 and 1")
        if self.deep_supervision and len(self.decoder_sources) == 1:
            raise _wrong(self.name, "deep_supervision", True, f"false with the one decoder of {self.decoder!r}")
        if self.pyramid == "injected" and not self.backbone.startswith("topformer"):
            raise _wrong(self.name, "pyramid", "injected", f"'raw' with {self.backbone}: only TopFormer injects")

    @property
    def decoder_sources(self) -> tuple[str, ...]:
        """The features each decoder attends to, in order: ``"global"`` is X_G, ``"local"`` is X_L."""
        return tuple(part for part in self.decoder.split("_") if part != "single")

    @property
    def feed_forward_width(self) -> int:
        """The inner width of the feed-forward network."""
        return self.feed_forward_dim or 2 * self.hidden_dim


TRAINING_FIELDS = frozenset(
    field.name
    for field in dataclasses.fields(ModelConfig)
    if field.name.startswith(("class_prior", "loss_", "focal_", "matcher_"))
)
"""Fields that shape training only: two configurations that differ in these compute the same function."""


def _wrong(variant: str, field: str, value: object, expected: str) -> ConfigError:
    return ConfigError(f"model configuration {variant!r}: {field} is {value!r}, must be {expected}")


def _check_type(variant: str, field: str, value: object, hint: Any) -> None:
    """Check one value against its annotation; counts are positive, weights and exponents are not negative."""
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices or type(value) not in map(type, choices):
            raise _wrong(variant, field, value, f"one of {', '.join(map(str, choices))}")
    elif hint is bool:
        if not isinstance(value, bool):
            raise _wrong(variant, field, value, "true or false")
    elif hint is str:
        if not isinstance(value, str) or not value:
            raise _wrong(variant, field, value, "a non-empty string")
    elif hint is float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise _wrong(variant, field, value, "a finite number, not negative")
    elif not (hint == int | None and value is None) and (
        isinstance(value, bool) or not isinstance(value, int) or value < 1
    ):
        raise _wrong(variant, field, value, "a positive integer")


def config_to_dict(config: ModelConfig) -> dict[str, Any]:
    """Return every field as plain JSON values, in declaration order."""
    return dataclasses.asdict(config)


def config_from_dict(values: Mapping[str, Any]) -> ModelConfig:
    """Build a configuration from `config_to_dict`'s output or a TOML table; absent fields take their defaults.

    Raises:
        ConfigError: if a key is not a field, if ``name`` is absent, or if a value is refused.
    """
    known = [field.name for field in dataclasses.fields(ModelConfig)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"model configuration: unknown key {', '.join(unknown)}; known are {', '.join(known)}")
    if "name" not in values:
        raise ConfigError("model configuration: key 'name' is missing; give the variant a name")
    return ModelConfig(**values)


def config_differences(one: ModelConfig, other: ModelConfig) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two models differ as ``field: (one, other)``, training-only fields left out."""
    return {
        field.name: (getattr(one, field.name), getattr(other, field.name))
        for field in dataclasses.fields(ModelConfig)
        if field.name not in TRAINING_FIELDS and getattr(one, field.name) != getattr(other, field.name)
    }


def _variants() -> dict[str, ModelConfig]:
    """Return the named variants: the paper's rows first, then smaller and larger relatives."""
    video: dict[str, Any] = {"num_classes": 40, "short_side_px": 360, "long_side_px": 640}
    rows: list[ModelConfig] = [
        ModelConfig("mobileinst_mobilenetv2_640", "mobilenetv2"),
        ModelConfig("mobileinst_topformer_base_512", "topformer_base", short_side_px=512),
        ModelConfig("mobileinst_topformer_base_640", "topformer_base"),
        ModelConfig("mobileinst_topformer_base_640_twelve", "topformer_base", mask_decoder_convolutions=12),
        ModelConfig("mobileinst_seaformer_base_640", "seaformer_base"),
        ModelConfig("mobileinst_topformer_base_360", "topformer_base", **video),
        ModelConfig("mobileinst_topformer_small_640", "topformer_small"),
        ModelConfig("mobileinst_topformer_tiny_640", "topformer_tiny"),
        ModelConfig("mobileinst_seaformer_tiny_640", "seaformer_tiny"),
        ModelConfig("mobileinst_seaformer_small_640", "seaformer_small"),
        ModelConfig("mobileinst_seaformer_large_640", "seaformer_large"),
        # The embedded set: small enough to train in minutes. BCE weight 5 (SparseInst's) is part of the recipe that
        # was tuned for it; the paper's 2 is the default everywhere else. Stride 64 would leave 2x3 tokens of a
        # 128x192 frame, fewer than there are objects in some.
        ModelConfig(
            "mobileinst_topformer_tiny_shapes",
            "topformer_tiny",
            num_classes=6,
            num_queries=20,
            hidden_dim=128,
            kernel_dim=64,
            short_side_px=128,
            long_side_px=192,
            decoder_stride=32,
            loss_weight_mask_bce=5.0,
        ),
    ]
    return {config.name: config for config in rows}


VARIANTS: dict[str, ModelConfig] = _variants()
"""The named variants by name."""


def get_config(name: str) -> ModelConfig:
    """Return a named variant.

    Raises:
        ConfigError: if there is none of that name; the message lists the known ones.
    """
    if name not in VARIANTS:
        raise ConfigError(f"no model variant is named {name!r}; known are {', '.join(sorted(VARIANTS))}")
    return VARIANTS[name]
