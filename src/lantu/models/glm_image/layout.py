"""How GLM-Image writes a drawing: the prompt, both grids' sizes, BOI, the codes of the small grid, those of the grid.

Guidance belongs to the decoder; the draft has none. The number of codes is exact: no id but theirs is ever allowed,
where transformers' ``generate`` may end a grid early. Source: transformers' ``GlmImageProcessor``.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.engine.request import Request
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import LantuError, ModelError
from lantu.models.glm_image.config import PATCH, PROCESSOR
from lantu.models.glm_image.folder import GlmImageFolder
from lantu.models.glm_image.positions import drafted, positions, preview_grid
from lantu.models.published.layout import PublishedLayout
from lantu.models.published.text import Text
from lantu.models.spec import Grid, Size
from lantu.models.validation import check_prompt, grid_of

if TYPE_CHECKING:
    from PIL.Image import Image

TOKENS = ("grid_bos_token", "grid_eos_token", "bos_token")
LEARNT = 24 * 24, 64 * 64  # codes of the pictures that it draws well


class GlmImageLayout(PublishedLayout):
    """Prompts and codes as ids; see ``lantu.models.spec.Layout``."""

    first_code = 0

    def __init__(self, folder: GlmImageFolder):
        super().__init__(folder, Text(folder.path / PROCESSOR, folder.config.text["vocab_size"]), self.refuse_picture)
        self.longest, self.boi_id = folder.config.longest, folder.config.boi

    def grid_of(self, size: Size) -> Grid:
        """Height and width in codes. Raises ImageError where a side is no multiple of 32 pixels, or too long."""
        return grid_of(size, PATCH)

    def check_size(self, size: Size) -> str:
        """A warning for fewer or more codes than ``LEARNT``; "" for others. Raises ImageError like ``grid_of``."""
        height, width = self.grid_of(size)
        if LEARNT[0] <= height * width <= LEARNT[1]:
            return ""
        least, most = (PATCH * math.isqrt(codes) for codes in LEARNT)
        known = f"{self.folder.name} is made for pictures from {least}x{least} to {most}x{most}"
        return f"{known}; {size[0]}x{size[1]} may come out poor"

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
            ModelError: the directory has no text tokenizer that transformers can read, or not the one of GLM-Image.
            LantuError: transformers is not installed; or a parameter means nothing to the model.
        """
        self.check_params(params)
        prefix, count = self.encode(check_prompt(prompt), grid), drafted(grid)
        self.check_length(prefix, count)
        places = positions(len(prefix), grid)
        return self.request(prefix, range(self.folder.codebook_size), count, seed, params, positions=places)

    def check_params(self, params: SamplingParams) -> None:
        """Refuse parameters that mean nothing to the model. Raises LantuError."""
        for name in self.folder.unused_params:
            if getattr(params, name) != getattr(self.folder.settings, name):
                hint = "leave it out; render_guidance is the decoder's" if name == "guidance" else "leave it out"
                raise LantuError(f"{name} means nothing to {self.folder.name}", hint)
        if params.render_guidance < 1:
            what = f"{self.folder.name} can't render with a guidance of {params.render_guidance:g}"
            raise LantuError(what, "give render_guidance 1 for none, or more")

    def encode(self, prompt: str, grid: Grid) -> list[int]:
        """The ids of a prompt as transformers' processor writes it: chat template, sizes in codes, BOI."""
        begin, end, boi = (self.special(name) for name in TOKENS)
        sizes = "".join(f"{begin}{h} {w}{end}" for h, w in (grid, preview_grid(grid)))
        # The processor asks the template for no turn of the assistant; the picture follows the user's.
        text = self.text.chat([{"type": "text", "text": prompt}], answer=False)
        ids = self.text.encode(f"{text}{sizes}{boi}", special=not text.startswith(boi))
        if ids[-1] != self.boi_id:
            what = f"the tokenizer in {self.text.folder} ends a prompt with {ids[-1]}, not {self.boi_id}"
            raise ModelError(what, "fetch the model again")
        return ids

    def special(self, name: str) -> str:
        """The text of a special token. Raises ModelError where the tokenizer has none of this name."""
        token = getattr(self.text.tokenizer, name, None)
        if not isinstance(token, str):
            raise ModelError(f"the tokenizer in {self.text.folder} has no {name}", "fetch the model again")
        return token

    def tokenize(self, image: "Image", *, fit: bool = False) -> np.ndarray:
        """Raises LantuError: only its own drawings' codes are known, which their PNGs carry."""
        self.refuse_picture()

    def refuse_picture(self, *_: object) -> NoReturn:
        """Raises LantuError: pictures that it did not draw have no codes."""
        raise LantuError(f"{self.folder.name} tokenizes no pictures", "give a PNG that it drew, or another model")

    def codes(self, ids: Sequence[int], grid: Grid) -> np.ndarray:
        """Drafted ids → (h, w) int64; MASK_CODE where a code is still missing, as all are while the small grid is."""
        height, width = preview_grid(grid)
        return super().codes(ids[height * width :], grid)

    def sketch(self, ids: Sequence[int], grid: Grid) -> np.ndarray | None:
        """The small grid, whose picture shows the composition; None until it is complete."""
        height, width = preview_grid(grid)
        if len(ids) < height * width:
            return None
        return super().codes(ids[: height * width], (height, width))
