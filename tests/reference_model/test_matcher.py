from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_model.losses import match, matching_score
from reference_model.mobileinst import NonFiniteError
from reference_model.targets import InstanceTargets, to_mask_scale, valid_pixels
from tests.reference_model import oracle

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
    assert pairs == (oracle.best_assignment(table) if count else {})
    assert len(pairs) == min(queries, count)
    score = matching_score(output.class_logits[0], output.mask_logits[0], scaled[0], valid[0], 0.8, 0.2)
    np.testing.assert_allclose(score.numpy(), table, rtol=1e-10)


def test_powers_decide_between_mask_and_class() -> None:
    mask = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    mask[..., :8] = True
    target = to_mask_scale([InstanceTargets(torch.tensor([1]), mask[0], torch.tensor([0]))], torch.ones(1, 4, 4))
    good_mask = torch.where(target[0].masks[0] > 0.5, 9.0, -9.0)
    mask_logits = torch.stack([good_mask, -good_mask])[None]
    class_logits = torch.tensor([[[3.0, -3.0], [-3.0, 3.0]]])  # query 0 has the mask, query 1 the class
    valid = torch.ones(1, 4, 4)
    by_mask = match(class_logits, mask_logits, target, valid, mask_power=1.0, class_power=0.0)
    by_class = match(class_logits, mask_logits, target, valid, mask_power=0.0, class_power=1.0)
    assert (by_mask[0].queries.tolist(), by_class[0].queries.tolist()) == ([0], [1])


def test_matching_leaves_no_gradient_and_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    output = oracle.random_output(generator, 1, 4, 3, (8, 12))
    targets = oracle.random_targets(generator, [2], 3, [PADDED], PADDED)
    valid = torch.ones(1, 8, 12, dtype=torch.float64)
    before = [output.class_logits.clone(), output.mask_logits.clone()]
    score = matching_score(
        output.class_logits[0].requires_grad_(),
        output.mask_logits[0],
        to_mask_scale(targets, valid)[0],
        valid[0],
        0.8,
        0.2,
    )
    assert not score.requires_grad
    torch.testing.assert_close([output.class_logits.detach(), output.mask_logits], before, rtol=0, atol=0)


@pytest.mark.parametrize("part", ["class_logits", "mask_logits"])
def test_nan_names_the_image(part: str) -> None:
    generator = torch.Generator().manual_seed(0)
    output = oracle.random_output(generator, 2, 4, 3, (8, 12))
    targets = oracle.random_targets(generator, [1, 2], 3, [PADDED] * 2, PADDED)
    valid = torch.ones(2, 8, 12, dtype=torch.float64)
    getattr(output, part)[1, 2] = float("nan")
    with pytest.raises(NonFiniteError, match="image 1"):
        match(output.class_logits, output.mask_logits, to_mask_scale(targets, valid), valid, 0.8, 0.2)
