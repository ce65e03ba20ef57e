"""What the layouts of published models share: sizes, codes of pictures, and what such a model never has."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu import images
from lantu.engine.request import Request
from lantu.engine.sampling_params import DENOISING, FOUND, PASSES, PREFIXES, SamplingParams
from lantu.errors import ImageError, LantuError, PromptError
from lantu.models.published.folder import PublishedFolder
from lantu.models.published.text import Text
from lantu.models.spec import Grid, Size
from lantu.models.validation import check_codes
from lantu.types import MASK_CODE, Picture, UnknownWord

if TYPE_CHECKING:
    from PIL.Image import Image


class PublishedLayout:
    """The base of a family's ``Layout`` (see ``lantu.models.spec``), which adds ``draw``.

    Args:
        folder: of the model.
        text: its text tokenizer.
        encode: pictures (B, H, W, 3) uint8 → codes (B, h, w).

    Attributes:
        longest: ids that the language model can read and write.
        first_code: the id of code 0.
    """

    longest: int
    first_code: int

    def __init__(self, folder: PublishedFolder, text: Text, encode: Callable[[np.ndarray], np.ndarray]):
        self.folder, self.text, self.encode_pictures = folder, text, encode

    @property
    def size(self) -> Size:
        """Width and height in pixels of the pictures that it was trained on."""
        return self.size_of(self.folder.grid)

    @property
    def patch(self) -> int:
        """Pixels a side of the cell that one code stands for."""
        return self.folder.patch

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The only one that is known; see ``lantu.models.spec.Layout``."""
        return (self.size,)

    def grid_of(self, size: Size) -> Grid:
        """Height and width in codes of a picture of width and height in pixels; here, of the only size that there is.

        Raises:
            ImageError: there is no such grid.
        """
        if tuple(size) != self.size:
            what = "the model draws and reads {}x{} pixels, not {}x{}".format(*self.size, *size)
            raise ImageError(what, "leave out the size")
        return self.folder.grid

    def size_of(self, grid: Grid) -> Size:
        """Width and height in pixels."""
        return grid[1] * self.folder.patch, grid[0] * self.folder.patch

    def check_size(self, size: Size) -> str:
        """Nothing to warn of. Raises ImageError where there is no such grid."""
        self.grid_of(size)
        return ""

    def check_params(self, params: SamplingParams) -> None:
        """Refuse parameters that mean nothing to the model. Raises LantuError."""
        for name in self.folder.unused_params:
            if getattr(params, name) != getattr(self.folder.settings, name):
                known = dict.fromkeys(DENOISING, "belongs to diffusion decoders, which")
                known |= dict.fromkeys(PASSES, "belongs to drafting many codes a pass, which")
                known |= dict.fromkeys(FOUND, "is read from a memory bank, which")
                known |= dict.fromkeys(PREFIXES, "belongs to drawing from the first codes of a sequence, which")
                whose = f"{name} {known.get(name, 'is unknown, which')} {self.folder.name} has not"
                raise LantuError(whose, "leave it out")

    def check_length(self, prefix: Sequence[int], drafted: int) -> None:
        """Refuse a prompt that leaves no room for the picture. Raises PromptError."""
        if len(prefix) + drafted > self.longest:
            counts = f"{len(prefix):,} ids of a prompt and {drafted:,} of a picture"
            what = f"{counts} are more than the {self.longest:,} ids that the model can read"
            raise PromptError(what, "ask for fewer pixels" if drafted > self.longest // 2 else "shorten the prompt")

    def request(
        self,
        prefix: Sequence[int],
        allowed: range,
        limit: int,
        seed: int,
        params: SamplingParams,
        unconditional: Sequence[int] | None = None,
        **more: Any,
    ) -> Request:
        """The request for ``limit`` ids of a range after a prefix, drafted by these parameters.

        Args:
            more: other fields of the request.
        """
        return Request(
            prefix,
            (allowed,),
            limit=limit,
            seed=seed,
            unconditional=unconditional,
            guidance=params.guidance,
            temperature=params.temperature,
            top_k=params.top_k,
            top_p=params.top_p,
            contrast=params.contrast,
            num_draft_tokens=params.num_draft_tokens,
            min_accepted=params.min_accepted,
            **more,
        )

    def count_tokens(self, text: str) -> int:
        """Ids that a text takes, without special tokens."""
        return len(self.text.encode(text, special=False))

    def unknown_words(self, prompt: str) -> tuple[UnknownWord, ...]:
        """None: the model's words are not listed."""
        return ()

    def warnings(self, prompt: str, draws: bool = True) -> list[str]:
        """None: the model's words are not listed."""
        return []

    def example_ids(self, examples: Sequence[Any], language: str = "") -> list[int]:
        """Raises LantuError: the model is shown no examples."""
        raise LantuError(f"{self.folder.name} can't follow examples", "leave them out")

    def tokenize(self, image: "Image", *, fit: bool = False) -> np.ndarray:
        """The codes of a picture, (h, w) int64.

        Args:
            fit: scale and crop a picture of another size.

        Raises:
            ImageError: it is not of the model's size.
        """
        image = images.to_rgb(image)
        if fit:
            image = images.fit(image, *self.size)
        elif image.size != self.size:
            what = "the picture has {}x{} pixels, the model reads {}x{}".format(*image.size, *self.size)
            raise ImageError(what, "scale it, or have it scaled and cropped with --fit")
        return self.encode_pictures(np.asarray(image)[None])[0]

    def with_codes(self, picture: "Picture | Image") -> "tuple[Image, np.ndarray]":
        """A picture and its codes, (h, w) int64. Raises ImageError, DataError."""
        if isinstance(picture, Picture):
            return picture.image, check_codes(picture.codes, self.folder)
        image = images.to_rgb(picture)
        return image, self.tokenize(image)

    def codes(self, ids: Sequence[int], grid: Grid) -> np.ndarray:
        """Drafted ids → (h, w) int64; MASK_CODE where a code is still missing."""
        codes_N = np.full(grid[0] * grid[1], MASK_CODE, np.int64)
        codes_N[: len(ids)] = np.array(ids, np.int64) - self.first_code
        return codes_N.reshape(grid)
