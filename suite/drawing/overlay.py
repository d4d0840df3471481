"""Paint masks on pictures with contours and labels, put pictures on one sheet, write it: same pixels everywhere."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_dilation

from suite.files import write_bytes

COLOURS: tuple[tuple[int, int, int], ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (153, 153, 255),
)
"""Okabe and Ito's palette, which colour-blind readers can tell apart, black replaced by a light violet."""

CROWD_COLOUR = (160, 160, 160)
FILL_OPACITY = 0.38
CONTOUR_PX = 3
LABEL_SIZE_PX = 13
MAX_LABELS = 12
"""Only the largest masks of a picture are named: more labels would hide what they name."""
TALLEST_PX = 8192
"""To which a picture is enlarged; a strip of a few pixels' width would become gigabytes."""

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Shape:
    """One mask to paint: where, in which colour, under which label (empty = none)."""

    mask: Mask
    colour: tuple[int, int, int]
    label: str = ""


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """Return up to ``wanted`` positions spread evenly over ``0..count-1``, first and last included."""
    if count <= wanted:
        return list(range(count))
    return [round(place * (count - 1) / (wanted - 1)) for place in range(wanted)]


def font(size_px: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans as matplotlib ships it, laid out without the system's own engine."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)


def ink_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return black or white, whichever reads better on a colour (ITU-R BT.601 luma)."""
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    return (0, 0, 0) if luma > 120 else (255, 255, 255)


def resized(mask: Mask, width: int, height: int) -> Mask:
    """Return a mask at another size, nearest neighbour; one that would vanish keeps a pixel for each of its own."""
    image = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.NEAREST)
    at_size = np.asarray(image) > 0
    if not at_size.any():
        at_size = np.zeros((height, width), np.bool_)
        rows, columns = np.nonzero(mask)
        at_size[rows * height // mask.shape[0], columns * width // mask.shape[1]] = True
    return at_size


@dataclass
class _Labels:
    """Places labels inside one picture so that none covers another."""

    width: int
    height: int
    taken: list[Box] = field(default_factory=list)

    def _free(self, box: Box) -> bool:
        return all(
            box[2] <= other[0] or other[2] <= box[0] or box[3] <= other[1] or other[3] <= box[1] for other in self.taken
        )

    def place(self, left: int, top: int, width: int, height: int) -> Box:
        """Return the free box nearest to the wanted corner, above each other where it is crowded."""
        left = max(0, min(left, self.width - width))
        top = max(0, min(top, self.height - height))
        tries = sorted(range(0, max(self.height - height, 0) + 1, 2), key=lambda y: abs(y - top))
        boxes = [(left, y, left + width, y + height) for y in tries]
        box = next((box for box in boxes if self._free(box)), (left, top, left + width, top + height))
        self.taken.append(box)
        return box


def paint(pixels: NDArray[np.uint8], shapes: list[Shape], width: int) -> Image.Image:
    """Paint masks on an image, later ones over earlier ones, and return it ``width`` pixels wide.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        shapes: masks of (H, W).
        width: width of the returned picture, less where it would become taller than itself and `TALLEST_PX`; the
            aspect is kept.
    """
    tallest = max(TALLEST_PX, pixels.shape[0])
    width = max(1, min(width, tallest * pixels.shape[1] // pixels.shape[0]))
    height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
    base = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    canvas = np.asarray(base, dtype=np.float64).copy()
    scaled = [(shape, resized(shape.mask, width, height)) for shape in shapes]
    scaled = [(shape, mask) for shape, mask in scaled if mask.any()]
    for shape, mask in scaled:
        canvas[mask] += (np.array(shape.colour) - canvas[mask]) * FILL_OPACITY
    for shape, mask in scaled:
        canvas[mask & binary_dilation(~mask, iterations=CONTOUR_PX)] = shape.colour
    picture = Image.fromarray(np.rint(canvas).astype(np.uint8))
    labels, draw, face = _Labels(width, height), ImageDraw.Draw(picture), font(LABEL_SIZE_PX)
    largest = sorted((int(mask.sum()) for shape, mask in scaled if shape.label), reverse=True)[:MAX_LABELS]
    for shape, mask in reversed(scaled):
        if shape.label and int(mask.sum()) >= largest[-1]:
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            wide = int(np.ceil(face.getlength(shape.label))) + 6
            box = labels.place(int(columns[0]), int(rows[0]) - LABEL_SIZE_PX, wide, LABEL_SIZE_PX + 4)
            draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=shape.colour)
            draw.text((box[0] + 3, box[1] + 1), shape.label, fill=ink_on(shape.colour), font=face)
    return picture


def banner(text: str, width: int, size_px: int = 15, padding_px: int = 5) -> Image.Image:
    """Return a white strip with one or more lines of black text, broken at spaces to fit ``width``."""
    face = font(size_px)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and face.getlength(longer) > width - 2 * padding_px:
            lines.append(word)
        else:
            lines[-1] = longer
    step = size_px + 4
    strip = Image.new("RGB", (width, len(lines) * step + 2 * padding_px), (255, 255, 255))
    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        draw.text((padding_px, padding_px + number * step), line, fill=(0, 0, 0), font=face)
    return strip


def stacked(rows: list[Image.Image], gap_px: int = 4) -> Image.Image:
    """Return pictures one below the other on white."""
    width = max(row.width for row in rows)
    sheet = Image.new("RGB", (width, sum(row.height for row in rows) + gap_px * (len(rows) - 1)), (255, 255, 255))
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + gap_px
    return sheet


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Return pictures beside each other on white, aligned at the top."""
    mirrored = Image.Transpose.TRANSPOSE
    return stacked([picture.transpose(mirrored) for picture in pictures]).transpose(mirrored)


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a PNG without any metadata, at once or not at all."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=False, compress_level=9)
    write_bytes(path, stream.getvalue())
