"""Drawings as pixels: from an SVG or a bitmap file to a sprite that fills its square."""

import io

import numpy as np
from PIL import Image

VISIBLE = 8
MARGIN = 0.01


def rasterise(drawing: bytes, size: int) -> np.ndarray:
    """Render a drawing, trim its empty border, and centre it so that the longer side fills the square.

    Args:
        drawing: the bytes of an SVG, WebP or PNG file.
        size: of the result, in pixels.

    Returns:
        (size, size, 4) uint8 straight RGBA; colour is zero wherever alpha is.

    Raises:
        ValueError: the drawing is corrupt, or nothing of it is visible.
    """
    picture = _render_svg(drawing, 2 * size) if b"<svg" in drawing[:1024] else _open(drawing)
    left, top, right, bottom = _visible_box(picture)
    side = max(right - left, bottom - top) * (1 + 2 * MARGIN)
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    corner_x, corner_y = round(middle_x - side / 2), round(middle_y - side / 2)
    square = picture.crop((corner_x, corner_y, corner_x + round(side), corner_y + round(side)))
    # Pillow resizes RGBA with premultiplied colour, so that edges don't darken.
    pixels = np.array(square.resize((size, size), Image.Resampling.LANCZOS))
    pixels[pixels[..., 3] == 0] = 0
    return pixels


def _render_svg(drawing: bytes, side: int) -> Image.Image:
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=drawing.decode(), width=side, height=side, skip_system_fonts=True)
    return _open(bytes(png))


def _open(drawing: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(drawing)).convert("RGBA")
    except OSError as problem:
        raise ValueError(str(problem)) from problem


def _visible_box(picture: Image.Image) -> tuple[int, int, int, int]:
    box = picture.getchannel("A").point(lambda alpha: 255 * (alpha > VISIBLE)).getbbox()
    if box is None:
        raise ValueError("nothing of the drawing is visible")
    return box
