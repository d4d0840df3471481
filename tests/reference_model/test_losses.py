from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_model.losses import Criterion, match, matching_score
from reference_model.mobileinst import MobileInstOutput, NonFiniteError
from reference_model.targets import InstanceTargets, TargetError, to_mask_scale, valid_pixels
from tests.reference_model import oracle

NAMES = ["loss_class", "loss_mask_bce", "loss_dice", "loss_objectness"]


def logits_of(output: MobileInstOutput) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return output.class_logits, output.objectness_logits, output.mask_logits


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
    counting = dataclasses.replace(oracle.CONFIG, loss_counts_padding=True)
    for config, counted in ((oracle.CONFIG, sizes), (counting, [padded] * len(sizes))):
        losses = Criterion(config)(output, targets, torch.tensor(sizes))
        expected = oracle.criterion(output, targets, counted, config)
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


PADDED = (32, 48)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(0, 4), st.integers(14, 32), st.integers(14, 48))
def test_matching_is_the_best_of_all_assignments(seed: int, queries: int, count: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    output = oracle.random_output(generator, 1, queries, 3, (8, 12))
    targets = oracle.random_targets(generator, [count], 3, [(height, width)], PADDED)
    valid = valid_pixels(torch.tensor([[height, width]]), 1, (8, 12), torch.device("cpu")).double()
    scaled = to_mask_scale(targets, valid)
    (matched,) = match(output.class_logits, output.mask_logits, scaled, valid, 0.8, 0.2)

    size = (height, width)
    probabilities = [np.vectorize(oracle.sigmoid)(oracle.crop(one, size)) for one in output.mask_logits[0].numpy()]
    masks = [oracle.crop(oracle.shrink(one), size) for one in targets[0].masks.numpy()]
    table = oracle.scores(output.class_logits[0].numpy(), probabilities, targets[0].labels.tolist(), masks)
    pairs = dict(zip(matched.queries.tolist(), matched.instances.tolist(), strict=True))
    best = oracle.best_assignment(table) if count else {}
    # Of two like objects either may be whose: the sums are the same then, to a rounding.
    ours, theirs = (sum(table[pair] for pair in found.items()) for found in (pairs, best))
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert len(pairs) == len(set(pairs.values())) == min(queries, count)
    score = matching_score(output.class_logits[0], output.mask_logits[0], scaled[0], valid[0], 0.8, 0.2)
    np.testing.assert_allclose(score.numpy(), table, rtol=1e-10)
