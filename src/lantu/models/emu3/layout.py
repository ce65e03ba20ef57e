"""How Emu3 writes a drawing: BOS, the prompt, a header with the sides of the grid, then the codes row by row.

Each row ends with an id of its own, which needs no drafting. Behind the last row nothing is drafted: end of frame, end
of image and EOS are certain. Guidance compares with a description of bad pictures, under the same header, as in BAAI's
image_generation.py; the words of praise behind the prompt are from there, too.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lantu import images
from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.engine.request import Request
from lantu.engine.sampling_params import SamplingParams
from lantu.models.emu3.folder import Emu3Folder
from lantu.models.published.layout import PublishedLayout
from lantu.models.published.text import Text
from lantu.models.spec import Grid, Size
from lantu.models.validation import check_prompt, grid_of
from lantu.types import MAX_GRID

if TYPE_CHECKING:
    from PIL.Image import Image

PRAISE = " masterpiece, film grained, best quality."
NEGATIVE = (
    "lowres, bad anatomy, bad hands, text, error, missing fingers, extra digit, fewer digits, cropped, worst quality, "
    "low quality, normal quality, jpeg artifacts, signature, watermark, username, blurry."
)
UNUSUAL = 1.5  # times more or fewer pixels than the pictures that it was trained on


class Emu3Layout(PublishedLayout):
    """Prompts and codes as ids; see ``lantu.models.spec.Layout``.

    Args:
        folder: of the model, with its text tokenizer.
        encode: pictures (B, H, W, 3) uint8 → codes (B, h, w).
    """

    def __init__(self, folder: Emu3Folder, encode: Callable[[np.ndarray], np.ndarray]):
        config = folder.config
        super().__init__(folder, Text(folder.path, config.sizes.ids), encode)
        self.config, self.longest, self.first_code = config, config.longest, config.first_code

    def grid_of(self, size: Size) -> Grid:
        """Height and width in codes. Raises ImageError for sides that are no multiples of the patch, or too long."""
        return grid_of(size, self.folder.patch, MAX_GRID)

    def check_size(self, size: Size) -> str:
        """A warning for sizes that are far from those that it was trained on. Raises ImageError as ``grid_of``."""
        self.grid_of(size)
        share = size[0] * size[1] / (self.size[0] * self.size[1])
        if 1 / UNUSUAL <= share <= UNUSUAL:
            return ""
        return "the model has learnt pictures with about as many pixels as {}x{}, others are worse".format(*self.size)

    def draw(
        self,
        prompt: str,
        grid: Grid,
        seed: int,
        params: SamplingParams,
        control: ControlLogitsProcessor | None = None,
    ) -> Request:
        """The request for one picture.

        Raises:
            PromptError: the prompt is empty, too long or no text.
            ModelError: the directory has no text tokenizer that transformers can read.
            LantuError: transformers is not installed; or a parameter belongs to diffusion decoders alone.
        """
        self.check_params(params)
        prefix = self.encode(check_prompt(prompt) + PRAISE, grid)
        height, width = grid
        self.check_length(prefix, height * (width + 1))
        codes = range(self.first_code, self.first_code + self.config.codebook_size)
        ends = {"stride": width, "row_end": (self.config.end_of_row,)}
        return self.request(prefix, codes, height * width, seed, params, self.encode(NEGATIVE, grid), **ends)

    def encode(self, prompt: str, grid: Grid) -> list[int]:
        """The ids of a text and of the header that begins a picture, as transformers' processor writes them."""
        words = self.text.tokenizer
        begin = getattr(words, "boi_token", None) or "<|image start|>"
        behind = getattr(words, "image_wrapper_token", None) or "<|image token|>"
        return self.text.encode(f"{words.bos_token or ''}{prompt}{begin}{grid[0]}*{grid[1]}{behind}")

    def tokenize(self, image: "Image", *, fit: bool = False) -> np.ndarray:
        """The codes of a picture, (h, w) int64.

        Args:
            fit: scale and crop it to the size of the pictures that the model was trained on.

        Raises:
            ImageError: its sides are no multiples of the patch, or too long.
        """
        image = images.to_rgb(image)
        if fit:
            image = images.fit(image, *self.size)
        self.grid_of(image.size)
        return self.encode_pictures(np.asarray(image)[None])[0]
