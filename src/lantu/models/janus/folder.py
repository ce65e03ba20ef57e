"""What a Janus directory in transformers' format says of itself, read without loading a weight."""

from dataclasses import dataclass
from functools import cached_property

from lantu.engine.sampling_params import DENOISING, FOUND, PASSES, PREFIXES, SamplingParams
from lantu.errors import ModelError
from lantu.models.janus import weights
from lantu.models.janus.config import Config
from lantu.models.published.folder import PublishedFolder, count
from lantu.weights import arrays, manifest

PARAMS = SamplingParams(guidance=5.0)  # of DeepSeek's own generation_inference.py
PARTS = {"language": weights.LANGUAGE, "codes": weights.CODES, "decoder": weights.VQ, "reader": weights.TOWER}


@dataclass(frozen=True)
class JanusFolder(PublishedFolder):
    """A Janus directory; see ``lantu.models.spec.ModelFolder``.

    Raises:
        ModelError: its config can't be read, or its sizes don't fit one another.
    """

    abilities = ("drawing", "captioning")
    settings = PARAMS
    unused_params = (*DENOISING, *PASSES, *FOUND, *PREFIXES)
    licence = "DeepSeek Model License"
    architecture = "JanusForConditionalGeneration"

    def __post_init__(self):
        _ = self.config

    @cached_property
    def config(self) -> Config:
        """The directory's config.json, checked."""
        return Config.read(self.path)

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

    def parameters(self) -> dict[str, int]:
        """How many numbers each part has, from the headers of its files."""
        entries = arrays.entries(self.path)
        return {part: count(entries, prefix) for part, prefix in PARTS.items()}
