"""The card of a model that ``lantu make`` made, README.md: what it is, how to draw with it, its cost and scores."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lantu.evaluation.results import shown
from lantu.files import write_text
from lantu.pipeline import Model
from lantu.recipes.make.look import Look, pictures
from lantu.recipes.make.stages import Ledger
from lantu.training.progress import duration

NAME = "README.md"
TEXT = """# {name}

Made of {count} by `lantu make` in {time}. A causal language model drafts pictures of {pixels} px as {codes}
codes; a diffusion decoder renders them. {words}

    lantu draw {prompt} --model {model}

## Pictures

{pictures}

## Training

| part | parameters | steps | samples | hours |
|---|---|---|---|---|
{parts}

## Scores

Each beside that of round trips (picture → codes → picture) and of the true pictures; docs/evaluation.md says what is
measured. {split}

{scores}

## Licence

{licence}
"""
UNSAID = (
    "Not stated. Who may use the weights depends on the rights to the pictures; state it in model_index.json "
    '("license"), and here.'
)


def write(model: Model, look: Look, ledger: Ledger, prompt: str) -> None:
    """Write the card, unless the model has one: it may have been changed by hand.

    Args:
        prompt: a caption that it can draw.
    """
    place = model.folder.path / NAME
    if not place.exists():
        write_text(place, text(model, look, ledger, prompt))


def text(model: Model, look: Look, ledger: Ledger, prompt: str) -> str:
    """The text of the card, in Markdown."""
    folder: Any = model.folder
    facts, (rows, columns), scores = folder.describe(), folder.grid, ledger.done.get("scores") or {}
    began = f"It began with {Path(ledger.asked['start']).name}. " if ledger.asked.get("start") else ""
    spoken = f"It draws from captions in {', '.join(look.languages)}." if look.languages else "It learnt no captions."
    trained = any(one.get("split") == "train" for one in scores.values())
    return TEXT.format(
        name=facts["name"],
        model=shlex.quote(facts["name"]),
        count=pictures(look.different + look.val),
        time=duration(ledger.spent_s),
        pixels=facts["pixels"],
        codes=rows * columns,
        words=began + spoken,
        prompt=shlex.quote(prompt),
        pictures="\n".join(f"- {line}" for line in look.lines()),
        parts="\n".join(part_rows(facts["parameters"], folder.index.get("budget", {}))),
        split="They are of pictures that it learnt." if trained else "The pictures were held out.",
        scores="\n".join(score_rows(scores)) or "None.",
        licence="\n\n".join(licences(facts)),
    )


def part_rows(parameters: Mapping[str, int], budget: Mapping[str, Any]) -> list[str]:
    """A row for each part: its size, and what it cost with what it began with."""
    rows = []
    for part, count in parameters.items():
        cost = budget.get(part)
        cells = [f"{cost.get(name, 0):,g}" if cost else "unknown" for name in ("steps", "samples", "hours")]
        rows.append(f"| {part} | {count:,} | {' | '.join(cells)} |")
    return rows


def licences(facts: Mapping[str, Any]) -> list[str]:
    """The licence of the weights, and those of the parts that others have trained."""
    parts = {"Language model": facts.get("language_origin"), "Decoder": facts.get("decoder")}
    return [facts.get("license") or UNSAID, *(f"{part}: {origin}." for part, origin in parts.items() if origin)]


def score_rows(suites: Mapping[str, Any]) -> list[str]:
    """The table of the scores, with its head; none where nothing was scored."""
    rows = []
    for name, one in suites.items():
        unit = one.get("unit", "share")
        values = [shown(one[key], unit) for key in ("score", "round_trip", "ceiling")]
        low, high = (shown(value, unit) for value in one["interval"])
        rows.append(f"| {name} | {' | '.join(values)} | {low} to {high} | {one['n']} |")
    head = ["| suite | score | round trip | true pictures | 95 % interval | n |", "|---|---|---|---|---|---|"]
    return [*head, *rows] if rows else []
