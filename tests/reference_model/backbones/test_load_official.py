"""Official checkpoints are taken whole or not at all, and every key that is not right is named."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from reference_model.backbones import BackboneError, OfficialCheckpointError, build_backbone
from tests.reference_model.backbones import upstream

SHAPES: dict[str, Callable[[], upstream.Shapes]] = {
    **{
        name: lambda size=size: upstream.topformer_shapes(size, injected=False)
        for name, size in upstream.TOPFORMER.items()
    },
    **{name: lambda size=size: upstream.seaformer_shapes(size) for name, size in upstream.SEAFORMER.items()},
    "mobilenetv2": upstream.mobilenetv2_shapes,
}


def checkpoint(name: str, injected: bool = False) -> dict[str, Tensor]:
    shapes = upstream.topformer_shapes(upstream.TOPFORMER[name], injected=True) if injected else SHAPES[name]()
    return upstream.to_state_dict(upstream.random_weights(shapes))


def prefixed(prefix: str, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state_dict.items()}


def zeroed(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value * 0 for key, value in state_dict.items()}


def values(state_dict: dict[str, Tensor]) -> list[float]:
    """An order-free fingerprint of all numbers of a model or checkpoint."""
    return sorted(value.double().sum().item() for value in state_dict.values())


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "mobilenetv2"])
def test_every_tensor_of_a_checkpoint_is_taken(name: str) -> None:
    official = checkpoint(name)
    backbone = build_backbone(name).double()
    assert backbone.load_official(official) == []
    assert values(backbone.state_dict()) == pytest.approx(values(official))


def test_mobilenetv2_drops_the_classifier_and_keeps_its_own_projection() -> None:
    backbone = build_backbone("mobilenetv2").double()
    before = {key: value.clone() for key, value in backbone.state_dict().items() if key.startswith("x6_projection")}
    last = {"features.18.0.weight": torch.zeros(1280, 320, 1, 1), "features.18.1.weight": torch.zeros(1280)}
    heads = last | {"classifier.1.weight": torch.zeros(1000, 1280), "classifier.1.bias": torch.zeros(1000)}
    assert backbone.load_official(checkpoint("mobilenetv2") | heads) == list(heads)
    assert all(torch.equal(backbone.state_dict()[key], value) for key, value in before.items())


HEADS = {f"{head}.weight": torch.zeros(3) for head in ("decode_head.conv_seg", "auxiliary_head.x", "linear", "head")}


@pytest.mark.parametrize("name", ["topformer_tiny", "seaformer_tiny"])
@pytest.mark.parametrize(
    ("prefix", "wrap"),
    [
        ("", lambda weights: weights),
        ("module.", lambda weights: {"model": weights}),
        ("backbone.", lambda weights: {"meta": {"epoch": 3}, "optimizer": {}, "state_dict": weights}),
        ("module.backbone.", lambda weights: {"state_dict": zeroed(weights), "state_dict_ema": weights}),
    ],
    ids=["bare", "model", "segmenter", "averaged"],
)
def test_wrappers_and_prefixes_are_seen_through_and_heads_dropped(
    name: str, prefix: str, wrap: Callable[[dict[str, Tensor]], dict[str, Any]]
) -> None:
    official = prefixed(prefix, checkpoint(name))
    backbone = build_backbone(name).double()
    assert backbone.load_official(wrap(official | HEADS)) == list(HEADS)
    assert values(backbone.state_dict()) == pytest.approx(values(official))


def test_injection_is_dropped_unless_built() -> None:
    official = checkpoint("topformer_tiny", injected=True)
    injection = [key for key in official if key.startswith("SIM.")]
    assert build_backbone("topformer_tiny").load_official(official) == injection
    assert len(injection) == 3 * 3 * 6
    injected = build_backbone("topformer_tiny", inject=True).double()
    assert injected.load_official(official) == []
    assert values(injected.state_dict()) == pytest.approx(values(official))


def test_built_injection_must_be_in_the_checkpoint_unless_it_is_optional() -> None:
    classifier = checkpoint("topformer_tiny")
    backbone: Any = build_backbone("topformer_tiny", inject=True).double()
    with pytest.raises(OfficialCheckpointError) as caught:
        backbone.load_official(classifier)
    assert all(key.startswith("SIM.") for key in caught.value.missing)
    assert backbone.load_official(classifier, optional=("injection.",)) == []
    # Optional means all or nothing: half an injection is a broken checkpoint.
    half = checkpoint("topformer_tiny", injected=True)
    del half["SIM.2.global_act.conv.weight"]
    with pytest.raises(OfficialCheckpointError) as caught:
        backbone.load_official(half, optional=("injection.",))
    assert caught.value.missing == ("SIM.2.global_act.conv.weight",)


WRONG: dict[str, tuple[str, Callable[[dict[str, Any], str], Any]]] = {
    "shape": (
        "trans.transformer_blocks.0.mlp.dwconv.bias",
        lambda sd, key: sd.update({key: torch.ones(5)}),
    ),
    "transposed": ("tpm.stem.0.c.weight", lambda sd, key: sd.update({key: sd[key].transpose(0, 1)})),
    "no tensor": ("tpm.stem.0.bn.bias", lambda sd, key: sd.update({key: [0.0] * 16})),
    "twice": ("backbone.tpm.stem.0.bn.bias", lambda sd, key: sd.update({key: torch.ones(16)})),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_checkpoint_is_refused_with_its_key_and_nothing_is_loaded(case: str) -> None:
    key, spoil = WRONG[case]
    official: dict[str, Any] = dict(checkpoint("topformer_tiny"))
    spoil(official, key)
    backbone = build_backbone("topformer_tiny")
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    with pytest.raises(OfficialCheckpointError) as caught:
        backbone.load_official(official)
    assert [name.partition(" ")[0] for name in caught.value.unusable] == [key]
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


@pytest.mark.parametrize("thing", [{}, {"state_dict": {}}, {3: torch.ones(1)}, [], None])
def test_what_is_no_checkpoint_is_refused(thing: Any) -> None:
    with pytest.raises(OfficialCheckpointError):
        build_backbone("topformer_tiny").load_official(thing)


def test_unknown_backbone_names_the_known_ones() -> None:
    with pytest.raises(BackboneError, match="topformer_huge"):
        build_backbone("topformer_huge")
    with pytest.raises(ValueError, match="seaformer_tiny"):
        build_backbone("seaformer_tiny", inject=True)
