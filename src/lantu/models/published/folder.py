"""What a published model directory says of itself, read without loading a weight."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ModelError
from lantu.files import sha256
from lantu.files.untrusted import check_regular, open_regular, read_json
from lantu.models.estimate import PACKED, Memory, cache_bytes, cached_width, convolution_bytes
from lantu.models.spec import Grid
from lantu.types import MAX_GRID
from lantu.weights import arrays

SAMPLES, SAMPLE = 64, 1 << 16  # blocks of each file, and their bytes, by which weights are told apart
HINT = "restore it, or fetch the model again"


@dataclass(frozen=True)
class PublishedFolder:
    """A directory in its publisher's format; the base of a family's ``ModelFolder`` (see ``lantu.models.spec``).

    A family says what its config gives: ``grid``, ``patch``, ``codebook_size``, ``abilities``, ``settings``, ``check``,
    and which tensors belong to which part; ``draft_length`` where it is more than the codes of the grid.

    Attributes:
        path: the directory.
        config_name: the file that its date is taken from.
        licence: of the published weights; a README.md beside them may say more.
        architecture: the class of the language model.
        drafting_parts: those of ``parameters`` that draft; ``reading_parts`` only read pictures, all others render.
    """

    path: Path

    controlled = False
    max_side = MAX_GRID
    sketches = False
    prefixes = 0
    depth = 1
    config_name: ClassVar[str] = "config.json"
    licence: ClassVar[str]
    architecture: ClassVar[str]
    abilities: ClassVar[tuple[str, ...]]
    settings: ClassVar[SamplingParams]
    unused_params: ClassVar[tuple[str, ...]]
    drafting_parts: ClassVar[tuple[str, ...]] = ("language", "codes")
    reading_parts: ClassVar[tuple[str, ...]] = ("reader",)

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """A code a cell."""
        return ()

    @property
    def name(self) -> str:
        """The folder's name; the revision's parent in the Hugging Face cache."""
        path = self.path.resolve()
        owner = path.parent.parent.name if path.parent.name == "snapshots" else ""
        return owner.split("--")[-1] if owner.startswith("models--") else path.name

    @property
    def config(self) -> Any:
        """What config.json says, with the sizes below as members, where a family does not say them itself."""
        raise NotImplementedError

    @property
    def grid(self) -> Grid:
        """Height and width in codes of the pictures that it was trained on."""
        return self.config.grid

    @property
    def patch(self) -> int:
        """Pixels a side that the decoder paints for one code."""
        return self.config.patch

    @property
    def codebook_size(self) -> int:
        """Number of codes."""
        return self.config.codebook_size

    @property
    def created(self) -> int:
        """Seconds since 1970."""
        return int((self.path / self.config_name).stat().st_mtime)

    @cached_property
    def digest(self) -> str:
        """Names these weights and settings: 16 hex digits of a SHA-256.

        Of the gigabytes of weights only headers and blocks spread over each file are read.
        """
        indexes = (arrays.INDEX, "diffusion_pytorch_model.safetensors.index.json")
        folders = [self.path, *sorted(path for path in self.path.glob("*/") if not path.name.startswith("."))]
        files = [path for folder in folders for path in sorted(folder.glob("*.json")) if path.name not in indexes]
        check_regular(files)
        try:
            return sampled(sha256(*files), self.weight_files())
        except (OSError, ValueError) as problem:
            raise ModelError(f"no weights can be read in {self.path} ({problem})", arrays.HINT) from problem

    def weight_files(self) -> Iterator[Path]:
        """The safetensors files of the model. Raises OSError or ValueError."""
        yield from arrays.shard_paths(self.path)

    def describe(self) -> dict[str, Any]:
        """What there is to know without loading it, as JSON."""
        height, width = self.grid
        return {
            "name": self.name,
            "digest": self.digest,
            "folder": str(self.path),
            "pixels": f"{width * self.patch}x{height * self.patch}",
            "grid": f"{width}x{height}",
            "codebook": self.codebook_size,
            "language": self.architecture,
            "ids": self.draft_length,
            "parameters": self.parameters(),
            "memory": self.memory("cpu").as_dict(),
            "bytes": sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file()),
            "draw": self.settings.as_dict(),
            "learnt": [],
            "guidance_learnt": [],
            "license": self.licence,
        }

    def parameters(self) -> dict[str, int]:
        """How many numbers each part has, from the headers of its files."""
        raise NotImplementedError

    @property
    def draft_length(self) -> int:
        """How many ids a picture is drafted as."""
        return math.prod(self.grid)

    @property
    def language_folder(self) -> Path:
        """Where the language model's config.json is."""
        return self.path

    def memory(self, device: str) -> Memory:
        """Bytes that drawing a picture takes: weights in the dtype that they are stored in, on both devices."""
        parts = self.parameters()
        number_bytes = sum(path.stat().st_size for path in self.weight_files()) / max(1, sum(parts.values()))
        drafting = sum(count for part, count in parts.items() if part in self.drafting_parts)
        rendering = sum(parts.values()) - drafting - sum(parts.get(part, 0) for part in self.reading_parts)
        config, (height, width) = read_optional(self.language_folder / "config.json"), self.grid
        text = config.get("text_config")
        cached = cached_width(text if isinstance(text, dict) else config)
        return Memory(
            language=int(drafting * number_bytes * (PACKED if device == "cpu" else 1)),
            caches=cache_bytes(*cached, self.draft_length, 4 if number_bytes > 2.5 else 2),
            decoder=int(rendering * number_bytes),
            working=convolution_bytes(width * self.patch, height * self.patch),
        )

    def lacks(self, ability: str) -> str:
        """What to do about an ability that it lacks."""
        able = {"drawing": "draws", "captioning": "captions", "filling": "fills", "talking": "talks"}
        can = " and ".join(able[each] for each in self.abilities if each in able)
        return f"{self.name} {can}; choose another model for this"


def sampled(settings: str, weights: Iterable[Path]) -> str:
    """A digest of settings and of large weights, of which headers and blocks spread over each file are read.

    Args:
        settings: a digest of the small files.

    Returns:
        16 hex digits of a SHA-256.

    Raises:
        OSError, ValueError: a file can't be read.
    """
    total = hashlib.sha256(settings.encode())
    for path in weights:
        _, header, size = arrays.header_bytes(path)
        total.update(header)
        with open_regular(path) as file:
            for number in range(SAMPLES):
                file.seek(number * max(0, size - SAMPLE) // (SAMPLES - 1))
                total.update(file.read(SAMPLE))
    return total.hexdigest()[:16]


def count(entries: Mapping[str, arrays.Entry], prefix: str = "") -> int:
    """How many numbers the tensors hold whose names begin so."""
    return sum(math.prod(entry.shape) for name, entry in entries.items() if name.startswith(prefix))


def read_optional(path: Path) -> dict[str, Any]:
    """A JSON object, {} where there is no such file. Raises ModelError where it can't be read."""
    if not path.exists():
        return {}
    try:
        return read_json(path)
    except (OSError, ValueError) as problem:
        raise ModelError(f"{path} can't be read as JSON ({problem})", HINT) from problem
