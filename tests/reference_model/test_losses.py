from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_model.losses import Criterion
from reference_model.mobileinst import MobileInstOutput, NonFiniteError
from reference_model.targets import InstanceTargets, TargetError
from tests.reference_model import oracle

NAMES = ["loss_class", "loss_mask_bce", "loss_dice", "loss_objectness"]


def logits_of(output: MobileInstOutput) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return output.class_logits, output.objectness_logits, output.mask_logits


def no_instances(padded: tuple[int, int]) -> InstanceTargets:
    nothing = torch.zeros(0, dtype=torch.long)
    return InstanceTargets(nothing, torch.zeros(0, *padded, dtype=torch.bool), nothing)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 3), min_size=1, max_size=3), st.integers(2, 4))
def test_losses_equal_loops_over_definitions_on_padded_batches(seed: int, counts: list[int], queries: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    padded = (32, 48)
    sizes = [
        (int(torch.randint(14, 33, (), generator=generator)), int(torch.randint(14, 49, (), generator=generator)))
        for _ in counts
    ]
    output = oracle.random_output(generator, len(counts), queries, 3, (8, 12))
    targets = oracle.random_targets(generator, counts, 3, sizes, padded)
    losses = Criterion(oracle.CONFIG)(output, targets, torch.tensor(sizes))
    expected = oracle.criterion(output, targets, sizes, oracle.CONFIG)
    assert list(losses) == NAMES
    for name in NAMES:
        assert float(losses[name]) == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name


def test_gradients_equal_finite_differences() -> None:
    generator = torch.Generator().manual_seed(2)
    output = oracle.random_output(generator, 2, 3, 2, (4, 4))
    targets = oracle.random_targets(generator, [2, 1], 2, [(16, 16), (16, 11)], (16, 16))
    criterion = Criterion(oracle.CONFIG)
    size = torch.tensor([[16, 16], [16, 11]])

    def total(*parts: torch.Tensor) -> torch.Tensor:
        return torch.stack(list(criterion(oracle.output_of(*parts), targets, size).values()))

    parts = tuple(part.clone().requires_grad_() for part in logits_of(output))
    assert torch.autograd.gradcheck(total, parts, eps=1e-6, atol=1e-6)


def test_padding_changes_nothing_whatever_it_holds() -> None:
    generator = torch.Generator().manual_seed(3)
    output = oracle.random_output(generator, 2, 4, 3, (6, 9))
    targets = oracle.random_targets(generator, [2, 1], 3, [(24, 36)] * 2, (24, 36))
    plain = Criterion(oracle.CONFIG)(output, targets)

    garbage = torch.randn(2, 4, 16, 16, generator=generator, dtype=torch.float64) * 50
    garbage[:, :, :6, :9] = output.mask_logits
    padded_targets = []
    for target in targets:
        masks = torch.ones(len(target.masks), 64, 64, dtype=torch.bool)
        masks[:, :24, :36] = target.masks
        padded_targets.append(target._replace(masks=masks))
    padded_output = output._replace(mask_logits=garbage.requires_grad_())
    padded = Criterion(oracle.CONFIG)(padded_output, padded_targets, torch.tensor([[24, 36]] * 2))
    for name in NAMES:
        assert float(padded[name].detach()) == pytest.approx(float(plain[name]), rel=1e-12)
    sum(padded.values()).backward()
    assert garbage.grad is not None
    assert garbage.grad[:, :, :6, :9].abs().sum() > 0
    assert garbage.grad[:, :, 6:].abs().sum() == 0
    assert garbage.grad[:, :, :, 9:].abs().sum() == 0


def test_image_without_instances_teaches_the_class_loss_only() -> None:
    generator = torch.Generator().manual_seed(4)
    output = oracle.random_output(generator, 1, 4, 3, (8, 8))
    output = oracle.output_of(*(part.requires_grad_() for part in logits_of(output)))
    losses = Criterion(oracle.CONFIG)(output, [no_instances((32, 32))])
    assert float(losses["loss_class"].detach()) > 0
    assert [float(losses[name].detach()) for name in NAMES[1:]] == [0, 0, 0]
    sum(losses.values()).backward()
    assert output.class_logits.grad is not None
    assert output.class_logits.grad.abs().min() > 0
    for untouched in (output.mask_logits, output.objectness_logits):
        assert untouched.grad is not None
        assert untouched.grad.abs().max() == 0


def test_masks_already_at_mask_scale_are_taken_as_they_are() -> None:
    generator = torch.Generator().manual_seed(5)
    output = oracle.random_output(generator, 1, 4, 3, (8, 8))
    (target,) = oracle.random_targets(generator, [2], 3, [(32, 32)], (32, 32))
    small = torch.tensor([oracle.shrink(mask.numpy()).tolist() for mask in target.masks], dtype=torch.float64)
    full = Criterion(oracle.CONFIG)(output, [target])
    reduced = Criterion(oracle.CONFIG)(output, [target._replace(masks=small)])
    for name in NAMES:
        assert float(full[name]) == pytest.approx(float(reduced[name]), rel=1e-12)


def test_instance_too_small_to_be_seen_at_mask_scale_supervises_nothing() -> None:
    generator = torch.Generator().manual_seed(6)
    output = oracle.random_output(generator, 1, 4, 3, (8, 8))
    (target,) = oracle.random_targets(generator, [2], 3, [(32, 32)], (32, 32))
    speck = torch.zeros(1, 32, 32, dtype=torch.bool)
    speck[0, 0, 0] = True  # falls between the sampled pixels 1 and 2
    more = InstanceTargets(
        torch.cat([target.labels, torch.tensor([0])]), torch.cat([target.masks, speck]), torch.tensor([7, 8, 9])
    )
    plain, with_speck = (Criterion(oracle.CONFIG)(output, [one]) for one in (target, more))
    assert {name: float(value) for name, value in plain.items()} == {k: float(v) for k, v in with_speck.items()}


def test_ignored_pixels_count_as_little_as_padded_ones() -> None:
    generator = torch.Generator().manual_seed(11)
    output = oracle.random_output(generator, 2, 4, 3, (8, 12))
    targets = oracle.random_targets(generator, [2, 1], 3, [(32, 48)] * 2, (32, 48))
    size = torch.tensor([[32, 36], [32, 48]])
    cut = Criterion(oracle.CONFIG)(output, targets, size)
    ignored = torch.zeros(32, 48, dtype=torch.bool)
    ignored[:, 36:] = True
    same = Criterion(oracle.CONFIG)(output, [targets[0]._replace(ignored=ignored), targets[1]])
    for name in NAMES:
        assert float(same[name]) == float(cut[name])

    logits = output.mask_logits.clone().requires_grad_()
    pepper = torch.rand(8, 12, generator=generator) < 0.3
    at_full_size = pepper.repeat_interleave(4, 0).repeat_interleave(4, 1)
    peppered = [target._replace(ignored=at_full_size) for target in targets]
    losses = Criterion(oracle.CONFIG)(output._replace(mask_logits=logits), peppered)
    sum(losses.values()).backward()
    assert logits.grad is not None
    assert logits.grad[:, :, pepper].abs().sum() == 0
    assert logits.grad[:, :, ~pepper].abs().sum() > 0
    garbage = torch.where(pepper, 50 * torch.randn(8, 12, generator=generator, dtype=torch.float64), output.mask_logits)
    again = Criterion(oracle.CONFIG)(output._replace(mask_logits=garbage), peppered)
    assert {name: float(value) for name, value in again.items()} == {k: float(v.detach()) for k, v in losses.items()}


@pytest.mark.parametrize("part", ["class_logits", "objectness_logits", "mask_logits"])
def test_nan_logits_are_named(part: str) -> None:
    generator = torch.Generator().manual_seed(7)
    output = oracle.random_output(generator, 2, 4, 3, (8, 8))
    targets = oracle.random_targets(generator, [1, 2], 3, [(32, 32)] * 2, (32, 32))
    getattr(output, part)[1, 2] = float("nan")
    with pytest.raises(NonFiniteError):
        Criterion(oracle.CONFIG)(output, targets)


def test_deep_supervision_adds_the_first_decoders_losses_with_their_own_matching() -> None:
    generator = torch.Generator().manual_seed(10)
    output, early = (oracle.random_output(generator, 2, 4, 3, (8, 8)) for _ in range(2))
    targets = oracle.random_targets(generator, [2, 1], 3, [(32, 32)] * 2, (32, 32))
    config = dataclasses.replace(oracle.CONFIG, loss_weight_deep_supervision=0.5)
    joint = Criterion(config)(output._replace(auxiliary=early), targets)
    late_only, early_only = (Criterion(config)(one, targets) for one in (output, early))
    for name in NAMES:
        assert float(joint[name]) == float(late_only[name])
        assert float(joint[f"auxiliary/{name}"]) == 0.5 * float(early_only[name])
    assert len(joint) == 8


@pytest.mark.parametrize(
    "spoil",
    [
        lambda target: target._replace(masks=target.masks[:, :, :20]),
        lambda target: target._replace(labels=target.labels[:1]),
        lambda target: target._replace(labels=target.labels + 3),
        lambda target: target._replace(ignored=torch.zeros(16, 16, dtype=torch.bool)),
    ],
    ids=["masks of another shape", "a label too few", "a class too high", "ignored pixels of another size"],
)
def test_targets_that_do_not_fit_are_refused(spoil: Callable[[InstanceTargets], InstanceTargets]) -> None:
    generator = torch.Generator().manual_seed(8)
    output = oracle.random_output(generator, 1, 4, 3, (8, 8))
    (target,) = oracle.random_targets(generator, [2], 3, [(32, 32)], (32, 32))
    with pytest.raises(TargetError):
        Criterion(oracle.CONFIG)(output, [spoil(target)])


@pytest.mark.parametrize("size", [[[33, 32]], [[0, 32]], [[32, 32], [32, 32]]])
def test_valid_size_outside_the_padded_input_is_refused(size: list[list[int]]) -> None:
    output = oracle.random_output(torch.Generator().manual_seed(9), 1, 4, 3, (8, 8))
    with pytest.raises(TargetError):
        Criterion(oracle.CONFIG)(output, [no_instances((32, 32))], torch.tensor(size))
