"""Makes huge pictures smaller before anything else is done with them: each later step would copy them once more.

Shapes: H W pixels, k factor.
"""

import numpy as np
from PIL import Image

from lantu.images.shapes import Shape

LARGE = 32_000_000  # pixels above which this is worth it
BAND = 16  # rows of the smaller picture that are made at a time
AMPLE = 2  # times the wanted pixels a side that are left, for a good filter at the end
ORIENTATION = 0x0112  # of EXIF data
DEEP = ("I", "F")  # what modes of more than 8 bits a channel begin with


def shrunk(picture: Image.Image, shape: Shape) -> Image.Image:
    """A huge picture at a fraction of its size, by averages of squares of pixels; others as they are.

    Of a picture with a level that means transparent nothing is averaged, unless it has a palette.

    Args:
        picture: opened, perhaps not decoded yet.
        shape: height and width that it will get, as it is stored.
    """
    factor = min(picture.height // (AMPLE * shape[0]), picture.width // (AMPLE * shape[1]))
    if picture.width * picture.height <= LARGE or factor < 2:
        return picture
    orientation = picture.getexif().get(ORIENTATION)
    if picture.mode.startswith(DEEP):
        if "transparency" in picture.info:
            return picture
        smaller = averaged(picture, factor)
        smaller.format = picture.format  # says what white is, see ``lantu.images.to_rgb``
    else:
        smaller = reduced(picture, factor)
    if orientation:
        smaller.getexif()[ORIENTATION] = orientation
    return smaller


def reduced(picture: Image.Image, factor: int) -> Image.Image:
    """A picture of 8 bits, as RGB, RGBA or L, a band of rows at a time; colours of transparent pixels count less."""
    clear = picture.has_transparency_data
    mode = "RGBA" if clear else "L" if picture.mode in ("1", "L") else "RGB"
    width, height = (side // factor for side in picture.size)
    made = Image.new(mode, (width, height))
    for row in range(0, height, BAND):
        rows = min(BAND, height - row)
        band = picture.crop((0, row * factor, width * factor, (row + rows) * factor)).convert(mode)
        band = band.convert("RGBa").reduce(factor).convert("RGBA") if clear else band.reduce(factor)
        made.paste(band, (0, row))
    return made


def averaged(picture: Image.Image, factor: int) -> Image.Image:
    """A picture of 16 or 32 bits, a band of rows at a time."""
    levels_HW = np.asarray(picture)
    height, width = (side // factor for side in levels_HW.shape)
    means_hw = np.empty((height, width), levels_HW.dtype)
    for row in range(height):
        band_kW = levels_HW[row * factor : (row + 1) * factor, : width * factor]
        means_hw[row] = band_kW.reshape(factor, width, factor).mean((0, 2))
    return Image.fromarray(means_hw)
