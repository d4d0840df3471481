from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
import torch

from reference_model.config import ConfigError
from reference_model.losses import Match
from reference_model.mobileinst import MobileInst
from reference_model.query_passing import TemporalCriterion, carry_identity
from reference_model.targets import InstanceTargets, TargetError
from tests.reference_model import oracle

SIZE = (64, 64)
CONFIG = dataclasses.replace(oracle.CONFIG, num_queries=5, loss_weight_query_passing=0.5)


def with_ids(ids: list[int]) -> InstanceTargets:
    count = len(ids)
    return InstanceTargets(torch.zeros(count, dtype=torch.long), torch.ones(count, 4, 4), torch.tensor(ids))


@pytest.fixture
def model() -> MobileInst:
    torch.manual_seed(3)
    model = MobileInst(CONFIG).double().eval()
    # Logits of a few units: no saturated ties.
    torch.nn.init.normal_(model.instance_decoder.kernel_head.weight, std=0.001)
    torch.nn.init.normal_(model.instance_decoder.class_head.weight, std=0.3)
    return model


class FramePair(NamedTuple):
    """Two frames of two videos, in the order of `TemporalCriterion`'s arguments."""

    images: torch.Tensor
    targets: list[InstanceTargets]
    later_images: torch.Tensor
    later_targets: list[InstanceTargets]


@pytest.fixture
def pair() -> FramePair:
    """In the first video id 11 is hidden later and 14 is new; the order changes. The second video becomes empty."""
    generator = torch.Generator().manual_seed(4)
    images, later_images = (torch.randn(2, 3, *SIZE, generator=generator, dtype=torch.float64) for _ in range(2))
    generator = torch.Generator().manual_seed(5)
    now = oracle.random_targets(generator, [3, 1], 3, [SIZE] * 2, SIZE)
    later = oracle.random_targets(generator, [3, 0], 3, [SIZE] * 2, SIZE)
    now[0] = now[0]._replace(instance_ids=torch.tensor([10, 11, 12]))
    later[0] = later[0]._replace(instance_ids=torch.tensor([14, 12, 10]))
    return FramePair(images, now, later_images, later)


def test_losses_equal_loops_that_look_instances_up_by_id(model: MobileInst, pair: FramePair) -> None:
    losses = TemporalCriterion(CONFIG)(model, *pair)
    with torch.no_grad():
        outputs = [model(images) for images in (pair.images, pair.later_images)]
        features = model.encode(pair.later_images)
        passed = model.with_masks(model.decode_from_queries(outputs[0].global_queries, features), features)
    expected = oracle.criterion(outputs[0], pair.targets, [SIZE] * 2, CONFIG)
    own = oracle.criterion(outputs[1], pair.later_targets, [SIZE] * 2, CONFIG)
    expected |= {f"later/{name}": value for name, value in own.items()}

    carried: list[dict[int, int]] = []
    for image in range(2):
        table = oracle.scores(
            outputs[0].class_logits[image].numpy(),
            [np.vectorize(oracle.sigmoid)(one) for one in outputs[0].mask_logits[image].numpy()],
            pair.targets[image].labels.tolist(),
            [oracle.shrink(one) for one in pair.targets[image].masks.numpy()],
        )
        ids, ids_later = pair.targets[image].instance_ids.tolist(), pair.later_targets[image].instance_ids.tolist()
        carried.append(
            {
                query: ids_later.index(ids[instance])
                for query, instance in oracle.best_assignment(table).items()
                if ids[instance] in ids_later
            }
        )
    assert sorted(carried[0].values()) == [1, 2]
    assert carried[1] == {}
    own = oracle.criterion(passed, pair.later_targets, [SIZE] * 2, CONFIG, carried, instances=2)
    expected |= {f"passed/{name}": 0.5 * value for name, value in own.items()}
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert float(losses[name].detach()) == pytest.approx(value, rel=1e-8), name


def test_repeated_ids_and_single_decoders_are_refused() -> None:
    with pytest.raises(TargetError):
        carry_identity(Match(torch.tensor([0]), torch.tensor([0])), with_ids([3, 3]), with_ids([3]))
    single = dataclasses.replace(CONFIG, decoder="single_global")
    with pytest.raises(ConfigError):
        TemporalCriterion(single)
    model = MobileInst(single).eval()
    with pytest.raises(ValueError, match="single_global"):
        model.decode_from_queries(torch.zeros(1, 5, single.hidden_dim), model.encode(torch.zeros(1, 3, 64, 64)))
