"""The public face of lantu: a model that draws, edits, reads and talks.

Shapes: h w grid of codes. Sizes are in pixels, as the decoder paints them.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from lantu import images
from lantu.engine.sampling_params import Overrides, SamplingParams
from lantu.engine.seeds import choose_seed, derive_seeds
from lantu.errors import ImageError, LantuError
from lantu.models import hub, registry
from lantu.models.control import Control
from lantu.models.loader import choose_backend, choose_device
from lantu.models.spec import ModelFolder, Size
from lantu.models.validation import check_codes, require
from lantu.tasks import edit, masks, reader
from lantu.tasks.draw import draw, render
from lantu.tasks.effects import Draft
from lantu.tasks.preview import Step, known, stream
from lantu.tasks.run import Running, run, run_one
from lantu.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

    from lantu.models.lantu.layout import Change, Example, Said

Progress = Callable[[int, int], None]  # codes drafted so far, and in all
OnPlan = Callable[[str], None]  # what the model writes down before it draws or answers

__all__ = ["Control", "Model", "Picture", "Step", "load"]


class Model:
    """A model that draws and reads pictures. Each of its parts is loaded when it is first needed.

    Every method that draws takes sampling parameters as keywords (``guidance=``, ``temperature=``, ``steps=`` …, see
    ``lantu.engine.sampling_params.SamplingParams``); those that are not given are the model's own.

    Args:
        folder: the model directory.
        device: where to compute.
        backend: what runs the language model, one of ``lantu.models.loader.BACKENDS``.
    """

    def __init__(self, folder: ModelFolder, device: str = "cpu", backend: str = "native"):
        # A ``spec.ModelFolder`` and ``spec.Parts``; recipes of a family know more of its own.
        self.folder: Any = folder
        self.parts: Any = registry.load_parts(folder, device, backend)

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
        """As the model calls itself."""
        return self.folder.name

    @property
    def digest(self) -> str:
        """Names exactly these weights."""
        return self.folder.digest

    @property
    def size(self) -> Size:
        """Width and height in pixels of the pictures that it was trained on."""
        return self.parts.layout.size_of(self.folder.grid)

    def info(self) -> dict[str, Any]:
        """Name, digest, sizes, parameters, default sampling parameters; license, data and scores by its makers."""
        return self.folder.describe()

    def draw(
        self,
        prompt: str,
        *,
        seed: int | None = None,
        size: Size | None = None,
        progress: Progress | None = None,
        control: Control | None = None,
        examples: "Sequence[Example]" = (),
        **overrides: Unpack[Overrides],
    ) -> Picture:
        """Draw a picture.

        Args:
            prompt: in English or Chinese, 2,000 characters at most.
            seed: the same seed gives the same picture; a random one if not given (see ``Picture.seed``).
            size: width and height in pixels, multiples of the decoder's patch; the training pictures' if not given.
            progress: called with the number of codes drafted so far, and in all.
            control: a picture that says where edges, things or colours are to be.
            examples: captions and pictures that the model sees first: it draws more of their kind.
            overrides: sampling parameters.

        Raises:
            PromptError: the prompt is empty, too long or no text.
            ImageError: there are no pictures of that size.
            LantuError: a sampling parameter is out of range.
        """
        seeds = derive_seeds(seed, 1)
        how: dict[str, Any] = {"size": size, "progress": progress, "control": control, "examples": [examples]}
        return self.draw_all([prompt], seeds, **how, **overrides)[0]

    def draw_many(
        self,
        prompt: str,
        count: int,
        *,
        seed: int | None = None,
        size: Size | None = None,
        progress: Progress | None = None,
        control: Control | None = None,
        examples: "Sequence[Example]" = (),
        **overrides: Unpack[Overrides],
    ) -> list[Picture]:
        """Draw several pictures of one prompt; the first is the one that ``draw`` gives."""
        seeds = derive_seeds(seed, count)
        how: dict[str, Any] = {"size": size, "progress": progress, "control": control}
        return self.draw_all([prompt] * count, seeds, **how, examples=[examples] * count, **overrides)

    def draw_all(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        size: Size | None = None,
        progress: Progress | None = None,
        batched: bool = False,
        control: Control | None = None,
        examples: "Sequence[Sequence[Example]]" = (),
        **overrides: Unpack[Overrides],
    ) -> list[Picture]:
        """Draw a picture for each prompt, each with its own seed.

        Args:
            batched: draft and render all together even where that rounds sums in another order, so that a picture may
                differ a little from the same one drawn alone. Native kernels never differ, and always go together.
            examples: those that come before each prompt; none if not given.
        """
        parts, params = self.parts, self._params(overrides)
        grid = parts.layout.grid_of(size or self.size)
        processor = parts.control_processor(control, grid) if control else None
        tasks = []
        for prompt, seed, before in zip(prompts, seeds, examples or [()] * len(prompts), strict=True):
            shown = parts.layout.example_ids(before) if before else ()
            how: dict[str, Any] = {"control": control, "processor": processor, "examples": shown}
            tasks.append(draw(parts, prompt, choose_seed(seed), grid, params, **how))
        done, total = 0, len(tasks) * grid[0] * grid[1]
        drafted: dict[int, int] = {}

        def count(effect: Draft, ids: Sequence[int]) -> None:
            nonlocal done
            done += known(ids) - drafted.get(id(effect), 0)
            drafted[id(effect)] = known(ids)
            if progress:
                progress(done, total)

        return run(parts, tasks, batched=batched, on_ids=count if progress else None)

    def stream(
        self,
        prompt: str,
        *,
        seed: int | None = None,
        size: Size | None = None,
        every: int | None = None,
        **overrides: Unpack[Overrides],
    ) -> Iterator[Step]:
        """Draw a picture and show it on its way; leaving the loop ends the drawing.

        Args:
            every: codes from one step to the next; a row of them if not given.

        Yields:
            ``Step``; the last has the picture that ``draw`` gives.

        Raises:
            PromptError, ImageError, LantuError: as ``draw``; before anything is computed.
        """
        params, seed = self._params(overrides), choose_seed(seed)
        grid = self.parts.layout.grid_of(size or self.size)
        every = every or grid[1]
        if every < 1:
            raise LantuError(f"a step every {every} codes", "choose 1 or more")
        running = Running(draw(self.parts, prompt, seed, grid, params))
        running.advance()
        return stream(self.parts, running, seed, every)

    def render(self, codes: np.ndarray, *, seed: int | None = None, **overrides: Unpack[Overrides]) -> Picture:
        """Render the picture that a grid of codes stands for.

        Args:
            codes: (h, w) whole numbers.

        Raises:
            DataError: it is no grid, or has codes that the model doesn't know.
            LantuError: a sampling parameter is out of range.
        """
        codes = check_codes(codes, self.folder.codebook_size)
        return run_one(self.parts, render(self.parts, codes, choose_seed(seed), self._params(overrides)))

    def edit(
        self,
        picture: "Picture | Image",
        prompt: str = "",
        *,
        box: masks.Box | None = None,
        mask: "Image | None" = None,
        examples: "Sequence[Change]" = (),
        seed: int | None = None,
        on_plan: OnPlan | None = None,
        **overrides: Unpack[Overrides],
    ) -> Picture:
        """Draw a part of a picture anew, or change it by an instruction.

        With ``box`` or ``mask`` the cells that they touch are filled with what ``prompt`` names; all other codes stay,
        and all pixels further than one cell from those that are drawn anew. With neither, ``prompt`` is an instruction
        ("replace the dog by a car"), and the whole picture comes new.

        Args:
            picture: a drawing, or any picture of the model's size.
            box: x0, y0, x1, y1 in pixels.
            mask: as large as the picture; transparent, or white, where it is to be drawn anew.
            examples: pictures before and after a change, which say what is to become of this one; instead of an
                instruction, or beside it.
            on_plan: called with the plan that the model writes before it follows an instruction: what is there; what is
                to be there.

        Raises:
            ImageError: box or mask don't fit the picture, or mark nothing.
            PromptError, LantuError: as ``draw``; or the model has not learnt it; or examples come with a place.
        """
        params, seed = self._params(overrides), choose_seed(seed)
        if box is None and mask is None:
            require(self.folder, "talking")
            shown = [Picture(*self.parts.layout.with_codes(picture))]
            changed = run_one(self.parts, edit.instruct(self.parts, shown, prompt, seed, params, examples))
            if changed.plan and on_plan:
                on_plan(changed.plan)
            return changed.picture
        if examples:
            what = "examples show how a whole picture changes, not a part of it"
            raise LantuError(what, "leave out the examples, or the box or mask")
        require(self.folder, "filling")
        before, codes = self.parts.layout.with_codes(picture)
        holes = masks.cells(before.size, self.folder.patch, box, mask)
        return run_one(self.parts, edit.fill(self.parts, codes, holes, prompt, seed, params, before))

    def chat(
        self,
        parts: "Said",
        *,
        before: "Sequence[Said]" = (),
        seed: int | None = None,
        on_plan: OnPlan | None = None,
        **overrides: Unpack[Overrides],
    ) -> list[str | Picture]:
        """Answer in words, pictures or both: the model decides.

        Args:
            parts: the words and pictures of the user's turn; the model reads the words before the pictures.
            before: earlier turns, the user's first.
            on_plan: called with the plan that the model writes before it answers, if it does.

        Raises:
            ImageError: a picture is not of the model's size.
            PromptError: there is nothing to answer, or more than the model can read.
        """
        from lantu.tasks.chat import chat  # drawing does without

        require(self.folder, "talking")
        seen = [part if isinstance(part, str) else Picture(*self.parts.layout.with_codes(part)) for part in parts]
        task = chat(self.parts, [*before, seen], choose_seed(seed), self._params(overrides))
        answer = run_one(self.parts, task)
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
        from lantu.tasks import caption  # drawing does without

        require(self.folder, "captioning")
        drawing, image = (image, image.image) if isinstance(image, Picture) else (None, image)
        image = images.to_rgb(image)
        if not fit and image.size != self.size:
            what = "{}x{} pixels, the model reads {}x{}".format(*image.size, *self.size)
            raise ImageError(f"the picture has {what}", "scale it, or have it scaled and cropped with --fit")
        before = self.parts.layout.example_ids(examples, language) if examples else []
        how: dict[str, Any] = {"seed": choose_seed(seed), "temperature": temperature, "examples": before}
        if drawing and drawing.model == self.digest:
            return run_one(self.parts, caption.caption_codes(self.parts, drawing.codes, language, **how))
        pixels = np.asarray(images.fit(image, *self.size) if fit else image)
        return run_one(self.parts, caption.caption(self.parts, pixels, language, **how))

    def tokenize(self, image: "Image", *, fit: bool = False) -> np.ndarray:
        """The codes of a picture, (h, w) int64.

        Args:
            fit: scale and crop a picture of another size to that of the training pictures.

        Raises:
            ImageError: its sides are not multiples of the decoder's patch, or too long.
        """
        return self.parts.layout.tokenize(image, fit=fit)

    def open(self, path: str | Path, *, fit: bool = False) -> Picture:
        """A picture from a file, with its codes: those that this model drew it from, or those that it is read as.

        A drawing that was changed since it was drawn is read anew, and a warning says so.

        Args:
            fit: scale and crop a picture of another size to that of the training pictures.

        Raises:
            ImageError: it can't be read, or its sides are not multiples of the decoder's patch, or too long.
        """
        notes: list[str] = []
        seen = reader.read(Path(path), str(path), self.parts, notes.append)
        for note in [*notes, *filter(None, [seen.note])]:
            warnings.warn(note, stacklevel=2)
        image = images.fit(seen.image, *self.size) if fit else seen.image
        return seen.drawing or Picture(image, self.tokenize(image))

    def _params(self, overrides: Overrides) -> SamplingParams:
        """The model's sampling parameters, changed."""
        return self.folder.settings.change(**overrides)


def load(model: str | Path | None = None, device: str = "auto", backend: str = "native") -> Model:
    """Open a model: see ``Model.load``."""
    return Model.load(model, device, backend)
