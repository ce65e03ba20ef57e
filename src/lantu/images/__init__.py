"""Opening pictures safely, and converting them to tensors and back.

Shapes: B batch, H W pixels.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lantu.errors import ImageError
from lantu.images.heif import HEAD, NEEDED, is_heif, read_heif

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

WHOLE_FILE = "give an intact PNG, JPEG or WebP file"
MAX_PIXELS = 64_000_000  # 256 MB as RGBA; anything larger is a mistake or an attack


def open_image(path: str | Path, keep_alpha: bool = False, note: Callable[[str], None] | None = None) -> "Image":
    """Open a picture as RGB, upright, with transparent parts white: see ``to_rgb``.

    Args:
        keep_alpha: return RGBA, with its transparency.
        note: see ``read_image``.

    Raises:
        ImageError: it is missing, damaged, not a picture, or larger than 64 megapixels.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"no picture at {path}", "check the path")
    return read_image(path, str(path), keep_alpha, note=note)


def read_image(
    source: "Path | BinaryIO",
    name: str,
    keep_alpha: bool = False,
    max_pixels: int | None = None,
    formats: tuple[str, ...] | None = None,
    note: Callable[[str], None] | None = None,
    near: tuple[int, int] | None = None,
) -> "Image":
    """``open_image`` from a path or a file object.

    Args:
        name: of the picture, for errors.
        max_pixels: larger pictures are refused before they are decoded; 64 million by default.
        formats: file formats to try, by Pillow's names; all by default.
        note: called with a line for the user if only a part of the file is read, e.g. the first frame of an animation.
        near: width and height that suffice: to save time and memory, a JPEG may be decoded at a half, a quarter or an
            eighth of its size, as long as that is no smaller.

    Raises:
        ImageError: it is damaged, not a picture, or too large.
    """
    from PIL import Image

    max_pixels = max_pixels or MAX_PIXELS
    if formats is None and is_heif(_head(source)) and not read_heif():
        raise ImageError(f"can't read {name} as a picture", NEEDED)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=formats) as image:
                if image.width * image.height > max_pixels:
                    raise Image.DecompressionBombError
                if near:
                    image.draft("RGB", near)
                frames = _frames(image) if note else 1
                read = to_rgba(image) if keep_alpha else to_rgb(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        hint = f"scale it to {max_pixels // 1_000_000} megapixels or fewer"
        raise ImageError(f"{name} is too large", hint) from problem
    except Exception as problem:  # decoders raise all kinds of exceptions on a broken file
        raise ImageError(f"can't read {name} as a picture", WHOLE_FILE) from problem
    if note and frames > 1:
        note(f"{name} has {frames} frames: the first is read")
    return read


def _head(source: "Path | BinaryIO") -> bytes:
    """The first bytes of a file; none if it can't be read, which is said when it is opened."""
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                return file.read(HEAD)
        head = source.read(HEAD)
        source.seek(0)
        return head
    except OSError:
        return b""


def _frames(image: "Image") -> int:
    """The number of frames of an opened file; 1 if that is damaged, and for a photo with an embedded preview."""
    try:
        return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception:  # decoders raise all kinds of exceptions on a broken file
        return 1


def to_rgb(picture: "Image", background: str = "white") -> "Image":
    """A picture of any mode and bit depth as 8-bit RGB: upright by its EXIF data, transparent parts over a colour.

    16-bit levels are scaled to 8 bits. Modes I and F don't define white: it is the smallest of 1 (only F), 255 and
    65,535 that is no less than all levels, else the highest level; levels of F may be twice as high, because resampling
    overshoots. An animation gives its current frame, the first of a file. Colour profiles are not applied.

    Raises:
        ImageError: it is damaged, empty, or of a mode that can't be converted.
    """
    from PIL import Image

    picture = _in_8_bits(picture)
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, background), picture).convert("RGB")


def to_rgba(picture: "Image") -> "Image":
    """``to_rgb`` with alpha kept: 8-bit RGBA, not premultiplied."""
    return _in_8_bits(picture).convert("RGBA")


def to_mask(picture: "Image") -> "Image":
    """A mask of any mode and bit depth as mode L: 255 where it marks a pixel, 0 elsewhere.

    Marked pixels are those that are at least half transparent or, if there are none, those lighter than mid-grey. In a
    mask with only the levels 0 and 1, ones are marked. The function is idempotent.

    Raises:
        ImageError: see ``to_rgb``.
    """
    import numpy as np
    from PIL import Image

    picture = to_rgba(picture)
    marked_HW = np.asarray(picture.getchannel("A")) < 128
    if not marked_HW.any():
        light_HW = np.asarray(picture.convert("RGB").convert("L"))
        marked_HW = light_HW >= (1 if light_HW.max() == 1 else 128)
    return Image.fromarray(np.where(marked_HW, np.uint8(255), np.uint8(0)))


def _in_8_bits(picture: "Image") -> "Image":
    """A decoded, upright picture in a mode of 8 bits or fewer that Pillow converts to RGB and RGBA."""
    if 0 in picture.size:
        raise ImageError("a picture of {}x{} pixels".format(*picture.size), WHOLE_FILE)
    key, wide = _transparent_level(picture), picture.format in ("PNG", "PPM")
    try:
        picture.load()
    except Exception as problem:  # decoders raise all kinds of exceptions on a broken file
        raise ImageError("the picture is damaged", WHOLE_FILE) from problem
    picture = _upright(picture)
    if picture.mode.startswith(("I", "F")):
        return _scaled(picture, key, wide)
    if key is not None:
        picture.info["transparency"] = key  # ``_upright`` made a copy
    if picture.mode == "La":
        return picture.convert("LA")
    if picture.mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        return picture
    try:
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except (ValueError, TypeError, OSError) as problem:
        raise ImageError(f"can't convert a picture of mode {picture.mode}", WHOLE_FILE) from problem


def _upright(picture: "Image") -> "Image":
    """A copy, rotated as its EXIF data say; unrotated if they are damaged."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # as decoders do
        return picture.copy()


def _transparent_level(picture: "Image") -> "int | tuple[int, ...] | bytes | None":
    """The level or colour that a PNG declares transparent, on the scale of Pillow's decoded pixels.

    Pillow scales 2- and 4-bit pixels up and 16-bit colours down, but not this level.
    """
    key = picture.info.get("transparency")
    tile = (getattr(picture, "tile", None) or [()])[0]
    raw = tile[3] if len(tile) > 3 else ""
    if isinstance(key, int) and raw in ("L;2", "L;4"):
        return key * (85 if raw == "L;2" else 17)
    if isinstance(key, tuple) and (raw == "RGB;16B" or max(key, default=0) > 255):
        return tuple(level >> 8 for level in key)
    return key


def _scaled(picture: "Image", key: object, wide: bool) -> "Image":
    """Modes I, I;16… and F → L, or LA if a level is declared transparent.

    Args:
        wide: the file format has levels of either 8 or 16 bits.
    """
    import numpy as np
    from PIL import Image

    levels_HW = np.asarray(picture).astype(np.float64)
    most = float(levels_HW.max(initial=0, where=np.isfinite(levels_HW)))
    levels_HW = np.nan_to_num(levels_HW, posinf=most).clip(0, most)
    if wide or picture.mode.startswith("I;16"):
        white = 65535.0
    elif picture.mode == "F":
        white = next((white for white in (1.0, 255.0, 65535.0) if most <= 2 * white), most)
    else:
        white = next((white for white in (255.0, 65535.0) if most <= white), most)
    grey = Image.fromarray(np.rint((levels_HW * (255 / white)).clip(0, 255)).astype(np.uint8))
    if not isinstance(key, int):
        return grey
    opaque_HW = np.where(np.asarray(picture) == key, np.uint8(0), np.uint8(255))
    return Image.merge("LA", (grey, Image.fromarray(opaque_HW)))


def fit(image: "Image", width: int, height: int) -> "Image":
    """Scale to cover width × height pixels, then crop the centre."""
    from PIL import Image, ImageOps

    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)


def widened(values_HW: "np.ndarray", reach: int = 1) -> "np.ndarray":
    """The maximum of each pixel's square neighbourhood of radius ``reach``: marks grow by ``reach`` pixels."""
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
    """Resize by averaging areas: ``scale`` without torch."""
    if pixels_BCHW.shape[2:] == (height, width):
        return pixels_BCHW
    rows, columns = (shares(*sides) for sides in zip(pixels_BCHW.shape[2:], (height, width), strict=True))
    return rows @ pixels_BCHW @ columns.T


def shares(before: int, after: int) -> "np.ndarray":
    """(after, before) float32: the weight of each old cell in each new one, equal for all cells that it touches."""
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
    """Resize by averaging areas, as in training."""
    from torch.nn.functional import interpolate

    if pixels_BCHW.shape[2:] == (height, width):
        return pixels_BCHW
    return interpolate(pixels_BCHW, size=(height, width), mode="area")


def fitted(pixels_BCHW: "Tensor", height: int, width: int) -> "Tensor":
    """``scale`` where that keeps the shape; else scale to cover height × width pixels, then crop the centre."""
    H, W = pixels_BCHW.shape[2:]
    if H * width == W * height:
        return scale(pixels_BCHW, height, width)
    factor = max(height / H, width / W)
    larger = scale(pixels_BCHW, max(height, round(factor * H)), max(width, round(factor * W)))
    top, left = (larger.shape[2] - height) // 2, (larger.shape[3] - width) // 2
    return larger[:, :, top : top + height, left : left + width]
