"""The one place where language model and pixels meet: words → codes → picture, and back.

Shapes: B batch, H W pixels, h w grid. A grid has one code a cell; the diffusion decoder paints each cell ``patch``
pixels a side, and those are the pixels in which every size here is given.
"""

import collections
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu import images
from lantu.diffusion.sample import render
from lantu.engine.drafting import draft
from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.engine.request import Request
from lantu.engine.sampling_params import SamplingParams
from lantu.engine.seeds import choose_seed, derive_seeds
from lantu.errors import ImageError, LantuError, PromptError
from lantu.models import hub
from lantu.models.hub import ModelFolder
from lantu.models.lantu.controls import KINDS
from lantu.models.loader import Parts, choose_backend, choose_device
from lantu.tasks import masks, reader
from lantu.tasks.preview import Previewer, Step, partial_grid
from lantu.tasks.prompts import Change, Example, PromptBuilder
from lantu.tasks.requests import filling, musing, reading
from lantu.tasks.validation import Grid, Size, check_codes, check_prompt
from lantu.tokens import document
from lantu.types import CodeGrid, Picture

if TYPE_CHECKING:
    from PIL.Image import Image

    from lantu.tasks.prompts import Said

TOGETHER = 32  # pictures that are painted together
Progress = Callable[[int, int], None]
Planned = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Control:
    """A picture that a drawing is to follow.

    Attributes:
        picture: as large as the drawing, of any mode.
        kind: one of ``lantu.models.lantu.controls.KINDS``: "edges" (white lines on black), "layout" (white
            where things are to stand), "colour" (blocks of colour).
        scale: 1 as it was learnt; 0 is no control, bit for bit.
    """

    picture: "Image"
    kind: str = "edges"
    scale: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "picture", images.to_rgb(self.picture))


class Model(PromptBuilder):
    """A model that draws and reads pictures. Each of its parts is loaded when it is first needed.

    Args:
        folder: the model directory.
        device: where to compute.
        backend: what runs the language model, one of ``lantu.models.loader.BACKENDS``.
    """

    def __init__(self, folder: ModelFolder, device: str = "cpu", backend: str = "native"):
        self.folder, self.device, self.parts = folder, device, Parts(folder, device, backend)

    @classmethod
    def load(cls, model: str | Path | None = None, device: str = "auto", backend: str = "native") -> "Model":
        """Open a model.

        Args:
            model: a name (``lantu models`` lists them) or a folder; None for the shipped one.
            device: "auto" (a GPU if there is one), "cpu" or "cuda".
            backend: what runs the language model: "native", or "transformers" or "vllm" as they are.

        Raises:
            ModelError: there is no such model, it is not complete, or its parts are not what their configs say.
            LantuError: there is no such device or backend.
        """
        return cls(hub.find(model).check(), choose_device(device), choose_backend(backend))

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def digest(self) -> str:
        """Names exactly these weights."""
        return self.folder.digest

    def info(self) -> dict[str, Any]:
        """Name, digest, sizes, parameters, dials, and what its makers tell: license, data, scores."""
        return self.folder.describe()

    def draw(
        self,
        prompt: str,
        *,
        seed: int | None = None,
        size: Size | None = None,
        progress: Progress | None = None,
        control: Control | None = None,
        examples: Sequence[Example] = (),
        **dials: Any,
    ) -> Picture:
        """Draw a picture.

        Args:
            prompt: in English or Chinese, 2,000 characters at most.
            seed: the same seed gives the same picture; a random one if not given (see ``Picture.seed``).
            size: width and height in pixels, multiples of ``patch``; that of the training pictures if not given.
            progress: called with the codes drafted so far and their number in all.
            control: a picture that says where edges, things or colours are to be.
            examples: captions and pictures that the model sees first: it draws more of their kind.
            dials: see ``lantu.engine.sampling_params.SamplingParams``; the model's own where not given.

        Raises:
            PromptError: the prompt is empty, too long or no text.
            ImageError: there are no pictures of that size.
            LantuError: a dial is out of range.
        """
        how: dict[str, Any] = {"size": size, "progress": progress, "control": control, "examples": examples}
        return self.draw_many(prompt, 1, seed=seed, **how, **dials)[0]

    def draw_many(
        self,
        prompt: str,
        count: int,
        *,
        seed: int | None = None,
        size: Size | None = None,
        progress: Progress | None = None,
        control: Control | None = None,
        examples: Sequence[Example] = (),
        **dials: Any,
    ) -> list[Picture]:
        """Draw several pictures of one prompt; the first is the one that ``draw`` gives."""
        seeds = derive_seeds(seed, count)
        how: dict[str, Any] = {"size": size, "progress": progress, "control": control}
        return self.draw_all([prompt] * count, seeds, **how, examples=[examples] * count, **dials)

    def draw_all(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        size: Size | None = None,
        progress: Progress | None = None,
        batched: bool = False,
        control: Control | None = None,
        examples: Sequence[Sequence[Example]] = (),
        **dials: Any,
    ) -> list[Picture]:
        """Draw a picture for each prompt, each with its own seed.

        Args:
            batched: draft and render all together even where that rounds sums in another order, so that a picture may
                differ a little from the same one drawn alone. Compiled kernels never do, and always go together.
            examples: those that come before each prompt; none if not given.
        """
        settings = self.folder.settings.change(**dials)
        grid = self.grid_of(size or self.size)
        parts = self.parts
        started = time.perf_counter()
        bias = self.bias(control, grid) if control else None
        shown = [self.shown(before) for before in examples] or [[]] * len(prompts)
        requests = [
            self.ask(prompt, seed, grid, settings, before, noted, bias)
            for prompt, seed, before, noted in zip(prompts, seeds, shown, self.mused(prompts, shown), strict=True)
        ]
        done, total = 0, len(requests) * grid[0] * grid[1]

        def step(place: int, ids: Sequence[int]) -> None:
            nonlocal done
            done += 1
            if progress:
                progress(done, total)

        drafts = draft(parts.company if batched else parts.engine, requests, step)
        plan_ms = 1000 * (time.perf_counter() - started) / max(1, len(requests))
        codes = [document.codes_from(ids, *grid, parts.vocabulary) for ids in drafts]
        return self.paint(codes, prompts, seeds, settings, plan_ms, batched, control)

    def stream(
        self, prompt: str, *, seed: int | None = None, size: Size | None = None, every: int | None = None, **dials: Any
    ) -> Iterator[Step]:
        """Draw a picture and show it on its way; leaving the loop ends the drawing.

        Args:
            every: codes from one step to the next; a row of them if not given.

        Yields:
            ``Step``; the last has the picture that ``draw`` gives.

        Raises:
            PromptError, ImageError, LantuError: as ``draw``; before anything is computed.
        """
        settings, seed = self.folder.settings.change(**dials), choose_seed(seed)
        grid = self.grid_of(size or self.size)
        request = self.ask(prompt, seed, grid, settings)
        every = every or grid[1]
        if every < 1:
            raise LantuError(f"a step every {every} codes", "choose 1 or more")
        return self.steps(request, prompt, seed, grid, settings, every)

    def steps(
        self, request: Request, prompt: str, seed: int, grid: Grid, settings: SamplingParams, every: int
    ) -> Iterator[Step]:
        """The steps of ``stream``."""
        parts, total = self.parts, grid[0] * grid[1]
        plan_ms, told, job = 0.0, 0, parts.engine.submit(request)
        waiting: collections.deque[tuple[Any, np.ndarray]] = collections.deque()
        try:
            with Previewer(parts.decoder, beside=parts.exact and every < total) as sketcher:
                while not job.ended:
                    started = time.perf_counter()
                    with sketcher.drafting:
                        parts.engine.step()
                    plan_ms += 1000 * (time.perf_counter() - started)
                    while told + every <= len(job.ids) and told + every < total:
                        told += every
                        codes = partial_grid([id_ - parts.vocabulary.first_code for id_ in job.ids[:told]], *grid)
                        waiting.append((sketcher.sketch(codes, seed), codes))
                    while waiting and (job.ended or waiting[0][0].done()):
                        sketched, codes = waiting.popleft()
                        yield Step(sketched.result(), codes, (codes >= 0).sum() / total)
        finally:
            parts.engine.cancel(job)
        codes = document.codes_from(job.ids, *grid, parts.vocabulary)
        picture = self.paint([codes], [prompt], [seed], settings, plan_ms)[0]
        yield Step(picture.image, codes, 1.0, picture)

    def mused(self, prompts: Sequence[str], shown: Sequence[Sequence[int]]) -> list[list[int]]:
        """What the model notes down of examples and prompts before it draws, from <plan> on; nothing where it draws."""
        noted: list[list[int]] = [[] for _ in prompts]
        if not self.plans or not any(shown):
            return noted
        bos, places = self.parts.vocabulary.special("bos"), [place for place, ids in enumerate(shown) if ids]
        prefixes = [[bos, *shown[at], *self.parts.text.encode(self.worded(prompts[at]))] for at in places]
        requests = [self.checked(musing(prefix, self.parts.vocabulary)) for prefix in prefixes]
        for place, ids in zip(places, draft(self.parts.engine, requests), strict=True):
            noted[place] = [id_ for id_ in ids if id_ != self.parts.vocabulary.special("boi")]
        return noted

    def render(self, codes: np.ndarray, *, seed: int | None = None, **dials: Any) -> Picture:
        """Build the picture that a grid of codes stands for.

        Args:
            codes: (h, w) whole numbers.

        Raises:
            DataError: it is no grid, or has codes that the model doesn't know.
            LantuError: a dial is out of range.
        """
        return self.render_many([codes], seed=seed, **dials)[0]

    def render_many(self, codes: Sequence[np.ndarray], *, seed: int | None = None, **dials: Any) -> list[Picture]:
        """Render grids of codes, of one size or several; seeds as in ``draw_many``."""
        grids = [check_codes(grid, self.folder.codebook_size) for grid in codes]
        seeds = derive_seeds(seed, len(grids))
        return self.paint(grids, [""] * len(grids), seeds, self.folder.settings.change(**dials))

    def paint(
        self,
        grids: Sequence[np.ndarray],
        prompts: Sequence[str],
        seeds: Sequence[int],
        settings: SamplingParams,
        plan_ms: float = 0.0,
        batched: bool = False,
        control: Control | None = None,
    ) -> list[Picture]:
        """Codes to pictures: together where that is exact or asked for, else one at a time."""
        from PIL import Image

        pictures: list[Picture] = []
        most = TOGETHER if batched or self.parts.exact else 1
        for group in alike(grids, most):
            dials = (settings.steps, settings.render_guidance, settings.sampler)
            started = time.perf_counter()
            codes_Bhw = np.stack(grids[group])
            control_residuals = self.control_residuals(control, codes_Bhw) if control and control.scale else None
            painted = render(
                self.parts.decoder, codes_Bhw, list(seeds[group]), *dials, control_residuals_2BND=control_residuals
            )
            arrays = images.to_bytes(painted)
            render_ms = 1000 * (time.perf_counter() - started) / len(arrays)
            timings = {"plan": plan_ms, "render": render_ms, "total": plan_ms + render_ms}
            for array, codes, prompt, seed in zip(arrays, grids[group], prompts[group], seeds[group], strict=True):
                told = (prompt, seed, self.digest, settings.as_dict(), timings)
                unknown = self.unknown_words(prompt)
                pictures.append(Picture(Image.fromarray(array), codes, *told, unknown_words=unknown))
        return pictures

    def bias(self, control: Control, grid: Grid) -> ControlLogitsProcessor | None:
        """What a control makes of each code of a draft; None where it makes nothing of them.

        Raises:
            LantuError, ImageError: see ``checked_control``.
        """
        self.checked_control(control, grid)
        pixels_1CHW, kind = looked_at(control)
        if not control.scale or not self.parts.control.strengths[kind]:
            return None

        def of_row(codes_hw: np.ndarray, row: int) -> np.ndarray:
            return np.float32(control.scale) * self.parts.control.bias(pixels_1CHW, kind, codes_hw[None], row)[0]

        return ControlLogitsProcessor(of_row, grid, self.parts.vocabulary.first_code)

    def control_residuals(self, control: Control, codes_Bhw: np.ndarray) -> np.ndarray:
        """What a control adds to the decoder's tokens, (2, B, N, D)."""
        pixels_1CHW, kind = looked_at(control)
        told = self.parts.control(np.repeat(pixels_1CHW, len(codes_Bhw), 0), kind, codes_Bhw)
        return np.float32(control.scale) * told

    def checked_control(self, control: Control, grid: Grid) -> None:
        """Whether a drawing can be controlled so.

        Raises:
            LantuError: the model has no control, or none of this kind.
            ImageError: the picture of control is of another size.
        """
        if control.kind not in KINDS:
            raise LantuError(f"no control by {control.kind}", f"choose {', '.join(KINDS[:-1])} or {KINDS[-1]}")
        if control.picture.size != self.size_of(grid):
            what = "{}x{} pixels, the drawing {}x{}".format(*control.picture.size, *self.size_of(grid))
            raise ImageError(f"the control has {what}", "scale it, or have it scaled and cropped with --fit")
        _ = self.parts.control  # or it says that there is none

    def open(self, path: str | Path, *, fit: bool = False) -> Picture:
        """A picture from a file, with its codes: those that this model drew it from, or those that it is read as.

        A drawing that was changed since it was drawn is read anew, and a warning says so.

        Args:
            fit: scale and crop a picture of another size to that of the training pictures.

        Raises:
            ImageError: it can't be read, or its sides are not multiples of ``patch``, or too long.
        """
        notes: list[str] = []
        seen = reader.read(Path(path), str(path), self, notes.append)
        for note in [*notes, *filter(None, [seen.note])]:
            warnings.warn(note, stacklevel=2)
        image = images.fit(seen.image, *self.size) if fit else seen.image
        return seen.drawing or Picture(image, self.tokenize(image))

    def caption(
        self,
        image: "Picture | Image",
        language: str = "en",
        *,
        fit: bool = False,
        seed: int = 0,
        temperature: float = 0.0,
        examples: Sequence[Example] = (),
    ) -> str:
        """Say what is on a picture.

        Args:
            image: a drawing of this model, which is read from its codes, or any picture.
            language: "en" or "zh".
            fit: scale and crop a picture of another size.
            temperature: 0 gives the likeliest words; more of it gives others, by the seed.
            examples: captions and pictures that the model sees first: it speaks as they do.

        Raises:
            ImageError: the picture is not of the size that the model has learnt to read.
            PromptError: an unknown language.
        """
        from lantu.tasks import captioning  # drawing does without

        known, image = (image, image.image) if isinstance(image, Picture) else (None, image)
        image = images.to_rgb(image)
        if not fit and image.size != self.size:
            what = "{}x{} pixels, the model reads {}x{}".format(*image.size, *self.size)
            raise ImageError(f"the picture has {what}", "scale it, or have it scaled and cropped with --fit")
        before = self.shown(examples, language) if examples else []
        pixels = np.asarray(images.fit(image, *self.size) if fit else image)
        if known and known.model == self.digest:
            codes = known.codes
        else:
            codes = captioning.denoised(self.parts, pixels[None])[0]
        return self.read(codes[None], language, seed, temperature, before)[0]

    def read(
        self,
        codes_Bhw: np.ndarray,
        language: str,
        seed: int = 0,
        temperature: float = 0.0,
        before: Sequence[int] = (),
    ) -> list[str]:
        """Captions of pictures that are given as codes.

        Args:
            before: ids of examples, see ``shown``.
        """
        if language not in document.LANGUAGES:
            raise PromptError(f"no captions in {language}", f"choose {' or '.join(document.LANGUAGES)}")
        vocabulary, seed = self.parts.vocabulary, choose_seed(seed)
        plans = self.plans and bool(before)
        requests = [
            self.checked(reading(codes, language, vocabulary, seed, temperature, before, plans)) for codes in codes_Bhw
        ]
        if not before:
            from lantu.tasks import captioning

            return list[str](captioning.captions(self.parts, codes_Bhw, language, seed, temperature))
        from lantu.tokens.repetition import without_repeats

        return [without_repeats(self.words(ids)) for ids in draft(self.parts.engine, requests)]

    def edit(
        self,
        picture: "Picture | Image",
        prompt: str = "",
        *,
        box: masks.Box | None = None,
        mask: "Image | None" = None,
        examples: Sequence[Change] = (),
        seed: int | None = None,
        planned: Planned | None = None,
        **dials: Any,
    ) -> Picture:
        """Draw a part of a picture anew, or change it as one is told.

        With ``box`` or ``mask`` the cells that they touch are filled with what ``prompt`` names; all other codes stay,
        and all pixels further than one cell from those that are drawn anew. With neither, ``prompt`` is an instruction
        ("replace the dog by a car"), and the whole picture comes new.

        Args:
            picture: a drawing, or any picture of the model's size.
            box: x0, y0, x1, y1 in pixels.
            mask: as large as the picture; transparent, or white, where it is to be drawn anew.
            examples: pictures before and after a change, which says what is to become of this one; in the place of an
                instruction, or beside it.
            planned: called with what the model notes down before it follows an instruction: what is there; what is
                to be there.

        Raises:
            ImageError: box or mask don't fit the picture, or mark nothing.
            PromptError, LantuError: as ``draw``; or the model has not learnt it; or examples come with a place.
        """
        if box is None and mask is None:
            return self.told(picture, prompt, examples, seed, planned, **dials)
        if examples:
            told = "examples show how a whole picture changes, not a part of it"
            raise LantuError(told, "leave out the examples, or the box or mask")
        self.needs("filling")
        before, codes = self.seen(picture)
        size = before.size
        holes = masks.cells(size, self.patch, box, mask)
        settings, seed = self.folder.settings.change(**dials), choose_seed(seed)
        text = self.parts.text.encode(self.worded(prompt))
        request = self.checked(filling(text, codes, holes, self.parts.vocabulary, seed, settings))
        ids, plan_ms = self.drafted(request)
        codes = document.fill(codes, holes, ids, self.parts.vocabulary)
        (drawn,) = self.paint([codes], [prompt], [seed], settings, plan_ms)
        return replace(drawn, image=masks.lay_in(before, drawn.image, holes))

    def told(
        self,
        picture: "Picture | Image",
        instruction: str,
        examples: Sequence[Change] = (),
        seed: int | None = None,
        planned: Planned | None = None,
        **dials: Any,
    ) -> Picture:
        """A picture changed by an instruction, or as in examples."""
        settings, seed = self.folder.settings.change(**dials), choose_seed(seed)
        before = Picture(*self.seen(picture))
        turns = [[before] if examples and not instruction else [check_prompt(instruction), before]]
        goal, plan_ms = "", 0.0
        if request := self.planning_by(examples, before) if examples else self.planning(turns):
            ids, plan_ms = self.drafted(request)
            goal = self.goal(ids)
            if planned:
                planned(self.noted(ids))
        codes, draft_ms = self.changed(turns, seed, settings, goal)
        return self.paint([codes], [instruction], [seed], settings, plan_ms + draft_ms)[0]

    def changed(
        self, turns: "Sequence[Said]", seed: int, settings: SamplingParams, goal: str = ""
    ) -> tuple[np.ndarray, float]:
        """The codes (h, w) of that picture, and the milliseconds that they took."""
        ids, draft_ms = self.drafted(self.changing(turns, seed, settings, goal))
        return document.codes_from(ids, *self.grid_after(turns), self.parts.vocabulary), draft_ms

    def chat(
        self,
        parts: "Said",
        *,
        before: "Sequence[Said]" = (),
        seed: int | None = None,
        planned: Planned | None = None,
        **dials: Any,
    ) -> list[str | Picture]:
        """Answer what is said and shown, in words, pictures or both: the model decides.

        Args:
            parts: of what is said; the model hears the words before it sees the pictures.
            before: what was said earlier by turns, the user first.
            planned: called with what the model notes down before it answers, if it does.

        Raises:
            ImageError: a picture is not of the model's size.
            PromptError: there is nothing to answer, or more than the model can read.
        """
        settings, seed = self.folder.settings.change(**dials), choose_seed(seed)
        turns = [*before, [part if isinstance(part, str) else Picture(*self.seen(part)) for part in parts]]
        ids, plan_ms = self.drafted(self.asking(turns, seed, settings))
        said = document.read_reply(ids, self.parts.vocabulary, self.parts.text.decode)
        if said.plan and planned:
            planned(said.plan.strip())
        if said.draws:
            codes, draft_ms = self.changed(turns, seed, settings, self.goal(ids))
            said, plan_ms = document.Reply((CodeGrid(codes),)), plan_ms + draft_ms
        words = " ".join(part for part in parts if isinstance(part, str))
        reply: list[str | Picture] = []
        for part in said.parts:
            if isinstance(part, str):
                reply += [part.strip()] if part.strip() else []
            elif isinstance(part, CodeGrid):
                reply += self.paint([part.codes], [words], [seed], settings, plan_ms)
        return reply

    def drafted(self, request: Request) -> tuple[list[int], float]:
        """The ids that one request is answered with, and the milliseconds that it took."""
        started = time.perf_counter()
        (ids,) = draft(self.parts.engine, [request])
        return ids, 1000 * (time.perf_counter() - started)


def looked_at(control: Control) -> tuple[np.ndarray, int]:
    """A picture of control (1, C, H, W) in [-1, 1], and the number of its kind."""
    return images.to_pixels(np.asarray(control.picture)[None]), KINDS.index(control.kind)


def alike(grids: Sequence[np.ndarray], most: int) -> Iterator[slice]:
    """Neighbours of one size, at most so many together."""
    start = 0
    for stop in range(1, len(grids) + 1):
        if stop == len(grids) or stop - start == most or grids[stop].shape != grids[start].shape:
            yield slice(start, stop)
            start = stop


def load(model: str | Path | None = None, device: str = "auto", backend: str = "native") -> Model:
    """Open a model: see ``Model.load``."""
    return Model.load(model, device, backend)
