"""Writes the model directory of a rival: what its run exports."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lantu.files import FolderKind, replacing_folder, write_json
from lantu.recipes.copying import copy_part
from lantu.weights import checksums
from lantu.weights.arrays import shard_paths

INDEX = "model_index.json"
TRAINING = "training"  # entry of the index: the recipe, and what a sample of its training costs

Part = Path | Callable[[Path], object]  # a folder to copy, or a function that writes one


def write(
    folder: str | Path,
    kind: FolderKind,
    index: Mapping[str, Any],
    parts: Mapping[str, Part],
    recipe: str,
    flops_per_sample: float,
) -> None:
    """Write a complete model directory, whole or not at all.

    Args:
        index: what model_index.json says: ``_class_name``, the class of each part, and "draw".
        parts: name of each part's folder → where it comes from.
        recipe: the recipe that trained it, for the card.
        flops_per_sample: see ``lantu.training.flops``.

    Raises:
        DiskError: it can't be written.
    """
    with replacing_folder(folder, kind) as temporary:
        for name, part in parts.items():
            if isinstance(part, Path):
                copy_part(part, temporary / name, kind, name)
            else:
                part(temporary / name)
        training = {"recipe": recipe, "flops_per_sample": flops_per_sample}
        kept = {name: value for part in parts for name, value in sums(temporary, part).items()}
        write_json(temporary / INDEX, {**index, TRAINING: training, checksums.ENTRY: kept})


def sums(folder: Path, part: str) -> dict[str, str]:
    """The checksums of a part, also of one without weights, or with files of other names."""
    if all(path.is_file() for path in shard_paths(folder / part)):
        return checksums.of_parts(folder, (part,))
    files = [path for path in sorted((folder / part).iterdir()) if path.suffix in (".json", ".safetensors")]
    return {f"{part}/{path.name}": checksums.checksum(path) for path in files}
