"""Pictures from a user's disk, opened safely or refused with a reason, and their way to tensors and back.

Shapes: B batch, H W pixels.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lantu.errors import ImageError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

MAX_PIXELS = 64_000_000  # 256 MB as RGBA: larger files are a mistake or an attack


def open_image(path: str | Path, keep_alpha: bool = False) -> "Image":
    """Open a picture as RGB, upright, its transparent parts white.

    Args:
        keep_alpha: RGBA instead, as it is.

    Raises:
        ImageError: it is missing, damaged, not a picture, or larger than 64 megapixels.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"no picture at {path}", "check the path")
    return read_image(path, str(path), keep_alpha)


def read_image(
    source: "Path | BinaryIO",
    name: str,
    keep_alpha: bool = False,
    most_pixels: int | None = None,
    formats: tuple[str, ...] | None = None,
) -> "Image":
    """``open_image`` from anything that can be read.

    Args:
        name: for errors.
        most_pixels: larger ones are refused before they are decoded; 64 million if not given.
        formats: that are tried, by Pillow's names; all that it knows if not given.

    Raises:
        ImageError: it is damaged, not a picture, or too large.
    """
    from PIL import Image, ImageOps

    most_pixels = most_pixels or MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=formats) as image:
                if image.width * image.height > most_pixels:
                    raise Image.DecompressionBombError
                image = ImageOps.exif_transpose(image)
                return image.convert("RGBA") if keep_alpha else flatten(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        mend = f"scale it to {most_pixels // 1_000_000} megapixels or fewer"
        raise ImageError(f"the picture {name} is too large", mend) from problem
    except (OSError, ValueError, SyntaxError, TypeError, EOFError) as problem:
        raise ImageError(f"can't read {name} as a picture", "give a whole PNG, JPEG or WebP file") from problem


def to_rgb(picture: "Image") -> "Image":
    """A picture of any mode and bit depth as 8-bit RGB: upright by its EXIF data, transparent parts over white.

    The white of modes I and F is the smallest of 1 (F alone), 255 and 65,535 that holds all levels.
    """
    import numpy as np
    from PIL import Image, ImageOps

    sixteen = picture.format in ("PNG", "PPM") or picture.mode.startswith("I;16")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        levels_HW = np.nan_to_num(np.asarray(picture).astype(np.float64)).clip(0)
        most = levels_HW.max(initial=0)
        whites = (1.0, 255.0, 65535.0) if picture.mode == "F" else (255.0, 65535.0)
        white = 65535.0 if sixteen else next((white for white in whites if most <= white), most)
        picture = Image.fromarray(np.rint((levels_HW * (255 / white)).clip(0, 255)).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def flatten(image: "Image") -> "Image":
    """Any mode → RGB, over white."""
    from PIL import Image

    if image.mode.startswith("I"):
        # Pillow would clip 16 bits to 8 rather than scale them.
        return image.point(lambda value: value / 257, "L").convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def fit(image: "Image", width: int, height: int) -> "Image":
    """Scale to cover width × height pixels, then cut the overhanging sides off, alike on both."""
    from PIL import Image, ImageOps

    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)


def widened(values_HW: "np.ndarray", reach: int = 1) -> "np.ndarray":
    """At each place the largest value within so many places of it, corners included; marks grow by that much."""
    import numpy as np

    padded, span = np.pad(values_HW, reach), range(2 * reach + 1)
    height, width = values_HW.shape
    return np.maximum.reduce([padded[y : y + height, x : x + width] for y in span for x in span])


def to_pixels(images: "np.ndarray") -> "np.ndarray":
    """(B, H, W, 3) uint8 → (B, 3, H, W) float32 in [-1, 1]."""
    import numpy as np

    return images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1


def to_bytes(pixels: "np.ndarray") -> "np.ndarray":
    """(B, 3, H, W) in [-1, 1] → (B, H, W, 3) uint8."""
    import numpy as np

    return np.rint((pixels.clip(-1, 1) + 1) * np.float32(127.5)).astype(np.uint8).transpose(0, 2, 3, 1)


def average(pixels_BCHW: "np.ndarray", height: int, width: int) -> "np.ndarray":
    """To another size by averaging areas: what ``scale`` does, without torch."""
    if pixels_BCHW.shape[2:] == (height, width):
        return pixels_BCHW
    rows, columns = (shares(*sides) for sides in zip(pixels_BCHW.shape[2:], (height, width), strict=True))
    return rows @ pixels_BCHW @ columns.T


def shares(before: int, after: int) -> "np.ndarray":
    """(after, before) float32: how much of each old cell is in each new one; every cell that it touches, alike."""
    import numpy as np

    first = np.arange(after) * before // after
    last = -(-(np.arange(after) + 1) * before // after)
    cells = np.arange(before)
    touched = (cells >= first[:, None]) & (cells < last[:, None])
    return (touched / touched.sum(1, keepdims=True)).astype(np.float32)


def to_tensor(images: "np.ndarray") -> "Tensor":
    """(B, H, W, 3) uint8 → (B, 3, H, W) float32 in [-1, 1]."""
    import torch

    return torch.tensor(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_array(pixels: "Tensor") -> "np.ndarray":
    """(B, 3, H, W) in [-1, 1] → (B, H, W, 3) uint8."""
    return ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def scale(pixels_BCHW: "Tensor", height: int, width: int) -> "Tensor":
    """To another size by averaging areas, as in training."""
    from torch.nn.functional import interpolate

    if pixels_BCHW.shape[2:] == (height, width):
        return pixels_BCHW
    return interpolate(pixels_BCHW, size=(height, width), mode="area")
