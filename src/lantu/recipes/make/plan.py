"""Chooses recipes and sizes for a data folder, and steps for the time there is, by measured rates."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.recipes.make.look import Look

Measure = Callable[[Sequence[str]], Mapping[str, Any]]  # the command of a training → what --dry-run --json prints

RESERVED, LEAST_RESERVED_S = 0.12, 40.0  # share of the time for what follows training: dials, scores, report
TOKENIZER = 0.4  # share of the training time; language model and decoder need its codes
LANGUAGE = 0.6  # share of the rest, where language model and decoder are trained one after the other
BESIDE = 1.15  # a step with its validations, samples and checkpoints takes so many times the bare step
LATE = 1.1  # times its seconds after which a training is stopped, however far it is
FEWEST = 40  # steps
SMALL, LARGE = 1_000, 20_000  # pictures from which language models are larger
PARTS = ("tokenizer", "language", "decoder")


@dataclass(frozen=True)
class Budget:
    """Seconds for each training.

    Attributes:
        side_by_side: language model and decoder are trained at the same time.
    """

    tokenizer: float
    language: float
    decoder: float
    side_by_side: bool

    @classmethod
    def of(cls, seconds: float, cores: int) -> "Budget":
        """Split what is left of the time, for so many cores."""
        training = max(1.0, seconds - max(LEAST_RESERVED_S, RESERVED * seconds))
        first, rest = TOKENIZER * training, (1 - TOKENIZER) * training
        if cores > 1:
            return cls(first, rest, rest, True)
        return cls(first, LANGUAGE * rest, (1 - LANGUAGE) * rest, False)


def command_of(part: str, look: Look, work: Path, device: str) -> list[str]:
    """The training of a part, without its steps."""
    command = ["train", part, "--recipe", recipe_of(part, look), "--data", str(work / "data"), "--device", device]
    if part != "tokenizer":
        command += ["--tokenizer", str(work / "tokenizer")]
    settings = settings_of(part, look)
    return [*command, *(word for name, value in settings.items() for word in ("--set", f"{name}={value}"))]


def recipe_of(part: str, look: Look) -> str:
    """Photographs need a tokenizer whose encoder is learnt; of drawings, k-means of patches is quicker and as good."""
    return "anywhere" if part == "tokenizer" and look.photographs else "emoji"


def settings_of(part: str, look: Look) -> dict[str, Any]:
    """What differs from the recipe, for this data."""
    if part == "tokenizer":
        codes = 1024 if look.train < SMALL else 4096
        return {"model.size": look.size, "model.codebook_size": codes}
    if part == "decoder":
        return {"size": look.size}
    if look.train < SMALL:
        return {"width": 128, "layers": 4, "heads": 2, "inner": 352, "text_size": 1024}
    return {"width": 320, "layers": 8, "heads": 5, "inner": 896} if look.train >= LARGE else {}


def trained(part: str, look: Look, work: Path, device: str, seconds: float, measure: Measure) -> list[str]:
    """The command that trains a part for so many seconds."""
    bare = command_of(part, look, work, device)
    facts = measure(bare)
    steps = max(FEWEST, int(seconds / (BESIDE * facts["step_s"])))
    settings = {"loop.steps": steps, "loop.minutes": round(LATE * seconds / 60, 2)}
    settings |= {"loop.warmup_steps": min(100, steps // 10), "loop.decay_fraction": 0.3}
    settings |= {"loop.sample_every": max(1, steps // 6), "loop.validate_every": max(1, steps // 12)}
    if recipe_of(part, look) == "anywhere":
        settings |= {"encoder_from": steps // 4, "refit_every": max(20, min(400, steps // 10))}
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    return [*bare, *words, "--out", str(work / part)]
