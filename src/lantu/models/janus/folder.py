"""What a Janus directory in transformers' format says of itself, read without loading a weight."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ModelError
from lantu.files import sha256
from lantu.files.untrusted import check_regular, open_regular
from lantu.models.janus import weights
from lantu.models.janus.config import CONFIG, Config
from lantu.weights import arrays, manifest

PARAMS = SamplingParams(guidance=5.0)  # of DeepSeek's own generation_inference.py
UNUSED = ("steps", "render_guidance", "sampler")  # of decoders that denoise
SAMPLES, SAMPLE = 64, 1 << 16  # blocks of each file, and their bytes, by which weights are told apart
PARTS = {"language": weights.LANGUAGE, "codes": weights.CODES, "decoder": weights.VQ, "reader": weights.TOWER}
LICENCE = "DeepSeek Model License"  # of the published weights; a README.md beside them may say more


@dataclass(frozen=True)
class JanusFolder:
    """A Janus directory; see ``lantu.models.spec.ModelFolder``.

    Raises:
        ModelError: its config can't be read, or its sizes don't fit one another.
    """

    path: Path

    controlled = False
    abilities = ("drawing", "captioning")
    settings = PARAMS
    unused_params = UNUSED

    def __post_init__(self):
        _ = self.config

    @cached_property
    def config(self) -> Config:
        """What the directory's JSON files say."""
        return Config.read(self.path)

    @property
    def name(self) -> str:
        """The folder's name; the revision's parent in the Hugging Face cache."""
        path = self.path.resolve()
        owner = path.parent.parent.name if path.parent.name == "snapshots" else ""
        return owner.split("--")[-1] if owner.startswith("models--") else path.name

    @property
    def grid(self) -> tuple[int, int]:
        return self.config.grid

    @property
    def patch(self) -> int:
        """Pixels a side that the VQ decoder paints for one code."""
        return self.config.patch

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @property
    def created(self) -> int:
        """Seconds since 1970."""
        return int((self.path / CONFIG).stat().st_mtime)

    @cached_property
    def digest(self) -> str:
        """Names these weights and settings: 16 hex digits of a SHA-256.

        Of the gigabytes of weights only headers and blocks spread over each file are read.
        """
        files = sorted(path for path in self.path.glob("*.json") if path.name != arrays.INDEX)
        check_regular(files)
        total = hashlib.sha256(sha256(*files).encode())
        try:
            for path in arrays.shard_paths(self.path):
                _, header, size = arrays.header_bytes(path)
                total.update(header)
                with open_regular(path) as file:
                    for number in range(SAMPLES):
                        file.seek(number * max(0, size - SAMPLE) // (SAMPLES - 1))
                        total.update(file.read(SAMPLE))
        except (OSError, ValueError) as problem:
            raise ModelError(f"no weights can be read in {self.path} ({problem})", arrays.HINT) from problem
        return total.hexdigest()[:16]

    def check(self) -> "JanusFolder":
        """Itself, once the language model's tensors are those that config.json asks for; no weights are read.

        What transformers computes is checked when it is loaded.

        Raises:
            ModelError: a tensor is missing, unknown, or of another shape or type.
        """
        entries = arrays.entries(self.path)
        text_config, text_entries = weights.language(entries, self.config)
        manifest.check("language", text_config, text_entries)
        weights.image_codes(entries, self.config)
        for part in (weights.VQ, weights.TOWER, weights.ALIGNER):
            if not any(name.startswith(part) for name in entries):
                raise ModelError(f"{self.path} lacks {part}*", arrays.HINT)
        return self

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
            "language": "JanusForConditionalGeneration",
            "parameters": self.parameters(),
            "bytes": sum(path.stat().st_size for path in self.path.iterdir() if path.is_file()),
            "draw": self.settings.as_dict(),
            "learnt": [],
            "guidance_learnt": [],
            "license": LICENCE,
        }

    def parameters(self) -> dict[str, int]:
        """How many numbers each part has, from the headers of its files."""
        entries = arrays.entries(self.path)
        return {
            part: sum(math.prod(entry.shape) for name, entry in entries.items() if name.startswith(prefix))
            for part, prefix in PARTS.items()
        }

    def lacks(self, ability: str) -> str:
        """What to do about an ability that it lacks."""
        return "Janus draws and captions; choose another model for this"
