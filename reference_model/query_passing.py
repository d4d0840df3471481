"""Temporal query passing: queries of one frame learn to find their instances in another.

    frame t          Q -> global decoder -> Q^G_t -> local decoder(X_L of t)         -> kernels . X_mask of t
    frame t + delta                           `---> local decoder(X_L of t + delta)  -> kernels . X_mask of t + delta

The passed queries are supervised with the ground truth of frame t + delta. They keep their identity: what a query was
matched with at t is what it has to find at t + delta. Matching them again would teach masks, but not identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from reference_model.config import ConfigError, ModelConfig
from reference_model.losses import Criterion, Match
from reference_model.targets import InstanceTargets, TargetError

if TYPE_CHECKING:
    from reference_model.mobileinst import MobileInst, MobileInstOutput


def carry_identity(matched: Match, targets: InstanceTargets, targets_later: InstanceTargets) -> Match:
    """Pairs the queries of one frame with the same instances in another frame of the video.

    Args:
        matched: queries and instances of frame t.
        targets: the instances of frame t.
        targets_later: the instances of frame t + delta.

    Returns:
        Each query with the instance of the same id at t + delta. Queries whose instance is hidden or gone there are
        left out, and so become background; instances that were not matched at t have no query.

    Raises:
        TargetError: if an id occurs twice in a frame.
    """
    for frame in (targets, targets_later):
        ids = frame.instance_ids.tolist()
        if len(set(ids)) != len(ids):
            raise TargetError(f"instance ids {ids} are not unique in their frame")
    same = targets.instance_ids[matched.instances][:, None] == targets_later.instance_ids[None, :]
    pair, instance = same.nonzero(as_tuple=True)
    return Match(matched.queries[pair], instance)


class TemporalCriterion(nn.Module):
    """The losses of two frames of one video and of the queries passed between them.

    Args:
        config: gives the criterion's settings and ``loss_weight_query_passing``.

    Raises:
        ConfigError: if the model has one decoder only, which leaves nothing to pass the queries to.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if len(config.decoder_sources) == 1:
            raise ConfigError(
                f"model configuration {config.name!r}: decoder {config.decoder!r} has no second decoder to pass "
                "queries to; train it without query passing"
            )
        self.criterion = Criterion(config)
        self.weight = config.loss_weight_query_passing

    def forward(
        self,
        model: MobileInst,
        images: Tensor,
        targets: Sequence[InstanceTargets],
        images_later: Tensor,
        targets_later: Sequence[InstanceTargets],
        valid_size: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Runs the model on both frames of B videos and computes the weighted losses.

        Args:
            model: run once on the 2B frames, then its second decoder once more for the passed queries.
            images: (B, 3, H, W) frames t, normalised and padded.
            targets: the instances of frames t.
            images_later: (B, 3, H, W) frames t + delta in the same order, flipped and scaled alike.
            targets_later: the instances of frames t + delta; equal ids mean the same object.
            valid_size: (B, 2) height and width of each video's resized frames before padding, in pixels.

        Returns:
            The terms of `Criterion` for frame t as they are, for t + delta as an image of its own behind "later/", and
            for the passed queries behind "passed/". Each group is normalised by its own number of supervised instances;
            the loss is the sum of all values.

        Raises:
            NonFiniteError: if logits are NaN.
            TargetError: if the targets do not fit the images, or an id occurs twice in a frame.
        """
        if images.shape != images_later.shape:
            raise TargetError(f"frames of shape {tuple(images.shape)} and {tuple(images_later.shape)} are not pairs")
        batch = len(images)
        features = model.encode(torch.cat([images, images_later]))
        output = model.segment(features)
        frames, later = (_part(output, half) for half in (slice(batch), slice(batch, None)))
        targets, valid = self.criterion.prepare(frames, targets, valid_size)
        targets_later, valid_later = self.criterion.prepare(later, targets_later, valid_size)
        values, matches = self.criterion.supervise(frames, targets, valid)
        own, _ = self.criterion.supervise(later, targets_later, valid_later)
        values |= {f"later/{name}": value for name, value in own.items()}
        aim = type(features)(*(part[batch:] for part in features))
        passed = model.with_masks(model.decode_from_queries(frames.global_queries, aim), aim)
        carried = [carry_identity(*parts) for parts in zip(matches, targets, targets_later, strict=True)]
        supervised = sum(len(pairs.queries) for pairs in carried)
        losses = self.criterion.losses(passed, targets_later, valid_later, carried, supervised)
        return values | {f"passed/{term}": self.weight * value for term, value in losses.items()}


def _part(output: MobileInstOutput, half: slice) -> MobileInstOutput:
    """The output for some images of the batch."""
    parts: dict[str, Any] = {name: part[half] for name, part in output._asdict().items() if isinstance(part, Tensor)}
    if output.auxiliary is not None:
        parts["auxiliary"] = _part(output.auxiliary, half)
    return output._replace(**parts)
