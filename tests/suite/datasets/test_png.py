from __future__ import annotations

import io
import zlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from suite.datasets.png import compress, encode_palette_png

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
