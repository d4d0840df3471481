from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from suite.datasets.png import compress, encode_palette_png, huffman_lengths

RELAXED = settings(max_examples=60, deadline=None)


def decode(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


@RELAXED
@given(st.tuples(st.integers(1, 40), st.integers(1, 300)), st.integers(1, 256), st.data())
def test_pillow_reads_back_every_pixel(shape, colours, data):
    indices = data.draw(arrays(np.uint8, shape, elements=st.integers(0, colours - 1)))
    palette = data.draw(arrays(np.uint8, (colours, 3)))
    image = decode(encode_palette_png(indices, palette))
    assert image.mode == "P"
    assert np.array_equal(np.array(image), indices)
    assert np.array_equal(np.array(image.convert("RGB")), palette[indices])


@RELAXED
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(1, 1200)), min_size=1, max_size=30))
def test_zlib_inflates_what_compress_wrote(runs):
    data = b"".join(bytes([value]) * count for value, count in runs)
    assert zlib.decompress(compress(data)) == data


@pytest.mark.parametrize("length", [*range(1, 12), *range(255, 264), *range(514, 522), 100_000])
def test_runs_of_every_awkward_length(length):
    for data in (b"\0" * length, b"\7" * length + b"\1", b"\1" + b"\0" * length):
        assert zlib.decompress(compress(data)) == data


def test_all_byte_values_and_noise():
    noise = np.random.default_rng(0).integers(0, 256, 50_000, dtype=np.uint8).tobytes()
    skewed = (np.random.default_rng(1).geometric(0.5, 50_000) % 256).astype(np.uint8).tobytes()
    for data in (bytes(range(256)), noise, skewed):
        assert zlib.decompress(compress(data)) == data


def test_code_lengths_stay_below_their_limit_and_form_a_complete_code():
    fibonacci = [1, 1]
    while len(fibonacci) < 30:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = huffman_lengths([0, *fibonacci], 15)
    assert lengths[0] == 0
    assert max(lengths) <= 15
    assert sum(2**-length for length in lengths[1:]) == 1


@pytest.mark.parametrize(
    ("indices", "palette"),
    [
        (np.zeros((0, 4), np.uint8), np.zeros((1, 3), np.uint8)),
        (np.zeros((2, 2), np.int64), np.zeros((1, 3), np.uint8)),
        (np.zeros((2, 2), np.uint8), np.zeros((257, 3), np.uint8)),
        (np.full((2, 2), 3, np.uint8), np.zeros((3, 3), np.uint8)),
    ],
)
def test_what_is_not_a_palette_image_is_refused(indices, palette):
    with pytest.raises(ValueError, match="palette"):
        encode_palette_png(indices, palette)
