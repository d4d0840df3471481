"""Association: which query of a key frame continues which query of the key frame before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from reference_model.config import ASSOCIATIONS
from reference_model.images import Geometry, inside
from reference_model.instance_decoder import InstancePrediction
from reference_model.losses import assign, pairwise_dice
from reference_model.mobileinst import FrameFeatures, MobileInst


class TrackingError(ValueError):
    """A tracker used in a way that cannot give tracks; the message is one line."""


def cosine_similarity(previous: Tensor, current: Tensor) -> Tensor:
    """Cosine of the angle between every previous and every current vector.

    Args:
        previous: (N, D).
        current: (M, D).

    Returns:
        (N, M) in [-1, 1]; 0 for a zero vector.
    """
    return F.normalize(previous, dim=1) @ F.normalize(current, dim=1).T


def associate(previous: Tensor, current: Tensor) -> Tensor:
    """Finds the order of the current queries with the largest sum of cosines (kernel association, as in the paper).

    Args:
        previous: (N, D) kernels, or embeddings, of the previous key frame in the order of the tracks.
        current: (N, D) of the current key frame in the order of the queries.

    Returns:
        (N,) int64: the query that continues each track; every query exactly once.

    Raises:
        NonFiniteError: if the numbers are not finite.
    """
    return assign(cosine_similarity(previous, current))[1]


class KeyFrame(NamedTuple):
    """One key frame as association sees it; N queries, in the order of the tracks once they are associated."""

    prediction: InstancePrediction  # of one frame
    scores: Tensor  # (N, C), see `instance_scores`
    features: FrameFeatures
    masks: Tensor  # (N, h, w) logits inside the picture
    geometry: Geometry

    def ordered(self, order: Tensor) -> KeyFrame:
        """Returns the key frame with its queries in another order (N,)."""
        parts = (part[:, order] if part.numel() else part for part in self.prediction)
        return self._replace(prediction=InstancePrediction(*parts), scores=self.scores[order], masks=self.masks[order])

    def activity(self) -> Tensor:
        """Returns the best score of each query, times one minus its largest dice with a mask of a better query, (N,).

        A query that repeats what a better one shows weighs little, as in the matrix suppression of SOLOv2.
        """
        best, masks = self.scores.amax(1), self.masks.sigmoid().flatten(1)
        repeats = pairwise_dice(masks, masks) * (best > best[:, None])
        return best * (1 - repeats.amax(1)).clamp(min=0)


Linker = Callable[[MobileInst, KeyFrame, KeyFrame], Tensor]
"""(model, previous key frame, current key frame) -> the query that continues each track, (N,) int64."""


@dataclass(frozen=True)
class Association:
    """Links the queries of two key frames by similarity, so that its sum over all queries is largest.

    Args:
        compare: cosine of mask ``"kernels"`` (paper), of Q^G, the ``"queries"`` after the first decoder, or of the
            last decoder's ``"embedding"`` (MinVIS); or dice of the current ``"masks"`` with those that the previous
            kernels make on the current frame, which is kernel reuse.
        active: whether a similarity is multiplied by the `KeyFrame.activity` of both queries, and by the cosine of
            their scores over classes.
    """

    compare: str = "kernels"
    active: bool = False

    @classmethod
    def named(cls, name: str) -> Association:
        """Returns an association by its name.

        Raises:
            TrackingError: if it is not one of `ASSOCIATIONS`.
        """
        if name not in ASSOCIATIONS:
            raise TrackingError(f"associate_on {name!r} must be one of {', '.join(ASSOCIATIONS)}")
        return cls(name.removesuffix("+active"), name.endswith("+active"))

    @torch.inference_mode()
    def __call__(self, model: MobileInst, previous: KeyFrame, current: KeyFrame) -> Tensor:
        """Returns the query of the current key frame that continues each track, as `associate`.

        Raises:
            NonFiniteError: if the numbers are not finite.
            TrackingError: if the model does not give what is to be compared.
        """
        similarity = self._similarity(model, previous, current)
        if self.active:
            classes = cosine_similarity(previous.scores, current.scores)
            similarity = similarity * previous.activity()[:, None] * current.activity() * classes
        return assign(similarity)[1]

    def _similarity(self, model: MobileInst, previous: KeyFrame, current: KeyFrame) -> Tensor:
        """Returns how alike each track and each current query are, (N, N) in [-1, 1]."""
        if self.compare == "masks":
            reused = model.masks(previous.prediction.kernels, current.features.mask_features)[0]
            expected = inside(reused, current.geometry).sigmoid().flatten(1)
            return pairwise_dice(expected, current.masks.sigmoid().flatten(1))
        field = "global_queries" if self.compare == "queries" else self.compare
        before, now = (getattr(frame.prediction, field) for frame in (previous, current))
        if not now.numel():
            raise TrackingError(f"associate_on {self.compare!r}: this model puts none out; use kernels or masks")
        return cosine_similarity(before[0], now[0])
