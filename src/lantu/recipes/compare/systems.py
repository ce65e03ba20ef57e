"""The systems that are compared, as data: parts, recipes, and which share of a budget each part is trained for.

Nothing else knows a system by its name. What one can't do (caption, edit, answer with pictures) is asked of the opened
model (``ModelFolder.abilities``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lantu.errors import LantuError

ROLES = ("see", "draft", "render")
SPLIT = (0.2, 0.5, 0.3)  # shares of a budget, in this order


@dataclass(frozen=True)
class Part:
    """What is trained for a system, by ``lantu train PART --recipe RECIPE``.

    Attributes:
        name: within the system.
        part, recipe: as ``lantu train`` takes them.
        debug: the recipe of seconds.
        roles: what it does, and so its share of the budget: "see" (pictures to codes, latents or features, and what is
            learnt with that), "draft" (from words to what stands for a picture), "render" (from that to pixels).
        takes: setting → the name of the part whose run it names.
        sizes: settings that make the system as large as the others.
        pixels: the setting that has the size of the data's pictures; "" for none.
        grows: it begins with nothing that was trained, so that a longer training is a shorter one that goes on.
    """

    name: str
    part: str
    recipe: str
    debug: str
    roles: tuple[str, ...]
    takes: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, Any] = field(default_factory=dict)
    pixels: str = ""
    grows: bool = False

    def share(self, split: Sequence[float]) -> float:
        """Its share of a budget that is split among ``ROLES``."""
        return sum(share for role, share in zip(ROLES, split, strict=True) if role in self.roles)


@dataclass(frozen=True)
class System:
    """A way from words to pictures.

    Attributes:
        about: in a few words.
        parts: in the order of their training. The one that drafts is last or before what renders.
        draws: settings of a drawing, the usual ones first, of which the best are taken (``measuring.settings``).
        weight: part and setting of the weight between its losses that is swept; None where there is one loss.
    """

    name: str
    about: str
    parts: tuple[Part, ...]
    draws: tuple[Mapping[str, float], ...]
    weight: tuple[str, str] | None = None

    def part(self, name: str) -> Part:
        """One of its parts by name."""
        return next(part for part in self.parts if part.name == name)

    @property
    def drafter(self) -> Part:
        """The part whose learning rate is swept."""
        return next(part for part in self.parts if "draft" in part.roles)

    @property
    def assembled(self) -> bool:
        """Whether ``lantu assemble`` joins its parts; else the drafter's run is the whole model."""
        return self.drafter.part == "language"


TOKENIZER = Part("tokenizer", "tokenizer", "emoji", "debug", ("see",), pixels="model.size", grows=True)
OF_CODES = {"tokenizer": "tokenizer"}
WIDER = {"width": 256, "layers": 5}  # than the recipe, so as large as the others
DECODER = Part("decoder", "decoder", "emoji", "debug", ("render",), OF_CODES, pixels="size")
CODES = tuple({"guidance": g, "temperature": t} for t in (0.3, 1.0) for g in (1.5, 3.0))
GUIDED = tuple({"guidance": g, "temperature": 1.0} for g in (1.0, 1.5, 2.0, 3.0))
ALL = ("see", "draft", "render")
VECTORS = ("draft", "render")  # language model and decoder in one run


def rival(name: str, roles: tuple[str, ...], takes: Mapping[str, str], **more: Any) -> Part:
    """The part that is a rival's own."""
    return Part(name, "rival", name, f"{name}-debug", roles, takes, **more)


_TABLE = (
    System(
        "lantu",
        "a language model drafts codes, a diffusion decoder renders them",
        (
            TOKENIZER,
            Part("language", "language", "compared", "compared-debug", ("draft",), OF_CODES, grows=True),
            DECODER,
        ),
        CODES,
        ("decoder", "perceptual_weight"),
    ),
    System(
        "pixel-ar",
        "a language model drafts the pixels (iGPT)",
        (rival("pixel-ar", ALL, {}, grows=True),),
        tuple({"guidance": g, "temperature": t} for t in (0.9, 0.3) for g in (1.5, 3.0)),
    ),
    System(
        "text-encoder-diffusion",
        "a text encoder tells a diffusion model of latents (Stable Diffusion)",
        (
            rival("autoencoder", ("see",), {}, grows=True),
            rival("text-encoder-diffusion", VECTORS, {"autoencoder": "autoencoder"}),
        ),
        tuple({"guidance": g} for g in (3.0, 1.5, 5.0, 7.5)),
        ("autoencoder", "perceptual"),
    ),
    System(
        "continuous-regression",
        "a language model regresses visual embeddings (Emu)",
        (rival("continuous-regression", ALL, {}, grows=True),),
        GUIDED,
        ("continuous-regression", "words"),
    ),
    System(
        "diffusion-head",
        "a diffusion head drafts visual embeddings in random order (MAR)",
        (TOKENIZER, rival("diffusion-head", VECTORS, OF_CODES)),
        tuple({"guidance": g, "temperature": t} for t in (1.0, 0.9) for g in (3.0, 2.0)),
        ("diffusion-head", "perceptual_weight"),
    ),
    System(
        "vq-diffusion",
        "codes by mask-and-replace diffusion (VQ-Diffusion)",
        (TOKENIZER, DECODER, rival("vq-diffusion", ("draft",), {**OF_CODES, "decoder": "decoder"})),
        tuple({"guidance": g, "temperature": 1.0, "top_p": p} for p in (0.86, 1.0) for g in (3.0, 1.5)),
        ("vq-diffusion", "auxiliary"),
    ),
    System(
        "diffusion-head-raster",
        "a diffusion head behind a causal language model (MAR's raster form)",
        (TOKENIZER, rival("diffusion-head-raster", VECTORS, OF_CODES)),
        tuple({"guidance": g, "temperature": t} for t in (0.9, 1.0) for g in (2.0, 3.0)),
        ("diffusion-head-raster", "words"),
    ),
    System(
        "feature-regression",
        "a language model regresses the image tokenizer's features",
        (TOKENIZER, rival("feature-regression", VECTORS, OF_CODES)),
        GUIDED,
        ("feature-regression", "words"),
    ),
    System(
        "pixel-regression",
        "a language model regresses patches of pixels",
        (rival("pixel-regression", ALL, {}, grows=True),),
        GUIDED,
        ("pixel-regression", "words"),
    ),
    System(
        "masked",
        "codes by masked diffusion (MaskGIT)",
        (
            TOKENIZER,
            Part("masked", "language", "masked", "masked-debug", ("draft",), OF_CODES, WIDER, grows=True),
            DECODER,
        ),
        CODES,
        ("decoder", "perceptual_weight"),
    ),
)
SYSTEMS = {system.name: system for system in _TABLE}
USUAL = tuple(SYSTEMS)[:6]


def chosen(names: Sequence[str] = USUAL) -> list[System]:
    """Systems by name, in the order of the table.

    Raises:
        LantuError: there is no such system.
    """
    if unknown := [name for name in names if name not in SYSTEMS]:
        raise LantuError(f"no system called {unknown[0]}", f"choose from {', '.join(SYSTEMS)}")
    return [system for name, system in SYSTEMS.items() if name in names]
