"""What a GLM-Image directory says of itself, read without loading a weight."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lantu.engine.sampling_params import FOUND, PASSES, PREFIXES, SamplingParams
from lantu.files.untrusted import Fields
from lantu.models.glm_image import weights
from lantu.models.glm_image.config import GLYPHS, LANGUAGE, PATCH, TRANSFORMER, VAE, Config
from lantu.models.glm_image.positions import drafted
from lantu.models.published.folder import PublishedFolder, count
from lantu.models.spec import Grid
from lantu.weights import arrays, manifest
from lantu.weights.architecture import Sizes

SIDE = 1024  # pixels of the pictures that it draws by default, as the pipeline does
PARAMS = SamplingParams(guidance=1.0, temperature=0.9, top_p=0.75, steps=50, render_guidance=1.5)
NEEDED = ("torch", "transformers", "diffusers")


@dataclass(frozen=True)
class GlmImageFolder(PublishedFolder):
    """A GLM-Image directory; see ``lantu.models.spec.ModelFolder``.

    Raises:
        ModelError: a config can't be read, or its sizes don't fit one another.
    """

    abilities = ("drawing",)
    sketches = True
    # It drafts unguided, its sampler is that of its scheduler, and there is no refiner.
    unused_params = ("guidance", "contrast", "sampler", "refine", "refine_steps", *PASSES, *FOUND, *PREFIXES)
    licence = "Apache-2.0"
    architecture = "GlmImageForConditionalGeneration"
    config_name = "model_index.json"

    def __post_init__(self):
        _ = self.config

    @cached_property
    def config(self) -> Config:
        """What the configs of its parts say, checked."""
        return Config.read(self.path)

    @cached_property
    def settings(self) -> SamplingParams:  # pyrefly: ignore
        """The published ones, with what generation_config.json says of the draft. Raises ModelError."""
        fields = Fields(self.config.generation, f"{LANGUAGE}/generation_config.json")
        limits = {"temperature": (0.0, 100.0), "top_p": (1e-6, 1.0)}
        said = {name: fields.real(name, *edges) for name, edges in limits.items() if fields.given(name)}
        top_k = {"top_k": fields.whole("top_k", 0, 1_000_000)} if fields.given("top_k") else {}
        return PARAMS.change(**said, **top_k)

    @property
    def grid(self) -> Grid:
        return SIDE // PATCH, SIDE // PATCH

    @property
    def sizes(self) -> Sizes:
        """The sizes of the language model."""
        return Sizes.of(self.config.text)

    @property
    def patch(self) -> int:
        return PATCH

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @property
    def draft_length(self) -> int:
        """Codes of the small grid and of the full one."""
        return drafted(self.grid)

    @property
    def language_folder(self) -> Path:
        """Where the language model's config.json is."""
        return self.path / LANGUAGE

    def weight_files(self) -> Iterator[Path]:
        """The safetensors files of all parts. Raises OSError or ValueError."""
        for part in (LANGUAGE, GLYPHS, TRANSFORMER, VAE):
            yield from arrays.shard_paths(self.path / part)

    def check(self) -> "GlmImageFolder":
        """Itself, once the tensors of all parts that draw are those that their configs ask for; no weights are read.

        Raises:
            ModelError: a tensor is missing, unknown, or of another shape or type.
        """
        text_config, entries = weights.language(arrays.entries(self.path / LANGUAGE), self.config)
        manifest.check("language", text_config, entries)
        if all(map(importlib.util.find_spec, NEEDED)):  # else the family says what to install
            from lantu.models.glm_image import decoder

            decoder.check(self.path)
        return self

    def parameters(self) -> dict[str, int]:
        """How many numbers each part has, from the headers of its files."""
        language = arrays.entries(self.path / LANGUAGE)
        others = {"decoder": TRANSFORMER, "codec": VAE, "glyphs": GLYPHS}
        return {
            "language": count(language, weights.TEXT) + count(language, weights.HEAD),
            "reader": count(language, weights.TOWER) + count(language, weights.VQ),
            **{name: count(arrays.entries(self.path / part)) for name, part in others.items()},
        }

    def lacks(self, ability: str) -> str:
        """What to do about an ability that it lacks."""
        if ability == "filling":
            return "it drafts from left to right and never learnt to fill holes; choose another model for this"
        return super().lacks(ability)
