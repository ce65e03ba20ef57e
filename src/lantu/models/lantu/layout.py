"""How lantu's own family writes drawings, captions, edits and conversations as sequences of ids.

Shapes: h w grid. Sizes are in pixels, as the decoder paints them.
"""

import itertools
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lantu import images
from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.engine.request import Request
from lantu.engine.sampling_params import SamplingParams
from lantu.engine.seeds import choose_seed
from lantu.errors import DataError, ImageError, PromptError
from lantu.models.lantu import requests
from lantu.models.lantu.agreement import check_refiner
from lantu.models.lantu.layout_components import Components
from lantu.models.lantu.requests import language_of
from lantu.models.spec import Grid, Size
from lantu.models.validation import as_drawn, check_codes, check_prompt, check_size, grid_of, nearest_size, require
from lantu.tokens import document
from lantu.tokens.vocabulary import MAX_SIDE
from lantu.tokens.words import Lexicon
from lantu.types import MASK_CODE, CodeGrid, Document, Part, Picture, Role, UnknownWord

if TYPE_CHECKING:
    from PIL.Image import Image

    Said = Sequence[str | Picture | Image]  # the text and pictures of one turn of a conversation
Example = tuple[str, "Picture | Image"]  # a caption and its picture
Change = tuple["Picture | Image", "Picture | Image"]  # before and after


class LantuLayout:
    """Turns text and pictures into requests, and drafted ids into codes and text; drafts and renders nothing.

    A picture that comes without its codes is tokenized.
    """

    def __init__(self, parts: Components):
        self.parts, self.folder = parts, parts.folder

    @property
    def patch(self) -> int:
        """Pixels a side of the cell that one code stands for; where codes are a sequence, of a cell that they paint."""
        return self.folder.patch

    @property
    def size(self) -> Size:
        """Width and height in pixels of the pictures that the model was trained on."""
        return self.size_of(self.folder.grid)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Width and height of all training pictures, the most frequent first."""
        return tuple(map(self.size_of, self.folder.drawing_config.grids))

    @property
    def factor(self) -> int:
        """Pixels a side of a finished picture for one that the decoder paints."""
        return self.folder.factor

    def grid_of(self, size: Size) -> Grid:
        """Height and width in codes of a picture of ``size`` pixels.

        Raises:
            ImageError: there is no such grid.
        """
        if self.folder.sequence is None:
            height, width = grid_of(size, self.patch)
            if width * self.folder.depth > MAX_SIDE:
                widest = MAX_SIDE // self.folder.depth * self.patch
                what = f"{size[0]} pixels are too wide for {self.folder.depth} codes a cell"
                raise ImageError(what, f"make a picture {widest} wide at most")
            return height, width * self.folder.depth
        if tuple(size) != self.size:
            what = "{} makes pictures of {}x{} pixels alone, not {}x{}".format(self.folder.name, *self.size, *size)
            raise ImageError(what, "its codes are a sequence: leave the size out")
        return self.folder.grid

    def size_of(self, grid: Grid) -> Size:
        """Width and height in pixels of a picture of h by w codes, or of any number of a sequence."""
        height, width = self.folder.cells_of(grid)
        return width * self.patch, height * self.patch

    def check_size(self, size: Size) -> str:
        """A warning for a size at which drawings are poor; "" for one that the model was trained on.

        Raises:
            ImageError: there is no such size, or drawings of it are useless.
        """
        self.grid_of(size)
        return check_size(size, self.sizes, self.folder.sides)

    @cached_property
    def lexicon(self) -> Lexicon | None:
        """The words that the model was taught; None if its directory has no word list.

        Raises:
            ModelError: the list is damaged.
        """
        return Lexicon.load(self.folder.path)

    def unknown_words(self, prompt: str) -> tuple[UnknownWord, ...]:
        """Words of a prompt that the model was never taught; none if its directory has no word list."""
        return self.lexicon.unknown(prompt) if self.lexicon and prompt.strip() else ()

    def warnings(self, prompt: str, draws: bool = True) -> list[str]:
        """What to know of a prompt before its picture is believed, a sentence each: see ``Lexicon.warnings``."""
        return self.lexicon.warnings(prompt, draws) if self.lexicon and prompt.strip() else []

    def count_tokens(self, text: str) -> int:
        """Ids that a text takes."""
        return len(self.parts.text.encode(text))

    def expand_emoji(self, prompt: str) -> str:
        """The prompt with emoji replaced by words.

        Raises:
            PromptError: the prompt is empty, too long or not text.
        """
        prompt = check_prompt(prompt)
        return prompt if prompt.isascii() or not self.lexicon else self.lexicon.expand(prompt) or prompt

    @property
    def plans(self) -> bool:
        """Whether the model was trained to write a plan before it answers or draws (chain of thought)."""
        return "planning" in self.folder.learnt

    def require(self, ability: str) -> None:
        """Refuse a task that the language model was not trained for.

        Raises:
            LantuError: it lacks the ability.
        """
        require(self.folder, ability)

    def check_length(self, request: Request) -> Request:
        """The request itself, if it fits the language model's context.

        Raises:
            PromptError: it is too long.
        """
        longest = self.folder.entry("language/config.json", "max_position_embeddings")
        if len(request.prefix) + request.limit > longest:
            raise PromptError(f"that takes more than the {longest} ids that the model can read", "say or show less")
        self.parts.check(request)
        return request

    # Pictures and codes

    def tokenize(self, image: "Image", *, fit: bool = False) -> np.ndarray:
        """The codes of a picture, (h, w) int64.

        Args:
            fit: scale and crop a picture of another size to the nearest of the training pictures'.

        Raises:
            ImageError: its sides are not multiples of ``patch``, or too long; for pictures as large as the decoder
                paints, see ``as_drawn``.
        """
        image = as_drawn(images.to_rgb(image), self)
        if fit:
            image = images.fit(image, *nearest_size(image.size, self.sizes))
        try:
            self.grid_of(image.size)
        except ImageError as problem:
            hint = f"{problem.hint}, or have it scaled and cropped with --fit"
            raise ImageError(problem.message, hint) from problem
        return self.parts.encode(np.asarray(image)[None])[0]

    def with_codes(self, picture: "Picture | Image") -> "tuple[Image, np.ndarray]":
        """A picture and its codes, (h, w) int64; all of them, also of one that was drawn from the first codes alone.

        Raises:
            ImageError: it has no such size, or is not of the size of its codes.
            DataError: its codes are not this model's.
        """
        if not isinstance(picture, Picture):
            image = as_drawn(images.to_rgb(picture), self)
            return image, self.tokenize(image)
        codes = check_codes(picture.codes, self.folder)
        if (codes == MASK_CODE).any():
            return picture.image, self.tokenize(picture.image)
        size = self.size_of((codes.shape[0], codes.shape[1]))
        if picture.image.size != size:
            what = "{}x{} pixels, its codes stand for {}x{}".format(*picture.image.size, *size)
            raise ImageError(f"the picture has {what}", "give it as it was drawn, or its image alone")
        return picture.image, codes

    def of_codes(self, codes: np.ndarray) -> Picture:
        """A picture of which only the codes (h, w) are known: a white image of the right size.

        Raises:
            DataError: they are only the first ones, from which no other picture is drawn.
        """
        from PIL import Image

        if (codes == MASK_CODE).any():
            raise DataError("these are the first codes of a picture alone", "give all, or the picture itself")
        return Picture(Image.new("RGB", self.size_of((codes.shape[0], codes.shape[1])), "white"), codes)

    def codes(self, ids: Sequence[int], grid: Grid) -> np.ndarray:
        """Drafted ids → codes (h, w) int64; MASK_CODE where an id is still missing or negative.

        Raises:
            ValueError: an id is not that of a code, or there are more than the grid takes.
        """
        return document.partial_codes(ids, *grid, self.parts.vocabulary)

    def sketch(self, ids: Sequence[int], grid: Grid) -> np.ndarray | None:
        """The first codes of a sequence so far, twice as many each time that there are; None while they are too few."""
        if len(ids) < self.folder.prefixes:
            return None
        shown = self.folder.prefixes
        while 2 * shown <= len(ids):
            shown *= 2
        return self.codes(ids[:shown], grid)

    # Drawing

    def draw(
        self,
        prompt: str,
        grid: Grid,
        seed: int,
        params: SamplingParams,
        control: ControlLogitsProcessor | None = None,
        examples: Sequence[int] = (),
        plan: Sequence[int] = (),
    ) -> Request:
        """The request for one picture: exactly h·w codes, guided by the prompt.

        Args:
            control: what a picture of control adds to the logits of each code.
            examples: ids of examples, see ``example_ids``.
            plan: ids of a plan of what they and the prompt mean, see ``plan_drawing``.
        """
        check_refiner(self.folder, params)
        text = [*self.parts.text.encode(self.expand_emoji(prompt)), *plan]
        how = (params, self.parts.guidance_scales, examples, control)
        return self.check_length(requests.drawing(text, grid, self.parts.vocabulary, choose_seed(seed), *how))

    def example_ids(self, examples: Sequence[Example], language: str = "") -> list[int]:
        """The ids of examples: each picture after its caption, or, for captions in ``language``, before it."""
        pairs = [(self.expand_emoji(text), CodeGrid(self.with_codes(picture)[1])) for text, picture in examples]
        parts: list[Part] = [part for pair in pairs for part in (reversed(pair) if language else pair)]
        return self.prefix_of(Document(tuple(parts), language))[1:]

    def found(self, prompt: str, count: int) -> list[int]:
        """The ids of pictures that the prompt finds in the model's memory bank, each after its caption."""
        bank = self.parts.memory_bank
        pairs = [(one.caption, CodeGrid(one.codes)) for one in bank.search(self.expand_emoji(prompt), count)]
        return self.prefix_of(Document(tuple(part for pair in pairs for part in pair)))[1:]

    def plan_drawing(self, prompt: str, examples: Sequence[int]) -> Request:
        """The request for a plan of what examples and a prompt mean, or for <boi> where the model draws at once."""
        prefix = [self.parts.vocabulary.special("bos"), *examples, *self.parts.text.encode(self.expand_emoji(prompt))]
        return self.check_length(requests.plan_of_examples(prefix, self.parts.vocabulary))

    def plan_ids(self, ids: Sequence[int]) -> list[int]:
        """The ids of a plan that ``plan_drawing`` asked for, without the <boi> that ends it."""
        boi = self.parts.vocabulary.special("boi")
        return [id_ for id_ in ids if id_ != boi]

    # Filling, captioning

    def fill(
        self, prompt: str, codes_hw: np.ndarray, holes_hw: np.ndarray, seed: int, params: SamplingParams
    ) -> Request:
        """The request for the holes of a picture: one code each, guided by the prompt.

        Args:
            holes_hw: bool, the cells to redraw: (h, w), or (h, w/depth) where a cell has several codes.
        """
        text = self.parts.text.encode(self.expand_emoji(prompt))
        holes_hw, vocabulary = self.codes_of_cells(holes_hw), self.parts.vocabulary
        return self.check_length(requests.filling(text, codes_hw, holes_hw, vocabulary, seed, params))

    def codes_of_cells(self, cells: np.ndarray) -> np.ndarray:
        """What is said of cells, (h, cells), for each of their codes: (h, w)."""
        return np.repeat(cells, self.folder.depth, axis=1)

    def fill_codes(self, codes_hw: np.ndarray, holes_hw: np.ndarray, ids: Sequence[int]) -> np.ndarray:
        """Codes (h, w) with drafted ids in their holes; MASK_CODE in holes for which there is no id yet."""
        holes_hw = self.codes_of_cells(holes_hw)
        unknown = np.where(holes_hw, MASK_CODE, codes_hw)
        return document.fill(unknown, holes_hw, ids, self.parts.vocabulary)

    def caption(
        self, codes_hw: np.ndarray, language: str, seed: int = 0, temperature: float = 0.0, examples: Sequence[int] = ()
    ) -> Request:
        """The request for a picture's caption in "en" or "zh".

        Args:
            examples: ids of examples, see ``example_ids``.
        """
        self.require("captioning")
        plans = self.plans and bool(examples)
        vocabulary = self.parts.vocabulary
        return self.check_length(requests.reading(codes_hw, language, vocabulary, seed, temperature, examples, plans))

    # Conversations

    def plan_change(self, turns: "Sequence[Said]") -> Request | None:
        """The request for a plan before ``change``; None for a model that was not trained to plan."""
        prefix = self.conversation(turns)
        if not self.plans:
            return None
        return self.check_length(requests.planning(prefix, self.parts.vocabulary))

    def plan_change_by(self, examples: Sequence[Change], before: "Picture | Image") -> Request:
        """The request for a plan before ``change``, where examples say what to change.

        Raises:
            LantuError: the model was not trained to plan.
        """
        self.require("planning")
        parts = [CodeGrid(self.with_codes(picture)[1]) for pair in [*examples, (before,)] for picture in pair]
        return self.check_length(requests.planning(self.prefix_of(Document(tuple(parts))), self.parts.vocabulary))

    def change(self, turns: "Sequence[Said]", seed: int, params: SamplingParams, goal: str = "") -> Request:
        """The request for a picture, and nothing else, after a conversation.

        Args:
            turns: alternating, the user's first and last; the picture has the size of the last one in them.
            goal: what is to be there, in words; see ``plan_change``.
        """
        prefix = self.conversation(turns, goal)
        return self.check_length(requests.changing(prefix, self.grid_after(turns), self.parts.vocabulary, seed, params))

    def grid_after(self, turns: "Sequence[Said]") -> Grid:
        """Height and width in codes of a picture that answers a conversation."""
        grids = [self.with_codes(part)[1].shape for part in turns[-1] if not isinstance(part, str)]
        return grids[-1] if grids else self.folder.grid

    def answer(self, turns: "Sequence[Said]", seed: int, params: SamplingParams) -> Request:
        """The request for an answer in text, pictures or both, as the model decides."""
        prefix, vocabulary = self.conversation(turns), self.parts.vocabulary
        return self.check_length(requests.answering(prefix, self.folder.grid, vocabulary, seed, params, self.plans))

    def conversation(self, turns: "Sequence[Said]", goal: str = "") -> list[int]:
        """The ids of a conversation, the user's turn first and last, up to the model's own turn.

        Args:
            goal: the plan of what is to be drawn. It precedes the last pictures, so that the distance from a cell to
                the same cell of the changed picture is the same as without a plan.
        """
        self.require("talking")
        parts: list[Part] = []
        for role, turn in zip(itertools.cycle(("user", "assistant")), turns, strict=False):
            parts += [Role(role), *self.turn(turn, goal if turn is turns[-1] else "")]
        if len(turns) % 2 == 0 or isinstance(parts[-1], Role):
            raise PromptError("there is nothing to answer", "say something, or show a picture")
        words = next((part for part in reversed(parts) if isinstance(part, str)), "")
        return self.prefix_of(Document((*parts, Role("assistant")), language_of(words)))

    def prefix_of(self, start: Document) -> list[int]:
        """The ids of a document without its end, to be continued."""
        return document.to_ids(start, self.parts.vocabulary, self.parts.text.encode)[0][:-1].tolist()

    def turn(self, parts: "Said", goal: str = "") -> list[Part]:
        """One turn as parts of a document: words, then a plan of what to draw, then pictures."""
        words = " ".join(part.strip() for part in parts if isinstance(part, str))
        pictures: list[Part] = [CodeGrid(self.with_codes(part)[1]) for part in parts if not isinstance(part, str)]
        return [*([self.expand_emoji(words)] if words else []), *([Role("plan"), goal] if goal else []), *pictures]

    def read_reply(self, ids: Sequence[int]) -> document.Reply:
        """Split an answer's ids into a plan, text and codes."""
        return document.read_reply(ids, self.parts.vocabulary, self.parts.text.decode)

    def is_whole(self, ids: Sequence[int]) -> bool:
        """Whether a text ended by itself, with <eos>."""
        return bool(ids) and ids[-1] == self.parts.vocabulary.special("eos")

    def goal(self, ids: Sequence[int]) -> str:
        """What is to be drawn: the last step of a plan."""
        return document.goal_of(self.plan_text(ids))

    def plan_text(self, ids: Sequence[int]) -> str:
        """The words of a plan, whose ids may begin with its special token and end with another."""
        return self.parts.text.decode([id_ for id_ in ids if id_ < self.parts.vocabulary.text_size]).strip()

    def words(self, ids: Sequence[int]) -> str:
        """The text among ids, after the plan if there is one."""
        specials = [place for place, id_ in enumerate(ids) if id_ >= self.parts.vocabulary.text_size]
        begins = next((place + 1 for place in reversed(specials) if place + 1 < len(ids)), 0)
        return self.plan_text(ids[begins:])
