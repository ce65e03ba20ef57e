"""Checksums in model_index.json, which bind a model's settings to its weights.

    "checksums": {"decoder/config.json": "sha256:…", "decoder/model.safetensors": "sha256-header:…", …}

A wrong number in a config often shows in the shape of a tensor. A rotary base, an epsilon or a dtype does not: with a
wrong one the model would draw noise without any error. So an assembled model records checksums of its files. Only the
header of a safetensors file is hashed, so that checking is fast. A directory without checksums, as lantu 0.1 wrote
them, is opened unchecked.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from lantu.errors import ModelError
from lantu.files.untrusted import is_plain_name, read_bytes, read_json, shown
from lantu.weights.arrays import INDEX, header_bytes, shard_paths

MODEL_INDEX = "model_index.json"
ENTRY = "checksums"
SETTINGS = ("config.json", "tokenizer.json", INDEX)
HINT = f"restore it; if you changed it on purpose, remove its line from {ENTRY!r} in {MODEL_INDEX}"


def of_parts(folder: Path, parts: Iterable[str]) -> dict[str, str]:
    """The checksums of a model directory's parts, by file. Raises ModelError if a file can't be read."""
    made = {}
    for part in parts:
        try:
            files = [folder / part / name for name in SETTINGS if (folder / part / name).exists()]
            inner = [path for path in (folder / part).glob("*/*") if path.suffix in (".json", ".safetensors")]
            files += sorted(inner) or shard_paths(folder / part)  # a pretrained decoder has folders of its own
            made |= {path.relative_to(folder).as_posix(): checksum(path) for path in files}
        except (OSError, ValueError) as problem:
            raise ModelError(f"{folder / part} can't be read ({problem})", "give a complete model directory") from (
                problem
            )
    return made


def verify(part_folder: str | Path) -> None:
    """Compare a part's files with the checksums of its model directory, if that has any.

    Raises:
        ModelError: a file differs from the one that the model was assembled with.
    """
    part_folder = Path(os.path.abspath(part_folder))
    index = part_folder.parent / MODEL_INDEX
    if not index.exists():
        return
    try:
        recorded = read_json(index).get(ENTRY, {})
    except (OSError, ValueError) as problem:
        raise ModelError(f"{index} can't be read as JSON ({problem})", "fetch or assemble the model again") from problem
    if not isinstance(recorded, dict) or not all(isinstance(value, str) for value in recorded.values()):
        raise ModelError(f"{ENTRY} in {index} must map files to texts", "fetch or assemble the model again")
    for name, wanted in recorded.items():
        part, _, file = name.partition("/")
        if not is_plain_name(part) or not all(map(is_plain_name, file.split("/"))):
            raise ModelError(
                f"{ENTRY} in {index} name {shown(name)}, which is not a file of a part", "assemble the model again"
            )
        if part != part_folder.name:
            continue
        try:
            found = checksum(part_folder / file)
        except (OSError, ValueError) as problem:
            raise ModelError(f"{part_folder / file} can't be read ({problem})", HINT) from problem
        if found != wanted:
            raise ModelError(f"{part_folder / file} differs from the file that the model was assembled with", HINT)


def checksum(path: Path) -> str:
    """The checksum of a file, or of a safetensors file's header. Line endings don't count, because Git changes them."""
    if path.suffix == ".safetensors":
        return "sha256-header:" + hashlib.sha256(header_bytes(path)[1]).hexdigest()
    return "sha256:" + hashlib.sha256(read_bytes(path).replace(b"\r\n", b"\n")).hexdigest()
