"""What an Emu3 directory in transformers' format says of itself, read without loading a weight."""

from dataclasses import dataclass
from functools import cached_property

from lantu.engine.sampling_params import DENOISING, FOUND, PASSES, PREFIXES, SamplingParams
from lantu.models.emu3 import weights
from lantu.models.emu3.config import Config
from lantu.models.published.folder import PublishedFolder, count
from lantu.weights import arrays, manifest

PARAMS = SamplingParams(guidance=3.0, top_k=2048)  # of BAAI's own image_generation.py


@dataclass(frozen=True)
class Emu3Folder(PublishedFolder):
    """An Emu3 directory; see ``lantu.models.spec.ModelFolder``.

    Raises:
        ModelError: its config can't be read, or its sizes don't fit one another.
    """

    abilities = ("drawing",)
    settings = PARAMS
    unused_params = (*DENOISING, *PASSES, *FOUND, *PREFIXES)
    licence = "Apache-2.0"
    architecture = "Emu3ForConditionalGeneration"

    def __post_init__(self):
        _ = self.config

    @cached_property
    def config(self) -> Config:
        """The directory's config.json, checked."""
        return Config.read(self.path)

    def check(self) -> "Emu3Folder":
        """Itself, once the language model's tensors are those that config.json asks for; no weights are read.

        What transformers computes is checked when it is loaded.

        Raises:
            ModelError: a tensor is missing, unknown, or of another shape or type.
        """
        entries = arrays.entries(self.path)
        manifest.check("language", *weights.language(entries, self.config))
        weights.vq_prefix(entries)
        return self

    @property
    def draft_length(self) -> int:
        """Rows of codes, each with the id that ends it."""
        height, width = self.grid
        return height * (width + 1)

    def parameters(self) -> dict[str, int]:
        """How many numbers each part has, from the headers of its files."""
        entries = arrays.entries(self.path)
        decoder = count(entries, weights.vq_prefix(entries))
        return {"language": count(entries) - decoder, "decoder": decoder}
