"""The public API: a model that draws, edits, captions and chats. Shapes: h w grid of codes; sizes are in pixels."""

import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from lantu import images
from lantu.engine.sampling_params import Overrides, SamplingParams, caller_level, without_effect
from lantu.engine.seeds import choose_seed, derive_seeds
from lantu.errors import LantuError
from lantu.models import hub, registry
from lantu.models.control import Control
from lantu.models.loader import choose_backend, choose_device
from lantu.models.spec import Grid, ModelFolder, Size
from lantu.models.validation import as_drawn, drawn_size, nearest_size, parse_shape, require
from lantu.tasks.draw import draw, render
from lantu.tasks.run import Running, count_codes, run, run_one
from lantu.types import Picture, Step

if TYPE_CHECKING:
    from PIL.Image import Image

    from lantu.models.lantu.layout import Change, Example, Said
    from lantu.tasks.masks import Box

# Methods import what drawing does not need, to keep its cold start short.

Progress = Callable[[int, int], None]  # codes drafted so far, codes in total
OnPlan = Callable[[str], None]  # receives the plan that the model writes before it draws or answers

__all__ = ["Control", "Model", "Picture", "Step", "load"]


class Model:
    """A model that draws and reads pictures. Each part is loaded when it is first needed.

    Drawing methods take sampling parameters as keywords (``guidance=``, ``temperature=``, ``steps=`` …, see
    ``lantu.engine.sampling_params.SamplingParams``); the model directory supplies the defaults.

    Args:
        folder: the model directory.
        device: "cpu" or "cuda".
        backend: what runs the language model, one of ``lantu.models.loader.BACKENDS``.
    """

    def __init__(self, folder: ModelFolder, device: str = "cpu", backend: str = "native"):
        # ``spec.ModelFolder`` and ``spec.Parts``; typed Any because recipes use members of their own family.
        self.folder: Any = folder
        self.parts: Any = registry.load_parts(folder, device, backend)

    @classmethod
    def load(cls, model: str | Path | None = None, device: str = "auto", backend: str = "native") -> "Model":
        """Open a model.

        Args:
            model: a name (``lantu models`` lists them) or a folder; None for the shipped model.
            device: "auto" (a GPU if there is one), "cpu" or "cuda".
            backend: what runs the language model: "native", or an unmodified "transformers" or "vllm".

        Raises:
            ModelError: there is no such model, it is incomplete, or its parts contradict their configs.
            LantuError: the device or backend is unknown or missing here.
        """
        return cls(hub.find(model).check(), choose_device(device), choose_backend(backend))

    @property
    def name(self) -> str:
        """The name in model_index.json, or that of the folder."""
        return self.folder.name

    @property
    def digest(self) -> str:
        """Identifies exactly these weights and settings: 16 hex digits."""
        return self.folder.digest

    @property
    def size(self) -> Size:
        """Width and height in pixels of the training pictures."""
        return self.parts.layout.size_of(self.folder.grid)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Widths and heights in pixels of all shapes of the training pictures, the most frequent first."""
        return self.parts.layout.sizes

    def info(self) -> dict[str, Any]:
        """Name, digest, sizes, parameters, default sampling parameters; license, data and scores if its makers say."""
        return self.folder.describe()

    def draw(
        self,
        prompt: str,
        *,
        seed: int | None = None,
        size: Size | str | None = None,
        progress: Progress | None = None,
        codes: int | None = None,
        control: Control | None = None,
        examples: "Sequence[Example]" = (),
        **overrides: Unpack[Overrides],
    ) -> Picture:
        """Draw a picture.

        Args:
            prompt: English or Chinese, at most 2,000 characters.
            seed: the same seed gives the same picture; random by default (see ``Picture.seed``).
            size: width and height in pixels, multiples of the decoder's patch, also as "192x128"; or a ratio, "3:4"; by
                default the training size.
            progress: called with the number of codes drafted so far and the total.
            codes: draw from the first so many, where the model has learnt that (``info()["codes"]``): fewer are coarser
                and sooner. The sampling parameter ``num_codes``.
            control: a picture that fixes where edges, things or colours go.
            examples: captions and pictures that the model reads first, to draw more of their kind.

        Raises:
            PromptError: the prompt is empty, too long or not text.
            ImageError: the model can't draw that size.
            LantuError: a sampling parameter is out of range, or the size can't be read.
        """
        options: dict[str, Any] = {"size": size, "progress": progress, "control": control, "examples": examples}
        options["codes"] = codes
        return self.draw_many(prompt, 1, seed=seed, **options, **overrides)[0]

    def draw_many(
        self,
        prompt: str,
        count: int,
        *,
        seed: int | None = None,
        size: Size | str | None = None,
        progress: Progress | None = None,
        codes: int | None = None,
        control: Control | None = None,
        examples: "Sequence[Example]" = (),
        **overrides: Unpack[Overrides],
    ) -> list[Picture]:
        """Draw several pictures of one prompt; the first is the one that ``draw`` returns."""
        shots = [examples] * count
        options: dict[str, Any] = {"size": size, "progress": progress, "control": control, "examples": shots}
        options["codes"] = codes
        return self.draw_all([prompt] * count, derive_seeds(seed, count), **options, **overrides)

    def draw_all(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        size: Size | str | None = None,
        progress: Progress | None = None,
        batched: bool = False,
        codes: int | None = None,
        control: Control | None = None,
        examples: "Sequence[Sequence[Example]]" = (),
        **overrides: Unpack[Overrides],
    ) -> list[Picture]:
        """Draw a picture for each prompt, each with its own seed. Other arguments are those of ``draw``.

        Args:
            batched: batch even where that reorders floating-point sums, so that a picture may differ slightly from
                the same one drawn alone. Native kernels are exact and always batch.
            examples: for each prompt, the examples that precede it.
        """
        parts, params = self.parts, self._params(overrides).change(num_codes=codes)
        grid = self._grid(size)
        processor = parts.control_processor(control, grid) if control else None
        tasks = []
        for prompt, seed, shots in zip(prompts, seeds, examples or [()] * len(prompts), strict=True):
            example_ids = parts.layout.example_ids(shots) if shots else ()
            options: dict[str, Any] = {"control": control, "processor": processor, "examples": example_ids}
            tasks.append(draw(parts, prompt, choose_seed(seed), grid, params, **options))
        on_ids = count_codes(progress, len(tasks) * (params.num_codes or grid[0] * grid[1])) if progress else None
        return run(parts, tasks, batched=batched, on_ids=on_ids)

    def stream(
        self,
        prompt: str,
        *,
        seed: int | None = None,
        size: Size | str | None = None,
        every: int | None = None,
        codes: int | None = None,
        **overrides: Unpack[Overrides],
    ) -> Iterator[Step]:
        """Draw a picture and yield a ``Step`` every so many codes, then one with the picture.

        By default every row. Where the first codes of a sequence make a picture, as many as it takes: previews are of 4
        codes, say, then of 8, 16, and so on, from coarse to fine.

        Leaving the loop cancels the drawing. What ``draw`` refuses is refused at the call, before anything is computed.
        """
        from lantu.tasks.preview import stream

        params, seed = self._params(overrides).change(num_codes=codes), choose_seed(seed)
        grid = self._grid(size)
        every = every or self.folder.prefixes or grid[1]
        if every < 1:
            raise LantuError(f"a step every {every} codes", "choose 1 or more")
        (running := Running(draw(self.parts, prompt, seed, grid, params))).advance()
        return stream(self.parts, running, seed, every)

    def render(
        self, codes: np.ndarray, *, seed: int | None = None, prompt: str = "", **overrides: Unpack[Overrides]
    ) -> Picture:
        """Render a grid of codes, (h, w) integers.

        Args:
            prompt: what they were drafted from, for decoders that read more of it than the codes say.

        Raises:
            DataError: it is not a grid, or has codes outside the codebook.
            LantuError: a sampling parameter is out of range.
        """
        params = self._params(overrides, "rendering")
        return run_one(self.parts, render(self.parts, codes, choose_seed(seed), params, prompt))

    def edit(
        self,
        picture: "Picture | Image",
        prompt: str = "",
        *,
        box: "Box | None" = None,
        mask: "Image | None" = None,
        examples: "Sequence[Change]" = (),
        seed: int | None = None,
        on_plan: OnPlan | None = None,
        **overrides: Unpack[Overrides],
    ) -> Picture:
        """Redraw a part of a picture to show ``prompt``, or redraw all of it by the instruction in ``prompt``.

        With ``box`` or ``mask``, the cells that they touch are redrawn; all other codes stay, and so do all pixels more
        than one cell away. With neither, ``prompt`` is an instruction ("replace the dog by a car").

        Args:
            box: x0, y0, x1, y1 in pixels.
            mask: as large as the picture; transparent or white where it is to be redrawn.
            examples: pictures before and after the change to apply, with or without an instruction.
            on_plan: called with the plan that precedes an instructed change: what is there; what is to be there.

        Raises:
            ImageError: the picture is not of the model's size; or box or mask don't fit it, or mark nothing.
            PromptError, LantuError: like ``draw``; or the model lacks the ability; or examples come with a box or mask.
        """
        from lantu.tasks import edit

        params = self._params(overrides, "an instruction" if box is None and mask is None else "filling")
        seed = choose_seed(seed)
        if box is not None or mask is not None:
            if examples:
                what = "examples show how a whole picture changes, not a part of it"
                raise LantuError(what, "leave out the examples, or the box or mask")
            return run_one(self.parts, edit.fill_place(self.parts, picture, prompt, seed, params, box, mask))
        require(self.folder, "talking")
        pictures = [Picture(*self.parts.layout.with_codes(picture))]
        changed = run_one(self.parts, edit.instruct(self.parts, pictures, prompt, seed, params, examples))
        if changed.plan and on_plan:
            on_plan(changed.plan)
        return changed.picture

    def chat(
        self,
        parts: "Said | str | Picture | Image",
        *,
        before: "Sequence[Said | str | Picture | Image]" = (),
        seed: int | None = None,
        on_plan: OnPlan | None = None,
        **overrides: Unpack[Overrides],
    ) -> list[str | Picture]:
        """Answer in text, pictures or both, as the model decides.

        Args:
            parts: text and pictures of the user's turn, or one of either; the model reads the text first.
            before: earlier turns, the user's first.
            on_plan: called with the plan, if the model writes one before it answers.

        Raises:
            ImageError: a picture is not of the model's size.
            PromptError: there is nothing to answer, or the conversation exceeds the model's context.
        """
        from lantu.tasks.chat import chat

        require(self.folder, "talking")
        *earlier, now = map(_as_turn, [*before, parts])
        turn = [part if isinstance(part, str) else Picture(*self.parts.layout.with_codes(part)) for part in now]
        params = self._params(overrides, "an answer")
        answer = run_one(self.parts, chat(self.parts, [*earlier, turn], choose_seed(seed), params))
        if answer.plan and on_plan:
            on_plan(answer.plan)
        return list(answer.parts)

    def caption(
        self,
        image: "Picture | Image",
        language: str = "en",
        *,
        fit: bool = False,
        seed: int = 0,
        temperature: float = 0.0,
        examples: "Sequence[Example]" = (),
    ) -> str:
        """Describe a picture.

        Args:
            image: any picture; one that this model drew is read from its codes.
            language: "en" or "zh".
            fit: scale and crop a picture of another size.
            temperature: 0 for the likeliest caption; above 0, captions vary with ``seed``.
            examples: captions and pictures to imitate, which the model reads first.

        Raises:
            ImageError: the picture is not of the model's size.
            PromptError: an unknown language.
        """
        from lantu.tasks.caption import caption_picture

        task = caption_picture(self.parts, image, language, choose_seed(seed), temperature, examples, fit=fit)
        return run_one(self.parts, task)

    def tokenize(self, image: "Image", *, fit: bool = False) -> np.ndarray:
        """Encode a picture as codes, (h, w) int64; ``fit`` scales and crops it to the nearest training size.

        Raises:
            ImageError: its sides are not multiples of the decoder's patch, or too long.
        """
        return self.parts.layout.tokenize(image, fit=fit)

    def open(self, path: str | Path, *, fit: bool = False) -> Picture:
        """Read a picture file, with the codes that this model drew it from, else tokenized.

        A drawing that was edited since is tokenized, with a warning. ``fit`` scales and crops it as ``tokenize`` does.

        Raises:
            ImageError: it can't be read, or its sides are not multiples of the decoder's patch, or too long.
        """
        from lantu.tasks import reader

        notes: list[str] = []
        source = reader.read(Path(path), str(path), self.parts, notes.append)
        for note in [*notes, *filter(None, [source.note])]:
            warnings.warn(note, stacklevel=2)
        image = as_drawn(source.image, self.parts.layout)
        image = images.fit(image, *nearest_size(image.size, self.sizes)) if fit else image
        return source.drawing or Picture(image, self.tokenize(image))

    def _grid(self, size: Size | str | None) -> Grid:
        """The grid of a size, see ``draw``.

        Raises:
            LantuError: it can't be read, or the model can't draw it.
        """
        wanted = parse_shape(size)(self.parts.layout) if isinstance(size, str) else size or self.size
        try:
            width, height = map(operator.index, wanted)
        except (TypeError, ValueError) as problem:
            hint = 'give width and height in pixels, e.g. (192, 128) or "192x128"'
            raise LantuError(f"the size {size!r} can't be read", hint) from problem
        return self.parts.layout.grid_of(drawn_size((width, height), self.parts.layout))

    def _params(self, overrides: Overrides, task: str = "") -> SamplingParams:
        """The model's sampling parameters with overrides applied.

        Args:
            task: one of ``sampling_params.TAKEN``, whose parameters are not all; warns of others.
        """
        note = without_effect(task, overrides, ()) if task else ""
        if note:
            warnings.warn(note, stacklevel=caller_level())
        return self.folder.settings.change(**overrides)


def _as_turn(said: "Said | str | Picture | Image") -> "Said":
    """A turn of a conversation; a text or a picture alone is a turn of one part."""
    from PIL.Image import Image

    return [said] if isinstance(said, str | Picture | Image) else said


def load(model: str | Path | None = None, device: str = "auto", backend: str = "native") -> Model:
    """Open a model: see ``Model.load``."""
    return Model.load(model, device, backend)
