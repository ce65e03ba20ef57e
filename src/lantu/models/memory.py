"""The memory that a model takes, told before it is loaded; and what gives way where memory is short.

A model drafts, then renders. What does not fit together may fit one after the other: then ``tasks/run.py`` frees the
language model before the decoder is loaded, and the decoder before the next draft.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

from lantu.errors import LantuError
from lantu.models.free_memory import GIGA, VARIABLE, free_bytes
from lantu.models.spec import ModelFolder

EASILY, AT_EASE = 10, 2 * GIGA  # a model fits where free memory exceeds 10 times its weights and 2 GB
Stage = Literal["drafting", "rendering"]


def check(folder: ModelFolder, device: str) -> None:
    """Refuse a model that does not fit, even one part at a time.

    Raises:
        LantuError: what it needs, what there is, and what would help.
    """
    if found := short(folder, device, "apart"):
        raise shortage(folder, device, *found)


def short(folder: ModelFolder, device: str, how: Literal["apart", "together"]) -> "tuple[int, int] | None":
    """What a model needs and what is free, in bytes, where that is less; None where it fits.

    Args:
        how: with one part loaded at a time, or with both.
    """
    free = free_bytes(device)
    if free is None:
        return None
    stored = sum(path.stat().st_size for path in folder.path.rglob("*.safetensors"))
    if EASILY * stored + AT_EASE < free:  # without reading all headers
        return None
    need: int = getattr(folder.memory(device), how)
    return (need, free) if need > free else None


def shortage(folder: ModelFolder, device: str, need: int, free: int, when: str = "") -> LantuError:
    """The error: what is needed, what is there, and what would help."""
    whose, other = ("GPU memory", "cpu") if device == "cuda" else ("memory", "cuda on a machine with a GPU")
    what = f"{folder.name} needs {readable(need)} of {whose}{when}, {readable(free)} are free"
    help_ = f"choose a smaller model or --device {other}, end other programs, or try all the same: {VARIABLE}=any"
    return LantuError(what, help_)


def readable(count: int) -> str:
    """Bytes as text: "17.7 MB", "3.2 GB"."""
    return f"{count / GIGA:,.1f} GB" if count >= GIGA else f"{count / 1e6:.1f} MB"


class Sparing:
    """What a family's ``Parts`` inherit: they know whether memory is short, and can free the parts of one stage.

    Attributes:
        freed: for each stage the cached properties that hold its parts.
    """

    freed: ClassVar[Mapping[Stage, tuple[str, ...]]] = {
        "drafting": ("language", "drafter", "batched_drafter", "reader"),
        "rendering": ("decoder", "vq", "renderer", "upscaler", "refiner", "control", "encoder"),
    }

    @cached_property
    def sparing(self) -> bool:
        """Whether drafting and rendering must take turns in memory; decided once, before either is loaded."""
        return self._short is not None

    @cached_property
    def _short(self) -> tuple[int, int] | None:
        parts: Any = self  # a frozen data class, of which this is a base
        if parts.backend == "vllm":  # which reserves memory itself
            return None
        return short(parts.folder, parts.device, "together")

    def free(self, stage: Stage) -> None:
        """Free the parts of a stage; they are loaded again when they are next needed."""
        for name in self.freed[stage]:
            self.__dict__.pop(name, None)
        if vars(self)["device"] == "cuda":
            import torch

            torch.cuda.empty_cache()

    def make_room(self, stage: Stage) -> None:
        """Before a stage begins: free the other stage's parts where memory is short."""
        if self.sparing:
            self.free("rendering" if stage == "drafting" else "drafting")

    def check_both(self) -> None:
        """Refuse where the two stages must take turns, for a server does both at any time. Raises LantuError."""
        if self._short:
            parts: Any = self
            raise shortage(parts.folder, parts.device, *self._short, " to draft and render at any time")
