"""The codes of a data set under one tokenizer, made once and kept beside the data."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from lantu.data.codes import are_there, load_codes, tokenize
from lantu.data.shards import Shards, read_index
from lantu.errors import RecipeError
from lantu.images import fitted, to_tensor
from lantu.images.shapes import scaled
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes.sources import part_folder

KEPT = ContextVar("kept", default=True)


class Tokenizer(Protocol):
    """What turns pictures into codes and back, while a language model learns them: an ``ImageTokenizer``, or a rival's.

    Shapes: B pictures, C = 3 channels, H W pixels, h w grid.
    """

    @property
    def size(self) -> int:
        """Pixels a side of the pictures that it was made for."""
        ...

    @property
    def codebook_size(self) -> int:
        """Number of codes."""
        ...

    def codes_digest(self) -> str:
        """The SHA-256 of all that maps pictures to codes."""
        ...

    def encode(self, pixels_BCHW: torch.Tensor, /) -> torch.Tensor:
        """Pictures in [-1, 1] → codes (B, h, w) int64."""
        ...

    def paint(self, codes_Bhw: np.ndarray, /) -> np.ndarray:
        """Codes → (B, H, W, 3) uint8, in one pass."""
        ...


def load_tokenizer(folder: str | Path) -> ImageTokenizer:
    """The tokenizer that a recipe names: by a run, a model or its folder.

    Raises:
        RecipeError: it names none.
        ModelError: there is none.
    """
    if not str(folder):
        raise RecipeError("no image tokenizer to take codes from", "name its run: --tokenizer DIR")
    return ImageTokenizer.load(part_folder(folder, "tokenizer"))


def depth_of(tokenizer: Tokenizer) -> int:
    """Codes of a cell."""
    return tokenizer.config.depth if isinstance(tokenizer, ImageTokenizer) else 1


def check_cells(tokenizer: Tokenizer, what: str, sequences: bool = False) -> None:
    """Refuse codes that don't stand for one cell each, where these are needed.

    Args:
        what: needs them.
        sequences: it takes the codes of a sequence as well.

    Raises:
        RecipeError: a cell has several codes, or a picture a sequence.
    """
    depth, queries = depth_of(tokenizer), tokenizer.config.queries if isinstance(tokenizer, ImageTokenizer) else 0
    if depth > 1 or (queries and not sequences):
        kind = f"{depth} codes a cell" if depth > 1 else f"a sequence of {queries} codes"
        what = f"{what} reads one code a cell, and this image tokenizer writes {kind}"
        raise RecipeError(what, "take a tokenizer of a code a cell")


def encoder(tokenizer: Tokenizer, data: str | Path, device: str = "cpu") -> Callable[[np.ndarray], np.ndarray]:
    """(B, H, W, 3) uint8 → (B, h, w) codes, at the tokenizer's own size.

    Args:
        data: the folder that the pictures are from.
        device: where the tokenizer is.
    """
    size, before = tokenizer.size, read_index(data)["size"]
    # A rival's tokenizer takes squares, to which pictures of other shapes are cropped.
    unit = tokenizer.config.patch if isinstance(tokenizer, ImageTokenizer) else size

    def encode(images: np.ndarray) -> np.ndarray:
        pixels = fitted(to_tensor(images), *scaled(images.shape[1:3], before, size, unit))
        with torch.inference_mode():
            return tokenizer.encode(pixels.to(device)).cpu().numpy()

    return encode


def name_of(tokenizer: Tokenizer) -> str:
    """The name under which a data set keeps this tokenizer's codes."""
    return tokenizer.codes_digest()[:12]


def ensure_codes(
    data: str | Path,
    tokenizer: Tokenizer,
    progress: Callable[[int, int], None] | None = None,
    device: str = "cpu",
) -> str:
    """Make a data set's codes where they are missing; returns the name under which they are kept.

    Args:
        device: where to compute; the tokenizer, if it is one that can be moved, moves there.
    """
    name = name_of(tokenizer)
    if device != "cpu" and isinstance(tokenizer, ImageTokenizer):
        tokenizer.to(device)
    tokenize(data, encoder(tokenizer, data, device), name, progress=progress)
    return name


@contextlib.contextmanager
def unkept() -> Iterator[None]:
    """Inside, ``codes_of`` writes nothing."""
    token = KEPT.set(False)
    try:
        yield
    finally:
        KEPT.reset(token)


def codes_of(data: str | Path, tokenizer: Tokenizer, split: str, or_empty: bool = False) -> Any:
    """The codes of a split, (N, h, w): an array; missing ones are made and kept beside the data.

    Of pictures of several shapes: ``lantu.data.grids.Grids``.

    Inside ``unkept``, missing codes are made on demand and not kept.

    Args:
        or_empty: return no codes for a split that the data doesn't have.

    Raises:
        DataError: there is no data, or its codes belong to other data.
        DiskError: they can't be written.
    """
    name = name_of(tokenizer)
    if KEPT.get():
        ensure_codes(data, tokenizer)
    elif not are_there(data, name, split):
        return Passing(Shards(data, split, or_empty=or_empty), encoder(tokenizer, data))
    return load_codes(data, name, split, or_empty=or_empty)


class Passing:
    """Codes that are made on demand and cached in memory. Shapes: N pictures, h w grid."""

    def __init__(self, shards: Shards, encode: Callable[[np.ndarray], np.ndarray]):
        self.shards, self.encode = shards, encode
        self.known: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int | Sequence[int] | np.ndarray) -> np.ndarray:
        """(h, w) uint16 of one picture, or (n, h, w) of several."""
        wanted = np.atleast_1d(np.asarray(index, np.int64)).tolist()
        if missing := [one for one in dict.fromkeys(wanted) if one not in self.known]:
            made = self.encode(self.shards.images(missing)).astype(np.uint16)
            self.known.update(zip(missing, made, strict=True))
        return self.known[wanted[0]] if np.ndim(index) == 0 else np.stack([self.known[one] for one in wanted])
