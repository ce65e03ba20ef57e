"""A model directory of lantu's own family (``directory.py``), read without loading weights."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lantu.engine.sampling_params import FOUND, PASSES, PREFIXES, SamplingParams, renamed
from lantu.errors import LantuError, ModelError
from lantu.files import sha256
from lantu.files.untrusted import Fields, check_regular, read_json, shown
from lantu.models.lantu import agreement
from lantu.models.lantu.counting import HINT, count, part_bytes
from lantu.models.lantu.directory import (
    CONTROL,
    INDEX,
    MEMORY,
    OPTIONAL_ENTRIES,
    PARTS,
    PUBLISHED,
    REFINER,
    REFINING,
    REQUIRED,
    UPSCALER,
)
from lantu.models.lantu.sequences import SequenceFolder, check_order, depth_of
from lantu.tokens.vocabulary import MAX_CODES, MAX_FACTOR, MAX_PATCH, MAX_SIDE

if TYPE_CHECKING:
    from lantu.models.estimate import Memory
    from lantu.models.spec import ModelFolder
    from lantu.weights.language_config import DrawingConfig


@dataclass(frozen=True)
class LantuFolder(SequenceFolder):
    """A complete model directory, of which only JSON is read.

    Attributes:
        own_parts, required: the folders of its parts, and the files without which it is no model.

    Raises:
        ModelError: files are missing.
    """

    path: Path

    own_parts: ClassVar[tuple[str, ...]] = PARTS
    required: ClassVar[tuple[str, ...]] = REQUIRED
    max_side = MAX_SIDE

    def __post_init__(self):
        missing = [name for name in self.required if not (self.path / name).is_file()]
        missing += [
            f"{part}/*.safetensors" for part in self.own_parts if not any((self.path / part).rglob("*.safetensors"))
        ]
        if missing:
            hint = "give a whole one, or one of those that lantu models lists"
            raise ModelError(f"{self.path} is no model directory, it lacks {', '.join(missing)}", hint)

    @cached_property
    def index(self) -> dict[str, Any]:
        """The content of model_index.json."""
        return self.read(INDEX)

    @property
    def name(self) -> str:
        """The name in the index, else that of the folder."""
        name = self.index.get("name") or self.path.resolve().name
        if not isinstance(name, str):
            raise ModelError(f'"name" in {self.path / INDEX} is {shown(name)}, not text', HINT)
        return name

    @property
    def settings(self) -> SamplingParams:
        """The model's default sampling parameters.

        Raises:
            ModelError: one is unknown or out of range.
        """
        params = self.index.get("draw", {})
        if not isinstance(params, dict):
            raise ModelError(f'"draw" in {self.path / INDEX} is not a JSON object', HINT)
        known = SamplingParams().as_dict()
        for name, value in renamed(params).items():
            if name not in known or value is None:
                what = f'"draw" in {self.path / INDEX} has {shown(name)} {shown(value)}'
                raise ModelError(what, f"give a value to one of {', '.join(known)}")
        try:
            return SamplingParams.read(params)
        except LantuError as problem:
            raise ModelError(f'"draw" in {self.path / INDEX}: {problem.message}', problem.hint) from problem

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width in codes of the pictures that it was trained on."""
        return self.drawing_config.grid

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """A code a cell."""
        return ()

    @property
    def codebook_size(self) -> int:
        """The number of codes, of all levels where a cell has several."""
        name = "tokenizer/config.json"
        return self.number(name, "codebook_size", 2, MAX_CODES) * depth_of(self.read(name))

    @property
    def patch(self) -> int:
        """Pixels a side of a finished picture for one code."""
        return self.number("decoder/config.json", "patch", 1, MAX_PATCH) * self.factor

    @property
    def factor(self) -> int:
        """Pixels a side of a finished picture for one that the decoder paints; 1 without an upscaler."""
        return self.number(f"{UPSCALER}/config.json", "factor", 2, MAX_FACTOR) if self.upscaled else 1

    @property
    def upscaled(self) -> bool:
        """Whether an upscaler enlarges what the decoder paints."""
        return (self.path / UPSCALER / "config.json").is_file()

    @property
    def sides(self) -> tuple[int, int] | None:
        """The shortest and the longest side in pixels that the model draws well; None for the training size alone."""
        sides = self.index.get("sides")
        if sides is None:
            return None
        fits = isinstance(sides, list) and len(sides) == 2 and all(type(side) is int for side in sides)
        if not fits or not 1 <= sides[0] <= sides[1] <= MAX_PATCH * MAX_SIDE:
            what = f"the sides in {self.path / INDEX} are {shown(sides)}"
            raise ModelError(what, "write [shortest, longest] in pixels")
        return sides[0], sides[1]

    @property
    def learnt(self) -> list[str]:
        """What its language model was taught beside drawing and captioning: "filling", "talking"."""
        return list(self.drawing_config.learnt)

    @property
    def abilities(self) -> tuple[str, ...]:
        """What it can do; see ``lantu.models.spec.ModelFolder``."""
        learnt = self.learnt if self.sequence is None else [name for name in self.learnt if name != "filling"]
        return ("drawing", "captioning", *learnt)

    @property
    def decoder_config(self) -> dict[str, Any]:
        """The decoder's config; {} where there is none, as in some rivals' models."""
        return self.read("decoder/config.json") if (self.path / "decoder/config.json").is_file() else {}

    @property
    def controlled(self) -> bool:
        """Whether its decoder can be controlled by a picture."""
        return (self.path / CONTROL / "config.json").is_file()

    @property
    def refined(self) -> bool:
        """Whether a refiner can go over its drawings."""
        return (self.path / REFINER / "config.json").is_file()

    @property
    def remembers(self) -> bool:
        """Whether it has pictures that can be found and read before a drawing."""
        return (self.path / MEMORY / "config.json").is_file()

    @property
    def unused_params(self) -> tuple[str, ...]:
        """Those of a refiner and a memory bank, where there is none, of drafting many codes a pass, and of prefixes."""
        other = (*PASSES, *(() if self.sketches else PREFIXES))
        return (*(() if self.refined else REFINING), *(() if self.remembers else FOUND), *other)

    @cached_property
    def digest(self) -> str:
        """Identifies exactly these weights and settings, whatever the folder is called: 16 hex digits of a SHA-256."""
        everything = (
            path for part in (*self.own_parts, CONTROL, REFINER, MEMORY) for path in (self.path / part).rglob("*")
        )
        paths = sorted(path for path in everything if path.suffix in (".json", ".safetensors"))
        check_regular(paths)
        large = [path for path in paths if path.suffix == ".safetensors" and path.parent.name in PUBLISHED]
        if not large:
            return sha256(*paths)[:16]
        from lantu.models.published.folder import sampled

        return sampled(sha256(*(path for path in paths if path not in large)), large)

    def read(self, name: str) -> dict[str, Any]:
        """One of its JSON files; not to be changed. It is parsed once, and again only after it has changed on disk.

        Raises:
            ModelError: it can't be read.
        """
        path = self.path / name
        try:
            status = path.stat()
            version = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if name not in self._parsed or self._parsed[name][0] != version:
                self._parsed[name] = version, read_json(path)
            return self._parsed[name][1]
        except (OSError, ValueError) as problem:
            raise ModelError(f"{path} can't be read as JSON ({problem})", HINT) from problem

    @cached_property
    def _parsed(self) -> dict[str, tuple[tuple[int, ...], dict[str, Any]]]:
        """For each JSON file that was read: the file's version, its content."""
        return {}

    def entry(self, name: str, *keys: str) -> Any:
        """One value of one of its JSON files.

        Raises:
            ModelError: it is not there.
        """
        value: Any = self.read(name)
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise ModelError(f"{self.path / name} lacks {key}", HINT)
            value = value[key]
        return value

    def number(self, name: str, key: str, least: int, most: int) -> int:
        """A whole number of one of its JSON files. Raises ModelError where it is not there or out of range."""
        return Fields(self.read(name), str(self.path / name)).whole(key, least, most)

    @property
    def drawing_config(self) -> "DrawingConfig":
        """What the language model's config says about pictures."""
        from lantu.weights.language_config import drawing_config

        self.entry("language/config.json", "lantu")
        return drawing_config(self.read("language/config.json"))

    @property
    def architecture(self) -> str:
        """transformers' class of the language model."""
        fields = Fields(self.read("language/config.json"), str(self.path / "language/config.json"))
        names = fields.texts("architectures")
        if not names:
            fields.refuse("architectures", "a list of one name")
        return names[0]

    def check(self) -> "LantuFolder":
        """This folder, after checking that its parts match their configs and one another; no weights are read.

        Raises:
            ModelError: they don't.
        """
        parts = (*PARTS, CONTROL) if self.controlled else PARTS
        _ = self.name, self.settings, self.sides
        agreement.check_budget(self.index.get("budget", {}), self.path / INDEX)
        sizes = {part: self.number(f"{part}/config.json", "codebook_size", 2, MAX_CODES) for part in parts[1:]}
        sizes["tokenizer"] *= depth_of(self.read("tokenizer/config.json"))
        sizes["language"] = self.drawing_config.vocabulary.codebook_size
        if len(set(sizes.values())) > 1:
            facts = ", ".join(f"{part} {size}" for part, size in sizes.items())
            what = f"the parts have codebooks of different sizes ({facts})"
            raise ModelError(what, "train them on the same tokenizer")
        configs = {part: self.part(part) for part in parts}
        if self.controlled:
            agreement.check_control(configs[CONTROL], configs["decoder"])
        if self.upscaled:
            agreement.check_upscaler(self.part(UPSCALER), configs["decoder"])
        if self.refined:
            agreement.check_second(self.part(REFINER), configs["decoder"], self.path)
        if self.remembers:
            agreement.check_memory(self.part(MEMORY), sizes["language"], self.drawing_config.tokenizer, self.path)
        levels = self.drawing_config.vocabulary.depth
        check_order(configs["tokenizer"], configs["decoder"], levels, self.grid)
        for grid in () if self.sequence else self.drawing_config.grids:
            agreement.check_grid(grid, configs["tokenizer"], self.path)
        return self

    def part(self, part: str) -> dict[str, Any]:
        """The config of a part, checked against the headers of its weights."""
        from lantu.weights import manifest

        folder = self.path / part
        if part == "language":
            return manifest.read_language(folder)
        if part == CONTROL:
            return manifest.read_control(folder)
        return manifest.read_decoder(folder) if part in ("decoder", REFINER) else manifest.read(part, folder)

    def describe(self) -> dict[str, Any]:
        """Facts that need no weights, as JSON."""
        from lantu.weights.language_config import origin_of

        (height, width), (rows, columns) = self.canvas, self.grid
        facts = {
            "name": self.name,
            "digest": self.digest,
            "folder": str(self.path),
            "pixels": f"{width * self.patch}x{height * self.patch}",
            "grid": f"{columns}x{rows}",
            "codebook": self.codebook_size,
            "language": self.architecture,
            "ids": self.draft_length,
            "parameters": self.parameters(),
            "memory": self.memory("cpu").as_dict(),
            "bytes": self.size_bytes(),
            "draw": self.settings.as_dict(),
            "learnt": self.learnt,
            "guidance_learnt": list(self.drawing_config.guidance),
        }
        if self.depth > 1:
            facts["codes_of_a_cell"] = self.depth
        if self.sketches:
            facts["codes"] = {"fewest": self.prefixes, "most": self.draft_length}
        if renderer := self.renderer:
            facts["decoder"] = renderer
        if self.remembers:
            facts["memory_bank"] = self.entry(f"{MEMORY}/config.json", "count")
        if adopted := origin_of(self.read("language/config.json")):
            named = [adopted.get("source"), adopted.get("licence") or "of an unknown licence"]
            facts["language_origin"] = ", ".join(filter(None, named))
        return facts | {key: self.index[key] for key in OPTIONAL_ENTRIES if key in self.index}

    @property
    def renderer(self) -> str:
        """What renders, where it is not lantu's own decoder: a pretrained one, its origin and its licence."""
        config = self.read("decoder/config.json")
        named = [config.get(name) for name in ("network", "origin", "license")]
        return ", ".join(map(str, filter(None, named))) if named[0] else ""

    @property
    def created(self) -> int:
        """When the directory was written, in seconds since 1970."""
        return int((self.path / INDEX).stat().st_mtime)

    def lacks(self, ability: str) -> str:
        """What to do about an ability that the model lacks."""
        if ability == "filling" and self.sequence:
            return "its codes stand for no places: say what to change instead, without a box or a mask"
        return "teach it: lantu train language --recipe multitask --start MODEL"

    def size_bytes(self) -> int:
        """The size on disk in bytes."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    @property
    def draft_length(self) -> int:
        """How many ids a picture of the training size is drafted as."""
        return math.prod(self.grid)

    def memory(self, device: str) -> "Memory":
        """Bytes that drawing a picture takes; on a GPU the language model computes in float32."""
        from lantu.models.estimate import PACKED, Memory, convolution_bytes

        stored = {part: part_bytes(self.path / part) for part in PARTS}
        numbers = self.parameters()["language"]
        pretrained = "network" in self.read("decoder/config.json")  # on most processors in float32
        decoder = self.pretrained_bytes("decoder", device) if pretrained else int(PACKED * stored["decoder"])
        refiner = self.pretrained_bytes(REFINER, device) if self.refined else 0
        precise = device == "cuda" or stored["language"] > 2.5 * numbers
        height, width = self.canvas
        return Memory(
            language=4 * numbers if device == "cuda" else int(PACKED * stored["language"]),
            caches=self.draft_bytes(4 if precise else 2),
            decoder=decoder + refiner + int(PACKED * part_bytes(self.path / UPSCALER)),
            working=convolution_bytes(width * self.patch, height * self.patch),
        )

    def pretrained_bytes(self, part: str, device: str) -> int:
        """What the weights of a pretrained diffusion model take: as stored on a GPU, else float32."""
        return part_bytes(self.path / part) if device == "cuda" else 4 * self.parameters()[part]

    def draft_bytes(self, number_bytes: int) -> int:
        """What the longest draft takes beside the weights: its keys and values."""
        from lantu.models.estimate import cache_bytes, cached_width

        return cache_bytes(*cached_width(self.read("language/config.json")), self.draft_length, number_bytes)

    def parameters(self) -> dict[str, int]:
        """The number of parameters of each part, from the headers of its files."""
        there = [part for part in (*self.own_parts, CONTROL, UPSCALER, REFINER) if (self.path / part).is_dir()]
        return {part: sum(map(count, (self.path / part).rglob("*.safetensors"))) for part in there}


def own(folder: "ModelFolder", what: str, instead: str) -> LantuFolder:
    """The folder, known to be of lantu's own family.

    Args:
        what: takes only such, for the message.
        instead: what to do with another.

    Raises:
        LantuError: it is of another family.
    """
    if not isinstance(folder, LantuFolder):
        raise LantuError(f"{what} takes models of lantu's own; {folder.name} is a {folder.architecture}", instead)
    return folder
