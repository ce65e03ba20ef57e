"""Chooses recipes and sizes for a data folder, and steps for the time there is, by measured rates."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.errors import LantuError
from lantu.models.free_memory import free_bytes
from lantu.models.memory import readable
from lantu.recipes.make.look import Look

RESERVED = 0.15  # share of the time for what follows training: settings, scores, report
REHEARSED = 0.25  # the same of a model that began with another one, which is scored too
LEARNT, FIXED = "convolutions", "emoji"  # recipes of the tokenizer: a learnt encoder; k-means of patches
# The tokenizer's share of the training time; language model and decoder need its codes. Those of k-means are there at
# its first step: what follows trains its plain decoder, from which the diffusion decoder starts.
TOKENIZER = {LEARNT: 0.4, FIXED: 0.15}
PAYS = 32_000  # pictures that a learnt encoder must see before its codes beat those of k-means (docs/log.md)
# Sizes of the language model, each for fewer documents than stand before it: as many as there is time for at the
# recipe's own size. A smaller model sees more documents in that time, and draws better for it (docs/log.md).
SMALLEST_MODEL = {"width": 128, "layers": 4, "heads": 2, "inner": 352}
SIZES: tuple[tuple[float, dict[str, int]], ...] = (
    (20_000, SMALLEST_MODEL),
    (80_000, {"width": 192, "layers": 4, "heads": 3, "inner": 528}),
    (600_000, {}),
    (math.inf, {"width": 320, "layers": 8, "heads": 5, "inner": 896}),
)
LANGUAGE = 0.6  # share of the rest, where language model and decoder are trained one after the other
BESIDE = 1.15  # a step with its validations, samples and checkpoints takes so many times the bare step
DRY_STEPS = 7  # updates of a dry run, and as many batches that are made before them
FEWEST = 40  # steps
WANTED = 200  # steps below which batches are halved
SMALLEST = 4  # batch
SMALL = 1_000  # pictures below which there are fewer codes and words
DOZENS = 1_000  # pictures below which a model that draws is fine-tuned by LoRA
STALE = 4  # validations without a better one after which few pictures are no longer learnt
PARTS = ("tokenizer", "language", "decoder")


@dataclass(frozen=True)
class Sources:
    """What a model is made of that is not trained from nothing.

    Attributes:
        start: a model that goes on learning, as ``--start`` names it; "" for none.
        language, decoder: pretrained parts to be adopted; "" for none.
        pretrained_decoder: the decoder of ``start`` is itself a pretrained diffusion model.
        seen: pixels a side at which the tokenizer sees pictures; 0 for all that there are.
        factor: of the upscaler of ``start``, which is kept; 1 for none.
    """

    start: str = ""
    language: str = ""
    decoder: str = ""
    pretrained_decoder: bool = False
    seen: int = 0
    factor: int = 1

    @property
    def trained(self) -> tuple[str, ...]:
        """The parts that are trained: all but a tokenizer that is there."""
        return PARTS[1:] if self.start else PARTS

    @property
    def squares(self) -> bool:
        """Whether pictures must be square: for a pretrained decoder, and to be learnt beside rehearsed ones."""
        return bool(self.start or self.decoder or self.pretrained_decoder)

    @property
    def reserved(self) -> float:
        """The share of the time for what follows training."""
        return REHEARSED if self.start else RESERVED


NOTHING = Sources()


def groups(sources: Sources, cores: int) -> list[list[str]]:
    """The parts in the order of their training; those of a group are trained at the same time."""
    later = [["language", "decoder"]] if cores > 1 else [["language"], ["decoder"]]
    return [["tokenizer"], *later] if "tokenizer" in sources.trained else later


def share(bare: Sequence[Sequence[str]], later: int) -> float:
    """The share of the training time that is left, for a group of commands, with so many groups behind it."""
    if not later:
        return 1.0
    part, recipe = bare[0][1], recipe_in(bare[0])
    return TOKENIZER[recipe] if part == "tokenizer" else LANGUAGE


def affordable(facts: Mapping[str, Any], seconds: float) -> float:
    """How many pictures or documents a training sees in so many seconds.

    Args:
        facts: what its dry run measured.
    """
    return max(0.0, seconds - setup_s(facts)) / (BESIDE * float(facts["step_s"])) * int(facts["samples_per_step"])


def recipe_in(command: Sequence[str]) -> str:
    """The recipe that a training's command names."""
    return command[command.index("--recipe") + 1]


def command_of(
    part: str, look: Look, work: Path, device: str, sources: Sources = NOTHING, samples: float | None = None
) -> list[str]:
    """The training of a part, without its steps.

    Args:
        samples: pictures or documents that there is time for, by the rate of the command without them; None if that is
            still to be measured.
    """
    recipe = recipe_of(part, look, sources, samples)
    command = ["train", part, "--recipe", recipe, "--data", str(work / "data"), "--device", device]
    if part != "tokenizer":
        command += ["--tokenizer", sources.start or str(work / "tokenizer")]
    if start := start_of(part, work, sources):
        command += ["--start", start]
    settings = settings_of(part, look, work, sources, samples)
    if part == "language":
        settings["loop.compile"] = "false"  # compiling takes longer than the updates of a dry run, which plans count on
    return [*command, *(word for name, value in settings.items() for word in ("--set", f"{name}={value}"))]


def start_of(part: str, work: Path, sources: Sources) -> str:
    """What a part's training begins with; "" for nothing."""
    if {"language": sources.language, "decoder": sources.decoder}.get(part):
        return str(work / f"adopt-{part}")
    return sources.start if part != "tokenizer" else ""


def recipe_of(part: str, look: Look, sources: Sources = NOTHING, samples: float | None = None) -> str:
    """Photographs want a tokenizer whose encoder is learnt, if there is time for it.

    Of drawings, k-means of patches is quicker and as good.
    """
    if part == "tokenizer":
        return LEARNT if look.photographs and (samples is None or samples >= PAYS) else FIXED
    adopted = sources.language if part == "language" else sources.decoder
    if adopted or (part == "decoder" and sources.pretrained_decoder):
        return "adopted"
    return {"language": "finetune", "decoder": "further"}[part] if sources.start else "emoji"


def settings_of(
    part: str, look: Look, work: Path, sources: Sources = NOTHING, samples: float | None = None
) -> dict[str, Any]:
    """What differs from the recipe, for this data and as many samples as there is time for."""
    recipe = recipe_of(part, look, sources, samples)
    if part == "tokenizer":
        codes = 1024 if look.different < SMALL else 4096
        return {"model.size": sources.seen or look.size, "model.codebook_size": codes}
    few = look.different < DOZENS
    if recipe == "finetune":
        how = {"trained": "lora", "loop.lr": 1e-3} if few else {"trained": "all", "loop.lr": 5e-4}
        return {**how, "rehearsed": str(work / "rehearsal"), "loop.patience": STALE}
    if recipe == "adopted":
        return {"trained": "lora"}
    if recipe == "further":
        return {"rehearsed": str(work / "rehearsal"), "loop.lr": 3e-4, "size": look.size // sources.factor}
    if part == "decoder":
        return {"size": look.size}
    if look.different < SMALL:
        return {**SMALLEST_MODEL, "text_size": 1024}
    return {} if samples is None else next(sizes for documents, sizes in SIZES if samples < documents)


def setup_s(facts: Mapping[str, Any]) -> float:
    """Seconds from the start of a training to its first update, by its dry run."""
    return max(0.0, float(facts["wall_s"]) - DRY_STEPS * float(facts["step_s"]))


def least_s(facts: Mapping[str, Any]) -> float:
    """Seconds that a training of the fewest steps takes."""
    return setup_s(facts) + FEWEST * BESIDE * float(facts["step_s"])


def trained(part: str, bare: Sequence[str], work: Path, seconds: float, facts: Mapping[str, Any]) -> list[str]:
    """The command that trains a part for so many seconds, of which a part goes by before its first update.

    Args:
        bare: of ``command_of``.
        facts: what its dry run measured.
    """
    left = max(0.0, seconds - setup_s(facts))
    step_s, batch = float(facts["step_s"]), int(facts["samples_per_step"])
    settings: dict[str, Any] = {}
    while batch >= 2 * SMALLEST and left < WANTED * BESIDE * step_s:
        batch, step_s = batch // 2, step_s / 2
        settings["loop.batch_size"] = batch
    steps = max(FEWEST, int(left / (BESIDE * step_s)))
    settings |= {"loop.steps": steps, "loop.minutes": round(max(left, FEWEST * BESIDE * step_s) / 60, 2)}
    settings |= {"loop.in_time": True, "loop.warmup_steps": min(100, steps // 10), "loop.decay_fraction": 0.3}
    settings |= {"loop.sample_every": max(1, steps // 6), "loop.validate_every": max(1, steps // 12)}
    settings["loop.log_every"] = max(5, min(20, steps // 20))
    if part == "tokenizer" and recipe_in(bare) == LEARNT:
        settings |= {"encoder_from": steps // 4, "refit_every": max(20, min(400, steps // 10))}
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    return [*bare, *words, "--out", str(work / part)]


def fit_together(names: Sequence[str], facts: Sequence[Mapping[str, Any]], device: str) -> bool:
    """Whether some trainings fit into memory at the same time.

    Raises:
        LantuError: one of them doesn't even fit alone.
    """
    on = str(facts[0].get("device", device)).partition(":")[0]
    free = free_bytes(on) if on in ("cpu", "cuda") else None
    if free is None:
        return True
    needs = [int(one.get("memory_bytes", 0)) for one in facts]
    for name, need in zip(names, needs, strict=True):
        if need > free:
            what = f"training the {name} takes {readable(need)} of memory, {readable(free)} are free"
            raise LantuError(what, "a smaller --size, or another machine")
    return sum(needs) <= free
