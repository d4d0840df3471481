"""Official checkpoints: upstream's names of the modules, and strict loading.

Our modules are named for readers, upstream's for history, so each backbone says which is which as an `OfficialLayout`
(module path here to module path there); the parameters inside a module have the same names on both sides. The layouts
are those of the projects' public code: hustvl/TopFormer and fudan-zvg/SeaFormer (the classification and the
segmentation trees name the backbone alike), and torchvision for MobileNetV2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from reference_model.backbones.blocks import BackboneError

WRAPPERS = ("state_dict_ema", "state_dict", "model")  # upstream's order: averaged weights are preferred
PREFIXES = ("module.", "backbone.")
HEADS = ("decode_head.", "auxiliary_head.", "cls_head.", "classifier.", "head.", "head_dist.", "linear.", "fc.")
LISTED_KEYS = 20  # an error names this many keys of each kind; a wholly foreign checkpoint has thousands


class OfficialCheckpointError(BackboneError):
    """An upstream checkpoint does not fit the backbone it was given to.

    Attributes:
        missing: all keys that the backbone needs and the checkpoint lacks, in upstream's names.
        unexpected: all keys of the checkpoint that belong neither to the backbone nor to a head.
        unusable: keys of the right name and a wrong value, each with what is wrong.
    """

    def __init__(
        self, owner: str, missing: Sequence[str] = (), unexpected: Sequence[str] = (), unusable: Sequence[str] = ()
    ) -> None:
        self.missing, self.unexpected, self.unusable = tuple(missing), tuple(unexpected), tuple(unusable)
        found = [_listed("missing", missing), _listed("unexpected", unexpected), _listed("unusable", unusable)]
        reasons = "; ".join(filter(None, found)) or "it is no dictionary from parameter names to tensors"
        super().__init__(f"this checkpoint does not fit {owner}: {reasons}")


@dataclass(frozen=True)
class OfficialLayout:
    """The names in upstream's checkpoints.

    Args:
        modules: module path in our backbone to module path upstream, for every module that owns parameters.
        dropped: prefixes of keys that belong to heads which this backbone does not have.
        optional: our module paths whose weights may be missing, though only all together.
    """

    modules: Mapping[str, str]
    dropped: tuple[str, ...] = HEADS
    optional: tuple[str, ...] = ()


def conv_norm(ours: str, theirs: str, names: tuple[str, str] = ("c", "bn")) -> dict[str, str]:
    """The two modules of a `ConvNorm`; ``names`` are upstream's for the convolution and the normalisation."""
    convolution, norm = names
    return {f"{ours}.convolution": f"{theirs}.{convolution}", f"{ours}.norm": f"{theirs}.{norm}"}


def inverted_residual(ours: str, theirs: str, expands: bool) -> dict[str, str]:
    """An `InvertedResidual`: upstream's is a sequence ``conv`` with activations at the odd places."""
    parts = ("expand", "depthwise", "project") if expands else ("depthwise", "project")
    names: dict[str, str] = {}
    for index, part in enumerate(parts):
        names |= conv_norm(f"{ours}.{part}", f"{theirs}.conv.{2 * index}")
    return names


def residual_block(ours: str, theirs: str) -> dict[str, str]:
    """What the blocks of TopFormer and SeaFormer share: query, key, value, output, and the MLP."""
    return {
        **conv_norm(f"{ours}.attention.query", f"{theirs}.attn.to_q"),
        **conv_norm(f"{ours}.attention.key", f"{theirs}.attn.to_k"),
        **conv_norm(f"{ours}.attention.value", f"{theirs}.attn.to_v"),
        **conv_norm(f"{ours}.attention.output", f"{theirs}.attn.proj.1"),
        **conv_norm(f"{ours}.mlp.expand", f"{theirs}.mlp.fc1"),
        f"{ours}.mlp.depthwise": f"{theirs}.mlp.dwconv",
        **conv_norm(f"{ours}.mlp.project", f"{theirs}.mlp.fc2"),
    }


def load_into(backbone: nn.Module, checkpoint: Mapping[str, Any], layout: OfficialLayout) -> list[str]:
    """Load an upstream checkpoint into a backbone, strictly: everything is checked before anything is written.

    Args:
        backbone: the module to fill.
        checkpoint: as `Backbone.load_official` takes it.
        layout: upstream's names.

    Returns:
        The dropped head keys, as they are spelled in the checkpoint.

    Raises:
        OfficialCheckpointError: keys are missing, unexpected, ambiguous, no tensors or of the wrong shape.
    """
    owner = f"this {type(backbone).__name__}"
    own = backbone.state_dict()
    expected = {_official_key(key, layout): key for key in own if key.rpartition(".")[0] in layout.modules}
    tensors: dict[str, Tensor] = {}
    spelled: dict[str, str] = {}  # bare name to the name in the checkpoint
    dropped, unexpected, unusable = [], [], []
    for name, value in _unwrap(checkpoint, owner).items():
        bare = _bare(name)
        if bare in expected and bare in spelled:
            unusable.append(f"{name} (also given as {spelled[bare]})")
        elif bare in expected:
            spelled[bare] = name
            key = expected[bare]
            if not isinstance(value, Tensor):
                unusable.append(f"{name} (a {type(value).__name__}, not a tensor)")
            elif value.shape != own[key].shape:
                unusable.append(f"{name} (shape {tuple(value.shape)}, needs {tuple(own[key].shape)})")
            else:
                tensors[key] = value
        elif bare.startswith(layout.dropped):
            dropped.append(name)
        else:
            unexpected.append(name)

    missing = [bare for bare in expected if bare not in spelled and not bare.endswith("num_batches_tracked")]
    optional = [bare for bare in missing if expected[bare].startswith(layout.optional)] if layout.optional else []
    if optional and not any(expected[bare].startswith(layout.optional) for bare in spelled):
        missing = [bare for bare in missing if bare not in optional]
    if missing or unexpected or unusable:
        raise OfficialCheckpointError(owner, missing, unexpected, unusable)
    backbone.load_state_dict(own | tensors)
    return dropped


def _unwrap(checkpoint: Mapping[str, Any], owner: str) -> Mapping[str, Any]:
    """The tensors by name, out of the dictionaries that training scripts save around them."""
    for wrapper in WRAPPERS:
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(wrapper), Mapping):
            return _unwrap(checkpoint[wrapper], owner)
    if not isinstance(checkpoint, Mapping) or not all(isinstance(name, str) for name in checkpoint):
        raise OfficialCheckpointError(owner)
    return checkpoint


def _bare(name: str) -> str:
    """A key without the prefixes that data-parallel training and whole segmenters put before it."""
    while name.startswith(PREFIXES):
        name = name.partition(".")[2]
    return name


def _official_key(key: str, layout: OfficialLayout) -> str:
    module, _, parameter = key.rpartition(".")
    return f"{layout.modules[module]}.{parameter}"


def _listed(kind: str, names: Sequence[str]) -> str:
    """``3 missing keys: a, b, c``; empty without keys, cut short with many."""
    if not names:
        return ""
    rest = f" and {len(names) - LISTED_KEYS} more" if len(names) > LISTED_KEYS else ""
    return f"{len(names)} {kind} key{'s'[: len(names) != 1]}: {', '.join(names[:LISTED_KEYS])}{rest}"
