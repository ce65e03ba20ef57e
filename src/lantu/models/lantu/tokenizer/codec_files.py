"""The files of a pretrained codec in an image tokenizer's folder."""

import hashlib
from pathlib import Path

from lantu.errors import ModelError
from lantu.files import PAPERS, WEIGHTS, FolderKind

FOLDER = "codec"
FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", *PAPERS)
# What a tokenizer's folder may hold.
KIND = FolderKind(WEIGHTS.name, WEIGHTS.marks, (*WEIGHTS.files, *(f"{FOLDER}/{name}" for name in FILES)))


def paths(folder: Path) -> list[Path]:
    """The files of a codec's folder that belong to it, sorted."""
    return sorted({path for pattern in FILES for path in folder.glob(pattern) if path.is_file()})


def digest(folder: Path) -> str:
    """SHA-256 of its weights and of what config.json says.

    Raises:
        ModelError: a file can't be read.
    """
    total = hashlib.sha256()
    try:
        for path in paths(folder):
            if path.name not in PAPERS:
                total.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    except OSError as problem:
        raise ModelError(f"can't read the codec in {folder} ({problem.strerror})", "fetch it again") from problem
    return total.hexdigest()
