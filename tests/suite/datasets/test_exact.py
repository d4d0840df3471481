from __future__ import annotations

import colorsys
import math

from suite.datasets.exact import ONE, TURN, Draws, cosine, rgb, sine


def test_sine_and_cosine_are_the_nearest_integers():
    for angle in range(-2 * TURN, 2 * TURN):
        radians = 2 * math.pi * angle / TURN
        assert abs(sine(angle) - ONE * math.sin(radians)) <= 0.5 + 1e-9
        assert abs(cosine(angle) - ONE * math.cos(radians)) <= 0.5 + 1e-9


def test_colours_agree_with_the_standard_library():
    for hue in range(-360, 720, 7):
        for saturation, value in ((0, 50), (100, 100), (35, 80), (90, 20)):
            expected = [255 * part for part in colorsys.hsv_to_rgb(hue % 360 / 360, saturation / 100, value / 100)]
            assert all(abs(have - want) <= 2 for have, want in zip(rgb(hue, saturation, value), expected, strict=True))


def test_draws_never_change_and_depend_on_their_whole_key():
    # Known numbers: any change of the generator changes the pinned dataset.
    first = Draws("a", 1)
    assert [first.integer(0, 99) for _ in range(5)] == [49, 61, 15, 84, 22]
    assert Draws("a", 1).word() != Draws("a", 2).word() != Draws("b", 1).word()
