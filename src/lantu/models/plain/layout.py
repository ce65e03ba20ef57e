"""How a described model writes a drawing: as its layout file says."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.engine.request import Request
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import AbilityError, ImageError, ModelError
from lantu.models.plain.description import FILE
from lantu.models.plain.folder import PlainFolder
from lantu.models.published.layout import PublishedLayout
from lantu.models.published.text import AGAIN, Text, first_line
from lantu.models.spec import Grid, Size
from lantu.models.validation import check_prompt, grid_of
from lantu.types import MAX_GRID

if TYPE_CHECKING:
    from PIL.Image import Image


class PlainLayout(PublishedLayout):
    """Prompts and codes as ids; see ``lantu.models.spec.Layout``."""

    def __init__(self, folder: PlainFolder):
        super().__init__(folder, Text(folder.language, folder.vocabulary), self.encode_nothing)
        self.description, self.longest = folder.description, folder.longest

    @cached_property
    def first_code(self) -> int:
        """The id of code 0. Raises ModelError where the tokenizer's ids are not those that the layout file says."""
        codes, ids = self.description.codes, self.text.size
        first = codes.first
        if codes.pattern:
            names = [codes.pattern.format(code) for code in range(codes.size)]
            found = self.text.tokenizer.convert_tokens_to_ids(names)
            first = self.text.token(names[0])
            if odd := [name for code, name in enumerate(names) if found[code] != first + code]:
                what = f"the tokenizer in {self.text.folder} has no id {first} + code for {odd[0]}"
                raise ModelError(what, f'correct "codes" of {FILE}: the ids of image codes follow one another')
        elif first is None:
            first = len(self.text.tokenizer)
        if first + codes.size > ids:
            what = f'"codes" of {FILE} go up to the id {first + codes.size - 1}, the language model has {ids}'
            raise ModelError(what, "correct one of them")
        return first

    @cached_property
    def row_end(self) -> tuple[int, ...]:
        """The id behind each row."""
        end = self.description.row_end
        if end is None:
            return ()
        return tuple(self.text.checked([end if isinstance(end, int) else self.text.token(end)]))

    def grid_of(self, size: Size) -> Grid:
        """Height and width in codes of a picture of width and height in pixels.

        Raises:
            ImageError: the model draws no such grid.
        """
        grid = grid_of(size, self.folder.patch, MAX_GRID)
        grids = self.description.grids
        if not grids.has(grid):
            sizes = ["{}x{}".format(*self.size_of(each)) for each in (grids.default, *grids.others)]
            if grids.sides:
                sizes.append("sides from {} to {}".format(*(side * self.folder.patch for side in grids.sides)))
            raise ImageError("the model draws no {}x{} pixels".format(*size), f"choose {' or '.join(sizes)}")
        return grid

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
            ModelError: the tokenizer can't be read, or does not fit the layout file.
            LantuError: transformers is not installed; or a parameter means nothing to the model.
        """
        self.check_params(params)
        prefix, (height, width) = self.encode(check_prompt(prompt), grid), grid
        self.check_length(prefix, height * (width + len(self.row_end)))
        codes = range(self.first_code, self.first_code + self.description.codes.size)
        ends = {"stride": width if self.row_end else 0, "row_end": self.row_end}
        return self.request(prefix, codes, height * width, seed, params, self.unconditional(grid), **ends)

    def encode(self, prompt: str, grid: Grid) -> list[int]:
        """The ids of a prompt in the template."""
        sides = {"height": str(grid[0]), "width": str(grid[1])}
        chat = self.chat({"prompt": prompt, **sides}) if self.description.chat else ""
        text = filled(self.description.prompt, {"prompt": prompt, "chat": chat, **sides})
        return self.text.encode(text, self.description.special_tokens)

    def unconditional(self, grid: Grid) -> list[int] | None:
        """What guidance compares with; None for a model without guidance."""
        if self.description.unconditional is None:
            return None
        text = filled(self.description.unconditional, {"height": str(grid[0]), "width": str(grid[1])})
        return self.text.encode(text, self.description.special_tokens)

    def chat(self, values: Mapping[str, str]) -> str:
        """The turns of the layout file in the model's own chat template; the answer comes next."""
        turns = [{"role": role, "content": filled(content, values)} for role, content in self.description.chat]
        options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": True}
        try:
            return self.text.tokenizer.apply_chat_template(turns, chat_template=self.text.template, **options)
        except Exception as problem:  # of any kind: a template is a program
            what = f"the chat template in {self.text.folder} fails ({first_line(problem)})"
            raise ModelError(what, AGAIN) from problem

    def encode_nothing(self, pictures: np.ndarray) -> np.ndarray:
        """Raises AbilityError: only the decoder is known."""
        what = f"{self.folder.name} only draws: it has no encoder"
        raise AbilityError(what, "choose another model for this", "encoding")

    def tokenize(self, image: "Image", *, fit: bool = False) -> np.ndarray:
        """Raises AbilityError: only the decoder is known."""
        return self.encode_nothing(np.empty(0))


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template with its placeholders replaced, once: a prompt may contain braces."""
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], template)
