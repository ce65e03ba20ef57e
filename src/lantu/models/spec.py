"""The interfaces of a model: what a family implements, and all that the rest of lantu knows of it. Protocols only.

    folder            what a model directory says of itself, read without loading a weight
    layout            (prompt, size) → a request for the drafter; ids → codes
    language backend  embeds ids, runs the transformer, owns the KV cache: ``engine.backends.protocol``
    drafter           request → draft, step() → ids so far: ``engine.drafting``
    decoder           codes → pixels: ``diffusion.sample`` for those that denoise

A family is a package under ``lantu.models`` with a line in ``lantu.models.registry``; nothing outside that package
knows which family a model is of. ``ModelFolder.abilities`` names what a model can do; methods that belong to an
ability are only called on models that have it, so other models need not define them.

Shapes: B batch, h w grid, H W pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np

    from lantu.engine.drafting import Drafter
    from lantu.engine.logits_processors import ControlLogitsProcessor
    from lantu.engine.request import Request
    from lantu.engine.sampling_params import SamplingParams
    from lantu.models.control import Control
    from lantu.models.estimate import Memory
    from lantu.types import Caption, UnknownWord

Grid = tuple[int, int]  # height, width in codes
Size = tuple[int, int]  # width, height in pixels


class ModelFolder(Protocol):
    """A model directory, of which only JSON is read.

    Attributes:
        path: the directory.
    """

    @property
    def path(self) -> Path: ...

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    @property
    def architecture(self) -> str:
        """The class of its language model."""
        ...

    @property
    def digest(self) -> str:
        """Identifies exactly these weights and settings: 16 hex digits."""
        ...

    @property
    def settings(self) -> "SamplingParams":
        """The default sampling parameters."""
        ...

    @property
    def grid(self) -> Grid:
        """Height and width in codes of the pictures that it was trained on."""
        ...

    @property
    def patch(self) -> int:
        """Pixels a side that the decoder paints for one code."""
        ...

    @property
    def codebook_size(self) -> int:
        """Number of codes."""
        ...

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """() where a cell of a grid is one code; (E,) where it is a vector of levels, each below ``codebook_size``."""
        ...

    @property
    def depth(self) -> int:
        """Codes of a cell, which stand side by side (residual quantisation); 1 where a cell is one code.

        ``grid`` counts codes; those of each place in a row of a cell are of a level, see ``Vocabulary``.
        """
        ...

    @property
    def max_side(self) -> int:
        """Codes a side of a grid, at most."""
        ...

    @property
    def abilities(self) -> tuple[str, ...]:
        """What it can do: "drawing", "captioning", "filling", "talking", "planning"."""
        ...

    @property
    def controlled(self) -> bool:
        """Whether a control picture can guide its drawings."""
        ...

    @property
    def sketches(self) -> bool:
        """Whether its previews are not of partial grids: of a small grid that it drafts first, or of the first codes.

        Then its layout has ``sketch``.
        """
        ...

    @property
    def prefixes(self) -> int:
        """The fewest codes that make a picture, where they are a sequence; 0 where they are a grid, which takes all.

        Where that are fewer than all, the model drafts as many as ``SamplingParams.num_codes`` says, and MASK_CODE
        stands for the others.
        """
        ...

    @property
    def unused_params(self) -> tuple[str, ...]:
        """Sampling parameters that mean nothing to it, e.g. "steps" where no decoder denoises."""
        ...

    @property
    def created(self) -> int:
        """When the directory was written, in seconds since 1970."""
        ...

    def lacks(self, ability: str) -> str:
        """What to do about an ability that the model lacks, for the user: a hint of an error."""
        ...

    @property
    def draft_length(self) -> int:
        """How many ids a picture of the training size is drafted as."""
        ...

    def memory(self, device: str) -> "Memory":
        """Bytes that drawing a picture of the training size takes on "cpu" or "cuda", from headers alone."""
        ...

    def check(self) -> "ModelFolder":
        """This folder, after checking that its parts match their configs and one another; no weights are read.

        Raises:
            ModelError: they don't.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Facts that need no weights, as JSON: name, digest, folder, pixels, parameters, bytes, …"""
        ...


class Layout(Protocol):
    """How a family writes a drawing as a sequence of ids. Nothing is computed here."""

    @property
    def patch(self) -> int:
        """Pixels a side of the cell that one code stands for."""
        ...

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Widths and heights in pixels of the training pictures, the most frequent first."""
        ...

    def grid_of(self, size: Size) -> Grid:
        """Height and width in codes of a picture of ``size`` pixels. Raises ImageError where there is no such grid."""
        ...

    def size_of(self, grid: Grid) -> Size:
        """Width and height in pixels of a picture of h by w codes."""
        ...

    def check_size(self, size: Size) -> str:
        """A warning for a size at which drawings are poor; "" for a good one. Raises ImageError for a useless one."""
        ...

    def draw(
        self,
        prompt: str,
        grid: Grid,
        seed: int,
        params: "SamplingParams",
        control: "ControlLogitsProcessor | None" = None,
    ) -> "Request":
        """The request for one picture: prompts with and without the words, the ids allowed, as many as the grid takes.

        Raises:
            PromptError: the prompt is empty, too long or not text.
            LantuError: the drafter does not support ``params``.
        """
        ...

    def codes(self, ids: Sequence[int], grid: Grid) -> "np.ndarray":
        """Drafted ids → codes (h, w) int64; MASK_CODE (-1) for those that are still missing or negative."""
        ...

    def sketch(self, ids: Sequence[int], grid: Grid) -> "np.ndarray | None":
        """Drafted ids → the grid that a preview shows, None until there is one. Only where the model sketches."""
        ...

    def count_tokens(self, text: str) -> int:
        """Ids that a text takes."""
        ...

    def unknown_words(self, prompt: str) -> "tuple[UnknownWord, ...]":
        """Words of a prompt that the model was never taught; none if it has no word list."""
        ...

    def warnings(self, prompt: str, draws: bool = True) -> list[str]:
        """What to know of a prompt before its picture is believed, a sentence each.

        Args:
            draws: the prompt names what is to be drawn; an instruction need not.
        """
        ...


class Parts(Protocol):
    """The loaded parts of a model, each loaded when it is first needed."""

    @property
    def folder(self) -> Any:
        """The family's ``ModelFolder``."""
        ...

    @property
    def device(self) -> str:
        """Where it computes: "cpu" or "cuda"."""
        ...

    @property
    def layout(self) -> Any:
        """The family's ``Layout``."""
        ...

    @property
    def drafter(self) -> "Drafter":
        """Batches requests only where that is exact."""
        ...

    @property
    def batched_drafter(self) -> "Drafter":
        """Batches requests even where that reorders floating-point sums."""
        ...

    @property
    def exact(self) -> bool:
        """Whether pictures rendered together are bit for bit those rendered alone."""
        ...

    @property
    def sparing(self) -> bool:
        """Whether memory is too short for drafting and rendering at the same time; see ``lantu.models.memory``."""
        ...

    def make_room(self, stage: Literal["drafting", "rendering"]) -> None:
        """Free what the other stage loaded, where memory is short. Called before each stage."""
        ...

    def check_both(self) -> None:
        """Refuse where drafting and rendering must take turns. Raises LantuError."""
        ...

    @property
    def previews(self) -> bool:
        """Whether drafts have previews: the decoder renders grids with missing codes (MASK_CODE), or sketches."""
        ...

    def render(
        self,
        codes_Bhw: "np.ndarray",
        seeds: Sequence[int],
        params: "SamplingParams",
        control: "Control | None" = None,
        prompts: Sequence[str] = (),
    ) -> "np.ndarray":
        """Codes → pictures (B, H, W, 3) uint8; a pure function of its arguments.

        Args:
            control: a picture that all of them follow, where ``ModelFolder.controlled``.
            prompts: one a picture, or none, for decoders that read more of it than the codes say.
        """
        ...

    def control_processor(self, control: "Control", grid: Grid) -> "ControlLogitsProcessor | None":
        """Adds a control's bias to the logits of each code; None where there is no bias.

        Raises:
            LantuError: the model can't follow the control.
            ImageError: the control picture is of another size.
        """
        ...

    def encode(self, pictures: "np.ndarray") -> "np.ndarray":
        """Pictures (B, H, W, 3) uint8 → codes (B, h, w) int64. Only where it tokenizes; raises LantuError else."""
        ...

    @property
    def reads_pixels(self) -> bool:
        """Whether captions come from ``read``; else they are drafted from codes, see ``lantu.tasks.caption``."""
        ...

    def read(
        self, pictures: "np.ndarray", language: str, seed: int, temperature: float, most: int | None = None
    ) -> "list[Caption]":
        """Captions of pictures (B, H, W, 3) uint8, of at most so many ids. Only where ``reads_pixels``."""
        ...
