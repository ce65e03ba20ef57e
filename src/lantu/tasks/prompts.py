"""From what people say and show to what the engine is asked.

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
from lantu.errors import ImageError, LantuError, PromptError
from lantu.models.hub import ModelFolder
from lantu.models.loader import Parts
from lantu.tasks.requests import answering, changing, drawing, language_of, planning
from lantu.tasks.validation import Grid, Size, check_codes, check_prompt, check_size, grid_of
from lantu.tokens import document
from lantu.tokens.words import Lexicon
from lantu.types import CodeGrid, Document, Part, Picture, Turn, UnknownWord

if TYPE_CHECKING:
    from PIL.Image import Image

    Said = Sequence[str | Picture | Image]  # in one turn
Example = tuple[str, "Picture | Image"]
Change = tuple["Picture | Image", "Picture | Image"]  # before and after


class PromptBuilder:
    """What a model can be asked. Nothing is drafted or painted here.

    Attributes:
        folder: the model directory.
        parts: of it, each loaded when it is first needed.
    """

    folder: ModelFolder
    parts: Parts

    @property
    def patch(self) -> int:
        """Pixels a side of the cell that one code stands for."""
        return self.folder.patch

    @property
    def size(self) -> Size:
        """Width and height in pixels of the pictures that it was trained on."""
        return self.size_of(self.folder.grid)

    def grid_of(self, size: Size) -> Grid:
        """Height and width in codes of a picture of ``size`` pixels.

        Raises:
            ImageError: there is no such grid.
        """
        return grid_of(size, self.patch)

    def check_size(self, size: Size) -> str:
        """What to expect of drawings of a size that the model was not taught: "" if it was.

        Raises:
            ImageError: there is no such size, or nothing sensible would come.
        """
        self.grid_of(size)
        return check_size(size, self.size, self.folder.sides)

    def size_of(self, grid: Grid) -> Size:
        """Width and height in pixels of a picture of h by w codes."""
        return grid[1] * self.patch, grid[0] * self.patch

    @cached_property
    def lexicon(self) -> Lexicon | None:
        """The words that the model was taught; None where its directory doesn't list them.

        Raises:
            ModelError: the list is damaged.
        """
        return Lexicon.load(self.folder.path)

    def unknown_words(self, prompt: str) -> tuple[UnknownWord, ...]:
        """What a prompt says that the model was never taught; nothing where its directory doesn't list its words."""
        return self.lexicon.unknown(prompt) if self.lexicon and prompt.strip() else ()

    def warnings(self, prompt: str, draws: bool = True) -> list[str]:
        """What to know of a prompt before its picture is believed, a sentence each: see ``Lexicon.warnings``."""
        return self.lexicon.warnings(prompt, draws) if self.lexicon and prompt.strip() else []

    def worded(self, prompt: str) -> str:
        """A prompt as the model reads it: words in the place of emoji.

        Raises:
            PromptError: the prompt is empty, too long or no text.
        """
        prompt = check_prompt(prompt)
        return prompt if prompt.isascii() or not self.lexicon else self.lexicon.expand(prompt) or prompt

    @property
    def plans(self) -> bool:
        """Whether the model has learnt to note down what it sees, and what it is to draw, before it answers."""
        return "planning" in self.folder.learnt

    def needs(self, ability: str) -> None:
        """Whether the language model was taught something beside drawing and captioning.

        Raises:
            LantuError: it was not.
        """
        if ability not in self.folder.learnt:
            raise LantuError(
                f"{self.folder.name} has not learnt {ability}",
                "teach it: lantu train language --recipe multitask --start MODEL",
            )

    def tokenize(self, image: "Image", *, fit: bool = False) -> np.ndarray:
        """The codes of a picture, (h, w) int64.

        Args:
            fit: scale and crop a picture of another size to that of the training pictures.

        Raises:
            ImageError: its sides are not multiples of ``patch``, or too long.
        """
        image = images.to_rgb(image)
        if fit:
            image = images.fit(image, *self.size)
        try:
            self.grid_of(image.size)
        except ImageError as problem:
            hint = f"{problem.hint}, or have it scaled and cropped with --fit"
            raise ImageError(problem.message, hint) from problem
        return self.parts.encode(np.asarray(image)[None])[0]

    def seen(self, picture: "Picture | Image") -> "tuple[Image, np.ndarray]":
        """A picture and its codes, (h, w) int64.

        Raises:
            ImageError: it has no such size, or is not of the size of its codes.
            DataError: its codes are not this model's.
        """
        if not isinstance(picture, Picture):
            image = images.to_rgb(picture)
            return image, self.tokenize(image)
        codes = check_codes(picture.codes, self.folder.codebook_size)
        size = self.size_of((codes.shape[0], codes.shape[1]))
        if picture.image.size != size:
            what = "{}x{} pixels, its codes stand for {}x{}".format(*picture.image.size, *size)
            raise ImageError(f"the picture has {what}", "give it as it was drawn, or its image alone")
        return picture.image, codes

    def of_codes(self, codes: np.ndarray) -> Picture:
        """A picture that is known by its codes (h, w) alone: white, but of the right size."""
        from PIL import Image

        return Picture(Image.new("RGB", self.size_of((codes.shape[0], codes.shape[1])), "white"), codes)

    def checked(self, request: Request) -> Request:
        """The request itself, if the model can read that much.

        Raises:
            PromptError: it can't.
        """
        longest = self.folder.entry("language/config.json", "max_position_embeddings")
        if len(request.prefix) + request.limit > longest:
            raise PromptError(f"that takes more than the {longest} ids that the model can read", "say or show less")
        self.parts.check(request)
        return request

    def ask(
        self,
        prompt: str,
        seed: int,
        grid: Grid,
        settings: SamplingParams,
        before: Sequence[int] = (),
        noted: Sequence[int] = (),
        bias: ControlLogitsProcessor | None = None,
    ) -> Request:
        """What the engine is asked for one picture: exactly h·w codes, guided by the prompt.

        Args:
            before: ids of examples, see ``shown``.
            noted: ids of a plan of what they and the prompt mean, see ``mused``.
            bias: what a control makes of each code, see ``Model.bias``.
        """
        text, vocabulary = [*self.parts.text.encode(self.worded(prompt)), *noted], self.parts.vocabulary
        how = (settings, self.parts.strengths, before, bias)
        return self.checked(drawing(text, grid, vocabulary, choose_seed(seed), *how))

    def shown(self, examples: Sequence[Example], language: str = "") -> list[int]:
        """The ids of examples: each picture after its caption, or, for captions in ``language``, before it."""
        pairs = [(self.worded(text), CodeGrid(self.seen(picture)[1])) for text, picture in examples]
        parts: list[Part] = [part for pair in pairs for part in (reversed(pair) if language else pair)]
        return self.begun(Document(tuple(parts), language))[1:]

    def planning(self, turns: "Sequence[Said]") -> Request | None:
        """What the engine is asked for before ``changing``; None for a model that has not learnt to plan."""
        prefix = self.spoken(turns)
        if not self.plans:
            return None
        return self.checked(planning(prefix, self.parts.vocabulary))

    def planning_by(self, examples: Sequence[Change], before: "Picture | Image") -> Request:
        """What the engine is asked for before ``changing``, where examples say what to change.

        Raises:
            LantuError: the model has not learnt to plan.
        """
        self.needs("planning")
        parts = [CodeGrid(self.seen(picture)[1]) for pair in [*examples, (before,)] for picture in pair]
        return self.checked(planning(self.begun(Document(tuple(parts))), self.parts.vocabulary))

    def changing(self, turns: "Sequence[Said]", seed: int, settings: SamplingParams, goal: str = "") -> Request:
        """What the engine is asked for a picture, and nothing else, after what was said by turns.

        Args:
            turns: the user first and last; the picture is as large as the last that is shown.
            goal: what is to be there, in words; see ``planning``.
        """
        prefix = self.spoken(turns, goal)
        return self.checked(changing(prefix, self.grid_after(turns), self.parts.vocabulary, seed, settings))

    def grid_after(self, turns: "Sequence[Said]") -> Grid:
        """Height and width in codes of a picture that answers what was said and shown."""
        shown = [self.seen(part)[1].shape for part in turns[-1] if not isinstance(part, str)]
        return shown[-1] if shown else self.folder.grid

    def asking(self, turns: "Sequence[Said]", seed: int, settings: SamplingParams) -> Request:
        """What the engine is asked for an answer: see ``chat``."""
        prefix, vocabulary = self.spoken(turns), self.parts.vocabulary
        return self.checked(answering(prefix, self.folder.grid, vocabulary, seed, settings, self.plans))

    def spoken(self, turns: "Sequence[Said]", goal: str = "") -> list[int]:
        """The ids of what was said by turns, the user first and last, up to the model's own turn.

        Args:
            goal: the plan of what is to be drawn, which stands before the last pictures: so each cell of a changed
                picture is as far behind the same cell of the one before as without a plan.
        """
        self.needs("talking")
        told: list[Part] = []
        for speaker, turn in zip(itertools.cycle(("user", "lantu")), turns, strict=False):
            told += [Turn(speaker), *self.turn(turn, goal if turn is turns[-1] else "")]
        if len(turns) % 2 == 0 or isinstance(told[-1], Turn):
            raise PromptError("there is nothing to answer", "say something, or show a picture")
        words = next((part for part in reversed(told) if isinstance(part, str)), "")
        return self.begun(Document((*told, Turn("lantu")), language_of(words)))

    def begun(self, made: Document) -> list[int]:
        """The ids of a document that is to go on: all but its end."""
        return document.to_ids(made, self.parts.vocabulary, self.parts.text.encode)[0][:-1].tolist()

    def turn(self, parts: "Said", goal: str = "") -> list[Part]:
        """What is said in one turn as parts of a document: words, then a plan of what to draw, then pictures."""
        words = " ".join(part.strip() for part in parts if isinstance(part, str))
        pictures: list[Part] = [CodeGrid(self.seen(part)[1]) for part in parts if not isinstance(part, str)]
        return [*([self.worded(words)] if words else []), *([Turn("plan"), goal] if goal else []), *pictures]

    def goal(self, ids: Sequence[int]) -> str:
        """What is to be drawn: the last step of a plan."""
        return document.goal_of(self.noted(ids))

    def noted(self, ids: Sequence[int]) -> str:
        """The words of a plan, whose ids may begin with its mark and end with another."""
        return self.parts.text.decode([id_ for id_ in ids if id_ < self.parts.vocabulary.text_size]).strip()

    def words(self, ids: Sequence[int]) -> str:
        """What is said by ids of text, after a plan if there is one."""
        marks = [place for place, id_ in enumerate(ids) if id_ >= self.parts.vocabulary.text_size]
        begins = next((place + 1 for place in reversed(marks) if place + 1 < len(ids)), 0)
        return self.noted(ids[begins:])
