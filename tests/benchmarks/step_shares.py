"""What a training step spends its time on, TopFormer-Base at 640 x 864, batch 4.

`python -m tests.benchmarks.step_shares` prints it; three steps, about 20 s of one core.

The step is cut at the model's outputs, so that the backward pass of each part can be told apart. Times are CPU seconds
of one thread, which other programs on the machine do not change much; the shares are of their sum. Matching, losses and
mask upsampling together are to stay below 25 %, or the loop would be worth more work than the model.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from reference_model.images import normalise
from reference_model.losses import Criterion
from reference_model.targets import InstanceTargets
from suite.distributed import start_processes
from suite.training.initial import How, build_model
from suite.training.recipe import load_recipe
from suite.training.source import Batch
from suite.training.step import build_optimizer

STEPS = 2
LIMIT = 0.25
AROUND = ("mask upsampling", "matcher", "losses")
Result = TypeVar("Result")


class Shares:
    """CPU seconds by part, forward and backward together."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, part: str, work: Callable[..., Result], *arguments: Any) -> Result:
        started = time.process_time()
        result = work(*arguments)
        self.seconds[part] = self.seconds.get(part, 0.0) + time.process_time() - started
        return result


def leaf(tensor: Tensor) -> Tensor:
    """Cut the graph: a copy that takes the gradient of what is computed from it."""
    return tensor.detach().requires_grad_()


def product(kernels: Tensor, maps: Tensor) -> Tensor:
    """Multiply kernels (B, N, D) with mask features (B, D, h, w)."""
    return torch.bmm(kernels, maps.flatten(2)).view(*kernels.shape[:2], *maps.shape[-2:])


def upsample(masks: Tensor) -> Tensor:
    """Enlarge (B, N, h, w) twice, as the model does."""
    return F.interpolate(masks, scale_factor=2.0, mode="bilinear", align_corners=False)


def generated_batch(seed: int) -> Batch:
    """Noise with 8 boxes, COCO's mean is 7, in each of 4 images of 640 x 864."""
    generator = torch.Generator().manual_seed(seed)
    images = normalise(torch.randint(256, (4, 3, 640, 864), generator=generator))
    masks = torch.zeros(8, 160, 216)
    for index, mask in enumerate(masks):
        mask[4 * index : 4 * index + 16, 4 * index : 4 * index + 24] = 1
    target = InstanceTargets(torch.randint(80, (8,), generator=generator), masks, torch.arange(8))
    return Batch(images, [target] * 4)


def main() -> None:
    """Print the shares of a step; exit code 1 if those around the model are not below the limit."""
    torch.set_num_threads(1)
    recipe = load_recipe("coco_topformer_base_640", batch_size=4, threads=1)
    processes = start_processes("cpu")
    model = build_model(recipe, 0, processes, How().initial)
    optimizer = build_optimizer(recipe, model)
    criterion = Criterion(model.config)
    model.train()
    shares = Shares()
    for number in range(STEPS + 1):
        if number == 1:
            shares = Shares()  # the first step warms up
        batch = generated_batch(number)
        features = shares.timed("backbone and mask decoder", model.encode, batch.images)
        decoded = shares.timed("instance decoder", model.decode, features)
        kernels, maps = leaf(decoded.kernels), leaf(features.mask_features)
        products = shares.timed("kernels times mask features", product, kernels, maps)
        small = leaf(products)
        masks = shares.timed("mask upsampling", upsample, small)
        output = model.with_masks(decoded, features)._replace(
            class_logits=leaf(decoded.class_logits),
            objectness_logits=leaf(decoded.objectness_logits),
            mask_logits=leaf(masks),
        )
        targets, valid = shares.timed("losses", criterion.prepare, output, batch.targets, None)
        matches = shares.timed("matcher", criterion.match, output, targets, valid)
        instances = sum(len(target.labels) for target in targets)
        losses = shares.timed("losses", criterion.losses, output, targets, valid, matches, instances)
        shares.timed("losses", torch.autograd.backward, list(losses.values()))
        shares.timed("mask upsampling", masks.backward, output.mask_logits.grad)
        shares.timed("kernels times mask features", products.backward, small.grad)
        ends = (decoded.kernels, decoded.class_logits, decoded.objectness_logits, features.mask_features)
        gradients = (kernels.grad, output.class_logits.grad, output.objectness_logits.grad, maps.grad)
        shares.timed("network, backward", torch.autograd.backward, ends, gradients)
        shares.timed("optimiser", optimizer.step)
        optimizer.zero_grad(set_to_none=True)
    whole = sum(shares.seconds.values())
    for part, seconds in sorted(shares.seconds.items(), key=lambda item: -item[1]):
        print(f"{part:28s} {seconds / STEPS:7.3f} s  {100 * seconds / whole:5.1f} %")
    around = sum(shares.seconds[part] for part in AROUND) / whole
    verdict = "below" if around < LIMIT else "NOT below"
    print(f"{' + '.join(AROUND)}: {100 * around:.1f} % of {whole / STEPS:.2f} s, {verdict} {100 * LIMIT:.0f} %")
    if around >= LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
