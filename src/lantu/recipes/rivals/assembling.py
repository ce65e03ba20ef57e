"""``lantu assemble --rival``: a rival's run becomes a model directory with name, card, cost, words and settings."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lantu.data.taught import taught_by
from lantu.errors import DataError, ModelError
from lantu.files import expand, replacing_folder, write_json, write_text
from lantu.models import registry
from lantu.models.spec import ModelFolder
from lantu.recipes.assemble import card_of, check_apart, write_words
from lantu.recipes.budget import budget_of
from lantu.recipes.copying import copy_part
from lantu.recipes.pictures import origin
from lantu.recipes.rivals.directory import INDEX, TRAINING

PART = "rival"  # what the index calls the cost of the whole model
CARD = """# {name}

{about}

One of the rivals that lantu is measured against (docs/rivals.md). It is trained by
`lantu train rival --recipe {recipe}` and opened like any model: `lantu draw "a cat" --model {name}`.

| | |
|---|---|
| pictures | {pixels} |
| drawn by | {drawn} |
| parameters | {parameters} |
| training | {training} |
| data | {data} |
| licence | {licence} |
"""


def assemble_rival(
    run: str | Path,
    out: str | Path,
    name: str = "",
    licence: str = "",
    card: str | Path | None = None,
    data: str | Path | None = None,
    draw: Mapping[str, Any] | None = None,
) -> ModelFolder:
    """Write a rival's model directory, completely or not at all; an older one in ``out`` is replaced.

    Args:
        run: a finished run of ``lantu train rival``, or the model directory that it exported.
        name, licence, data, draw: see ``lantu.recipes.assemble.assemble``.
        card: a Markdown file that becomes README.md; without one it is written from what is known.

    Raises:
        ModelError: there is no such model, or no such card.
        DiskError: it can't be written, or ``out`` holds other things than such a model.
    """
    out, source = Path(out), exported(run)
    folder: Any = registry.open_folder(source).check()
    check_apart(out, {PART: source})
    index = {**folder.index, "name": name or out.name, "license": licence or folder.index.get("license", "")}
    index["draw"] = {**folder.index.get("draw", {}), **(draw or {})}
    if cost := budget_of(Path(run), PART):
        flops = folder.index.get(TRAINING, {}).get("flops_per_sample", 0) * cost["samples"]
        index["budget"] = {PART: {**cost, "flops": flops}}
    taught: Sequence[dict[str, Any]] = ()
    if data is not None:
        index["data"] = origin(data)
        with contextlib.suppress(DataError):  # the index of the data is enough
            taught = taught_by(data)
    with replacing_folder(out, folder.kind) as temporary:
        copy_part(source, temporary, folder.kind)
        write_json(temporary / INDEX, index)
        write_words(temporary, taught)
        made: Any = registry.open_folder(temporary).check()
        if card is not None:
            (temporary / "README.md").write_bytes(card_of(card, out) or b"")
        else:
            write_text(temporary / "README.md", card_text(made, index))
    return registry.open_folder(out)


def exported(run: str | Path) -> Path:
    """The model directory of a rival's run, or the directory itself. Raises ModelError where there is none."""
    place = expand(run)
    for folder in (place / "model", place):
        if (folder / INDEX).is_file():
            return folder
    raise ModelError(f"no rival in {run}", "name a finished run of `lantu train rival`")


def card_text(folder: Any, index: Mapping[str, Any]) -> str:
    """The card, from what the directory says."""
    facts, cost = folder.describe(), index.get("budget", {}).get(PART, {})
    training = "unknown"
    if cost:
        training = f"{cost['steps']:,.0f} steps, {cost['samples']:,.0f} samples, {cost['flops']:.3g} FLOP"
    return CARD.format(
        name=facts["name"],
        about=folder.about,
        recipe=index.get(TRAINING, {}).get("recipe", "NAME"),
        pixels=facts["pixels"],
        drawn=folder.drawn,
        parameters=", ".join(f"{part} {count:,}" for part, count in facts["parameters"].items()),
        training=training,
        data=json.dumps(index["data"]) if "data" in index else "unknown",
        licence=index["license"] or "not stated",
    )
