"""Sampling parameters and their ranges."""

import numbers
import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypedDict

from lantu.errors import LantuError

FORMER = {"ahead": "num_draft_tokens", "least": "min_accepted"}  # names of lantu 0.1, still read everywhere

DENOISING = ("steps", "render_guidance", "sampler", "refine", "refine_steps")  # parameters of decoders that denoise
PASSES = ("passes",)  # parameters of drafters of many codes a pass, which mean nothing to next-token models
FOUND = ("shots",)  # parameters of models that read found pictures first
MAX_SHOTS = 16
MIN_REFINE = 0.01  # a second pass plans ``refine_steps / refine`` steps, of which it takes the last
PREFIXES = ("num_codes",)  # parameters of models that draw from the first codes of a sequence
GUESSING = {"num_draft_tokens", "min_accepted"}
SAMPLING = {"temperature", "top_k", "top_p", *DENOISING}
# Task → its parameters, of tasks that don't take all of them.
TAKEN = {
    "an answer": SAMPLING,
    "an instruction": SAMPLING | GUESSING | {"num_codes"},
    "filling": SAMPLING | GUESSING | {"guidance", "contrast", "passes"},
    "rendering": {*DENOISING},
}


def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values, those under a name of lantu 0.1 under today's; where both are given, today's name wins."""
    old = {FORMER[name]: value for name, value in values.items() if name in FORMER}
    return old | {name: value for name, value in values.items() if name not in FORMER}


def without_effect(task: str, given: Iterable[str], unused: Iterable[str]) -> str:
    """A sentence on the parameters that were given and that a task does not have; "" if it has all.

    Args:
        task: one of ``TAKEN``.
        unused: parameters that mean nothing to the model.
    """
    named = {FORMER.get(name, name) for name in given} - (TAKEN[task] - {*unused})
    return f"{', '.join(sorted(named))}: no effect on {task}" if named else ""


def caller_level() -> int:
    """``stacklevel`` of a warning about code outside lantu, the only one that Python shows by default."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "lantu":
        frame, level = frame.f_back, level + 1
    return level


def plain_number(name: str, value: Any, least: float, most: float, whole: bool = False) -> int | float:
    """A number of any library, such as NumPy's, as one of Python's, which JSON can hold.

    Args:
        whole: whether it must be an integer.

    Raises:
        LantuError: it is no number, NaN, or out of range.
    """
    is_whole = isinstance(value, numbers.Integral)
    fits = (is_whole if whole else isinstance(value, numbers.Real)) and not isinstance(value, bool)
    number: Any = value
    if not fits or not least <= number <= most:  # nor is NaN
        kind = "a whole number" if whole else "a value"
        raise LantuError(f"{name} can't be {value}", f"choose {kind} from {least:g} to {most:g}")
    return int(number) if is_whole else float(number)


@dataclass(frozen=True)
class SamplingParams:
    """How a picture is drawn. A model directory has its own defaults.

    Attributes:
        guidance: guidance scale of the draft (classifier-free guidance, arXiv:2207.12598); 1 is off, and twice as fast.
        contrast: k of contrastive decoding in the place of guidance (CD-K, arXiv:2309.02591), see
            ``lantu.kernels.Choice``; 0 is off.
        temperature: of the draft; 0 always takes the likeliest code.
        top_k: number of candidate codes at each step; 0 for all.
        top_p: probability that the candidates have together; 1 for all.
        num_draft_tokens: codes that are guessed after the next one and verified with it in one forward pass: the same
            codes in fewer, longer passes. lantu 0.1 called it ``ahead``.
        min_accepted: codes that each pass accepts even where draft tokens were wrong: above 1 the number of passes is
            bounded, and the draft is no longer what the model would have drawn code by code. 0.1: ``least``.
        passes: forward passes of a draft by masked or discrete diffusion, which drafts many codes in each; 0 for as
            many as the model is made for.
        shots: pictures that the model first finds in its memory bank by the prompt, and reads with their captions
            (arXiv:2309.02591); 0 for none.
        num_codes: how many of a picture's codes are drafted, by a model whose first codes make a picture
            (``ModelFolder.prefixes``): fewer are coarser and sooner; 0 for all.
        steps: of the diffusion decoder.
        render_guidance: guidance scale of the decoder; above 1 it exaggerates the codes, at twice the cost.
        sampler: of the decoder, one of ``lantu.diffusion.samplers.SAMPLERS``.
        refine: strength of a second pass by the model's refiner, which noises the decoder's picture so far and denoises
            it again, from 0.01 to 1; 0 is off.
        refine_steps: of the refiner.

    Raises:
        LantuError: a parameter is out of range.
    """

    guidance: float = 3.0
    contrast: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    num_draft_tokens: int = 0
    min_accepted: int = 1
    passes: int = 0
    shots: int = 0
    num_codes: int = 0
    steps: int = 8
    render_guidance: float = 1.0
    sampler: str = "euler"
    refine: float = 0.0
    refine_steps: int = 8

    def __post_init__(self):
        self.check("guidance", 0, 100)
        self.check("contrast", 0, 1_000_000)
        self.check("temperature", 0, 100)
        self.check("top_k", 0, 1_000_000)
        self.check("top_p", 1e-6, 1)
        self.check("num_draft_tokens", 0, 1000)
        self.check("min_accepted", 1, 1000)
        self.check("passes", 0, 10_000)
        self.check("shots", 0, MAX_SHOTS)
        self.check("num_codes", 0, 4096)
        self.check("steps", 1, 1000)
        self.check("render_guidance", 0, 100)
        self.check("refine", 0, 1)
        if 0 < self.refine < MIN_REFINE:
            raise LantuError(f"refine can't be {self.refine}", f"choose a value from {MIN_REFINE} to 1, or 0 for none")
        self.check("refine_steps", 1, 1000)
        if not isinstance(self.sampler, str):
            raise LantuError(f"sampler can't be {self.sampler!r}", "choose a sampler by its name")

    def check(self, name: str, least: float, most: float) -> None:
        """Make a parameter a plain number; raise LantuError if it is not one of its type and range."""
        whole = isinstance(getattr(SamplingParams, name), int)
        object.__setattr__(self, name, plain_number(name, getattr(self, name), least, most, whole))

    def change(self, **overrides: Any) -> "SamplingParams":
        """A copy with other values; None keeps the old one."""
        if former := FORMER.keys() & overrides.keys():
            names = ", ".join(f"{name} is now {FORMER[name]}" for name in sorted(former))
            warnings.warn(f"renamed sampling parameters: {names}", DeprecationWarning, stacklevel=caller_level())
        return replace(self, **{name: value for name, value in renamed(overrides).items() if value is not None})

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "SamplingParams":
        """From a mapping read from a file, under today's names or those of 0.1; other keys are ignored."""
        names = {field.name for field in fields(cls)}
        return cls().change(**{name: value for name, value in renamed(values).items() if name in names})

    def as_dict(self) -> dict[str, Any]:
        """All parameters by name, as JSON."""
        return asdict(self)


class Overrides(TypedDict, total=False):
    """Sampling parameters as keywords of a call; None keeps the model's default. See ``SamplingParams``."""

    guidance: float | None
    contrast: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    num_draft_tokens: int | None
    min_accepted: int | None
    passes: int | None
    shots: int | None
    num_codes: int | None
    steps: int | None
    render_guidance: float | None
    sampler: str | None
    refine: float | None
    refine_steps: int | None
