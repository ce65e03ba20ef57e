"""Where models are kept, and what a model directory must hold.

NAME/
  model_index.json     name, licence, the dials it draws with ("draw"), and the sides of its pictures in pixels where
                       it draws more than one size ("sides": [shortest, longest])
  language/            an unmodified transformers directory
  tokenizer/           config.json, safetensors
  decoder/             config.json, safetensors
  control/             config.json, safetensors; only where the decoder can be controlled
  README.md            the card
"""

import contextlib
import json
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lantu.errors import DiskError, ModelError
from lantu.files import WEIGHTS, Sort, cache_dir, expand, sha256
from lantu.settings import Settings

DEFAULT = "lantu-emoji"
INDEX = "model_index.json"
TOLD = ("license", "data", "scores")  # entries of the index that its makers may write
PARTS = ("language", "tokenizer", "decoder")
CONTROL = "control"  # a part that may be missing
MEND = "fetch or assemble the model again"
SORT = Sort(
    "a model directory",
    (INDEX,),
    (
        INDEX,
        "README.md",
        "words.json",
        "related.json",
        *(name for part in (*PARTS, CONTROL) for name in WEIGHTS.within(part)),
    ),
    ("_class_name", "lantu.Model"),
)
REQUIRED = (INDEX, "language/config.json", "language/tokenizer.json", "tokenizer/config.json", "decoder/config.json")


@dataclass(frozen=True)
class ModelFolder:
    """A complete model directory. Nothing of it is loaded but its JSON.

    Raises:
        ModelError: files are missing.
    """

    path: Path

    def __post_init__(self):
        missing = [name for name in REQUIRED if not (self.path / name).is_file()]
        missing += [f"{part}/*.safetensors" for part in PARTS if not any((self.path / part).glob("*.safetensors"))]
        if missing:
            mend = "give a whole one, or one of those that lantu models lists"
            raise ModelError(f"{self.path} is no model directory, it lacks {', '.join(missing)}", mend)

    @cached_property
    def index(self) -> dict[str, Any]:
        return self.read(INDEX)

    @property
    def name(self) -> str:
        return str(self.index.get("name") or self.path.resolve().name)

    @property
    def settings(self) -> Settings:
        """The dials it draws with unless told otherwise."""
        dials = self.index.get("draw")
        return Settings.read(dials if isinstance(dials, dict) else {})

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width in codes of the pictures that it was trained on."""
        height, width = self.entry("language/config.json", "lantu", "grid")
        return height, width

    @property
    def codebook_size(self) -> int:
        return self.entry("tokenizer/config.json", "codebook_size")

    @property
    def patch(self) -> int:
        """Pixels a side that the decoder paints for one code."""
        return self.entry("decoder/config.json", "patch")

    @property
    def sides(self) -> tuple[int, int] | None:
        """The shortest and the longest side in pixels of pictures that it draws well; None: as it learnt them."""
        sides = self.index.get("sides")
        if sides is None:
            return None
        if not (isinstance(sides, list) and len(sides) == 2 and all(isinstance(side, int) for side in sides)):
            raise ModelError(f"the sides in {self.path / INDEX} are {sides!r}", "write [shortest, longest] in pixels")
        return sides[0], sides[1]

    @property
    def learnt(self) -> list[str]:
        """What its language model was taught beside drawing and captioning: "filling", "talking"."""
        return self.entry("language/config.json", "lantu").get("learnt", [])

    @property
    def controlled(self) -> bool:
        """Whether its decoder can be controlled by a picture."""
        return (self.path / CONTROL / "config.json").is_file()

    @cached_property
    def digest(self) -> str:
        """Names exactly these weights and settings, whatever the folder is called: 16 hex digits of a SHA-256."""
        paths = (path for part in (*PARTS, CONTROL) for path in (self.path / part).rglob("*"))
        return sha256(*sorted(path for path in paths if path.suffix in (".json", ".safetensors")))[:16]

    def read(self, name: str) -> dict[str, Any]:
        """One of its JSON files.

        Raises:
            ModelError: it can't be read.
        """
        try:
            value = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise ModelError(f"{self.path / name} can't be read as JSON", MEND) from problem
        if not isinstance(value, dict):
            raise ModelError(f"{self.path / name} is no JSON object", MEND)
        return value

    def entry(self, name: str, *keys: str) -> Any:
        """One value of one of its JSON files.

        Raises:
            ModelError: it is not there.
        """
        value: Any = self.read(name)
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise ModelError(f"{self.path / name} says nothing of {key}", MEND)
            value = value[key]
        return value

    def describe(self) -> dict[str, Any]:
        """What there is to know without loading it, as JSON."""
        height, width = self.grid
        told = {
            "name": self.name,
            "digest": self.digest,
            "folder": str(self.path),
            "pixels": f"{width * self.patch}x{height * self.patch}",
            "grid": f"{width}x{height}",
            "codebook": self.codebook_size,
            "language": self.entry("language/config.json", "architectures")[0],
            "parameters": self.parameters(),
            "bytes": self.size_bytes(),
            "draw": self.settings.as_dict(),
            "learnt": self.learnt,
            "guidance_learnt": self.entry("language/config.json", "lantu").get("guidance", []),
        }
        return told | {key: self.index[key] for key in TOLD if key in self.index}

    def size_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    def parameters(self) -> dict[str, int]:
        """How many numbers each part has, from the headers of its files."""
        parts = (*PARTS, CONTROL) if self.controlled else PARTS
        return {part: sum(map(count, (self.path / part).glob("*.safetensors"))) for part in parts}


def count(path: Path) -> int:
    """The numbers in a safetensors file; its header alone is read."""
    from lantu.arrays import read_header

    try:
        return sum(math.prod(entry["shape"]) for entry in read_header(path)[1].values())
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ModelError(f"{path} is damaged", MEND) from problem


def shelves() -> list[Path]:
    """The folders where models are looked for by name, first come first served.

    ``$LANTU_MODELS`` (one or more, as in ``$PATH``), ``models/`` of a checkout or ``shipped/`` of an installed package,
    and the cache.
    """
    named = [expand(place) for place in os.environ.get("LANTU_MODELS", "").split(os.pathsep) if place]
    package = Path(__file__).resolve().parent
    checkout = package.parents[1]
    shipped = checkout / "models" if (checkout / "pyproject.toml").is_file() else package / "shipped"
    places = [*named, shipped]
    with contextlib.suppress(DiskError):  # a user without a home has the others
        places.append(cache_dir() / "models")
    return places


def find(model: str | Path | None = None) -> ModelFolder:
    """A model by its name or its folder.

    Raises:
        ModelError: there is no such model, or it is not complete.
    """
    name = str(model) if model is not None else DEFAULT
    path = expand(name)
    if model is not None and path.is_dir():
        return ModelFolder(path)
    if len(path.parts) == 1:
        for shelf in shelves():
            if (shelf / name).is_dir():
                return ModelFolder(shelf / name)
    there = ", ".join(folder.name for folder in every())
    raise ModelError(
        f"no model called {name}", f"choose one of {there}, or give a folder" if there else "give a folder"
    )


def every() -> list[ModelFolder]:
    """All complete models on the shelves, each name once."""
    found: dict[str, ModelFolder] = {}
    for shelf in shelves():
        for index in sorted(shelf.glob(f"*/{INDEX}")):
            try:
                found.setdefault(index.parent.name, ModelFolder(index.parent))
            except ModelError:
                continue
    return list(found.values())
