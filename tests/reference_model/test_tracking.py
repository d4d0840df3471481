from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reference_model.association import Association, KeyFrame, TrackingError, associate, cosine_similarity
from reference_model.config import ASSOCIATIONS, VARIANTS
from reference_model.images import ImageError, inside, instance_scores, preprocess, upsample_masks
from reference_model.instance_decoder import InstancePrediction
from reference_model.mobileinst import FrameFeatures, MobileInst, NonFiniteError
from reference_model.tracking import FrameTracks, OnlineTracker, see_frame
from tests.reference_model import oracle
from tests.reference_model.small import spread

CONFIG = dataclasses.replace(
    VARIANTS["mobileinst_topformer_tiny_shapes"], num_queries=8, num_classes=3, short_side_px=64, long_side_px=96
)


class DecodedOtherwise(MobileInst):
    """A MobileInst whose predictions are changed, by the number of the call, before anybody sees them."""

    def __init__(self, change: Callable[[int, InstancePrediction], InstancePrediction]) -> None:
        super().__init__(CONFIG)
        self.change = change
        self.calls = 0

    def decode(self, features: FrameFeatures) -> InstancePrediction:
        self.calls += 1
        return self.change(self.calls - 1, super().decode(features))


def unchanged(call: int, prediction: InstancePrediction) -> InstancePrediction:
    return prediction


def permuted(call: int, prediction: InstancePrediction) -> InstancePrediction:
    """The same queries in another order at every key frame but the first."""
    order = torch.randperm(8, generator=torch.Generator().manual_seed(call)) if call else torch.arange(8)
    return InstancePrediction(*(part[:, order] for part in prediction))


def build(change: Callable[[int, InstancePrediction], InstancePrediction] = unchanged) -> DecodedOtherwise:
    torch.manual_seed(1)
    model = DecodedOtherwise(change)
    spread(model)
    return model.eval()


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """A pattern that moves: 8 frames of 60 x 90 pixels."""
    pattern = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8).repeat(6, 0).repeat(6, 1)
    return [np.ascontiguousarray(pattern[step : 60 + step, 3 * step : 90 + 3 * step]) for step in range(8)]


def masks_of(tracks: FrameTracks) -> dict[int, np.ndarray]:
    return {one.track_index: one.mask for one in tracks.instances}


def same(one: dict[int, np.ndarray], other: dict[int, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all((one[key] == other[key]).all() for key in one)


def test_between_key_frames_only_the_instance_decoder_rests(frames: list[np.ndarray]) -> None:
    model = build()
    encoded = []
    decoder_runs = []
    model.backbone.register_forward_hook(lambda *_: encoded.append(1))
    model.instance_decoder.register_forward_hook(lambda *_: decoder_runs.append(1))
    tracker = OnlineTracker(model, CONFIG, key_frame_interval=3)
    keys = [tracker.push(frame).is_key_frame for frame in frames]
    assert keys == [True, False, False, True, False, False, True, False]
    assert (len(encoded), len(decoder_runs)) == (8, 3)
    tracker.track_video(frames)
    assert (len(encoded), len(decoder_runs)) == (16, 6)


def test_frames_between_reuse_the_kernels_on_their_own_features(frames: list[np.ndarray]) -> None:
    model = build()
    tracker = OnlineTracker(model, CONFIG, key_frame_interval=3)
    pushed = [tracker.push(frame) for frame in frames[:3]]
    with torch.no_grad():
        inputs = [preprocess(frame, CONFIG) for frame in frames[:3]]
        kernels = model(inputs[0][0]).kernels
        for tracks, (pixels, geometry) in zip(pushed, inputs, strict=True):
            logits = model.masks(kernels, model.encode(pixels).mask_features)[0]
            expected = {
                query: mask.paint(60, 90)
                for query, mask in enumerate(upsample_masks(logits, geometry, 0.45))
                if mask is not None
            }
            assert expected
            assert same(masks_of(tracks), expected)
    assert not same(masks_of(pushed[0]), masks_of(pushed[2]))
    assert [[(one.track_index, one.class_index, one.score) for one in tracks.instances] for tracks in pushed[1:2]] == [
        [(one.track_index, one.class_index, one.score) for one in pushed[2].instances]
    ]


@pytest.mark.parametrize("associate_on", ASSOCIATIONS)
def test_association_undoes_a_change_of_order(frames: list[np.ndarray], associate_on: str) -> None:
    still = [frames[0]] * 5
    plain = OnlineTracker(build(), CONFIG, 2, associate_on=associate_on)
    expected = [plain.push(frame) for frame in still]
    shuffled = OnlineTracker(build(permuted), CONFIG, 2, associate_on=associate_on)
    assert all(
        same(masks_of(shuffled.push(frame)), masks_of(tracks)) for frame, tracks in zip(still, expected, strict=True)
    )
    torch.testing.assert_close(shuffled.scores, plain.scores)

    off = OnlineTracker(build(permuted), CONFIG, 2, association=False)
    assert not all(
        same(masks_of(off.push(frame)), masks_of(tracks)) for frame, tracks in zip(still, expected, strict=True)
    )


def test_association_follows_kernels_that_turn_further_than_they_are_apart(frames: list[np.ndarray]) -> None:
    """Kernels 45 degrees apart turn 20 degrees a key frame: only the previous one, in track order, tells who is who."""

    def turning(call: int, prediction: InstancePrediction) -> InstancePrediction:
        angles = torch.arange(8) * math.radians(45) + call * math.radians(20)
        kernels = torch.zeros_like(prediction.kernels)
        kernels[0, :, 0], kernels[0, :, 1] = angles.cos(), angles.sin()
        return permuted(call, prediction._replace(kernels=kernels))

    plain, turned = (
        OnlineTracker(build(), CONFIG, 1, associate_on="kernels", score_maskness=False),
        OnlineTracker(build(turning), CONFIG, 1, associate_on="kernels", score_maskness=False),
    )
    for _ in range(6):
        plain.push(frames[0])
        turned.push(frames[0])
        torch.testing.assert_close(turned.scores, plain.scores)


def test_score_is_the_mean_over_key_frames_and_the_ten_best_pairs_are_returned(frames: list[np.ndarray]) -> None:
    model = build()
    tracks = OnlineTracker(model, CONFIG, 3, association=False, score_maskness=False).track_video(iter(frames))
    with torch.no_grad():
        outputs = [model(preprocess(frames[index], CONFIG)[0]) for index in (0, 3, 6)]
    pairs = {}
    for query in range(8):
        for category in range(3):
            values = [
                math.sqrt(
                    oracle.sigmoid(float(output.class_logits[0, query, category]))
                    * oracle.sigmoid(float(output.objectness_logits[0, query]))
                )
                for output in outputs
            ]
            pairs[query, category] = sum(values) / 3
    best = sorted(pairs.items(), key=lambda item: -item[1])[:10]
    assert [(track.class_index, pytest.approx(track.score, rel=1e-4)) for track in tracks] == [
        (category, score) for (_, category), score in best
    ]
    assert len({id(track.masks) for track in tracks}) == len({query for (query, _), _ in best}) < 10
    assert all(len(track.masks) == len(frames) for track in tracks)


def test_a_track_is_not_shown_where_its_key_frame_does_not_see_it(frames: list[np.ndarray]) -> None:
    def hidden_once(call: int, prediction: InstancePrediction) -> InstancePrediction:
        logits: Tensor = prediction.class_logits.clone()
        logits[:, 3] = -30.0 if call == 1 else 3.0
        return prediction._replace(class_logits=logits)

    tracker = OnlineTracker(build(hidden_once), CONFIG, 2, association=False, score_maskness=False)
    tracks = tracker.track_video(frames, max_tracks=1000)
    hidden = [[mask is None for mask in track.masks] for track in tracks]
    assert [False, False, True, True, False, False, False, False] in hidden
    tracker = OnlineTracker(build(hidden_once), CONFIG, 2, association=False, score_maskness=False)
    assert [3 in masks_of(tracker.push(frame)) for frame in frames[:6]] == [True, True, False, False, True, True]


def test_wrong_use_is_refused(frames: list[np.ndarray]) -> None:
    model = build()
    tracker = OnlineTracker(model, CONFIG)
    calls: list[Callable[[], object]] = [
        lambda: OnlineTracker(model, CONFIG, key_frame_interval=0),
        lambda: OnlineTracker(model, CONFIG, associate_on="boxes"),
        lambda: tracker.track_video([]),
        lambda: tracker.scores,
        lambda: [tracker.push(frame) for frame in (frames[0], frames[0][:50])],
    ]
    for call in calls:
        with pytest.raises(TrackingError):
            call()
    with pytest.raises(ImageError):
        tracker.push(frames[0].astype(np.float32))
    with pytest.raises(NonFiniteError):
        associate(torch.ones(2, 3), torch.full((2, 3), float("nan")))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 6))
def test_order_has_the_largest_sum_of_cosines(seed: int, count: int, length: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    previous, current = (torch.randn(count, length, generator=generator, dtype=torch.float64) for _ in range(2))

    def cosine(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5

    table = [[cosine(a, b) for b in current.tolist()] for a in previous.tolist()]
    torch.testing.assert_close(cosine_similarity(previous, current), torch.tensor(table, dtype=torch.float64))
    best = max(itertools.permutations(range(count)), key=lambda order: sum(table[i][j] for i, j in enumerate(order)))
    assert associate(previous, current).tolist() == list(best)


def test_masks_active_classes_against_loops(frames: list[np.ndarray]) -> None:
    """Dice of reused kernels' masks x activity of both x cosine of class scores, and the best of all orders."""
    model = build()
    with torch.no_grad():
        keys = []
        for frame in frames[:2]:
            seen = see_frame(model, CONFIG, frame)
            assert seen.prediction is not None
            scores = instance_scores(seen.prediction.class_logits[0], seen.prediction.objectness_logits[0])
            masks = inside(model.masks(seen.prediction.kernels, seen.features.mask_features)[0], seen.geometry)
            keys.append(KeyFrame(seen.prediction, scores, seen.features, masks, seen.geometry))
        before, now = keys
        reused = inside(model.masks(before.prediction.kernels, now.features.mask_features)[0], now.geometry)
    grids = [[mask.sigmoid().double().numpy() for mask in masks] for masks in (reused, now.masks, before.masks)]
    best = [key.scores.amax(1).tolist() for key in keys]

    def activity(masks: list[np.ndarray], tops: list[float]) -> list[float]:
        repeats = [
            [oracle.dice(a, b) for b, top in zip(masks, tops, strict=True) if top > own]
            for a, own in zip(masks, tops, strict=True)
        ]
        return [own * (1 - max(found, default=0.0)) for own, found in zip(tops, repeats, strict=True)]

    old, new = activity(grids[2], best[0]), activity(grids[1], best[1])
    cosines = cosine_similarity(before.scores, now.scores).tolist()
    table = [
        [oracle.dice(grids[0][i], grids[1][j]) * old[i] * new[j] * cosines[i][j] for j in range(8)] for i in range(8)
    ]
    found = Association.named("masks+active")(model, before, now).tolist()
    best_sum = max(sum(table[i][j] for i, j in enumerate(order)) for order in itertools.permutations(range(8)))
    assert sum(table[i][j] for i, j in enumerate(found)) == pytest.approx(best_sum, rel=1e-5)
