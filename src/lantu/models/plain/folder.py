"""What the directory of a described model says of itself, read without loading a weight."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lantu.engine.sampling_params import DENOISING, FOUND, PASSES, PREFIXES, SamplingParams
from lantu.errors import ModelError
from lantu.files.untrusted import Fields
from lantu.models.plain import known
from lantu.models.plain.decoders import NOT_FOLLOWED
from lantu.models.plain.description import FILE, Description
from lantu.models.published.folder import PublishedFolder, count
from lantu.models.spec import Grid
from lantu.weights import arrays, manifest
from lantu.weights.architecture import MAX_IDS


@dataclass(frozen=True)
class PlainFolder(PublishedFolder):
    """A directory with a layout file, or a published one that lantu knows; see ``lantu.models.spec.ModelFolder``.

    Raises:
        ModelError: the layout file or config.json can't be read, or they don't fit one another.
    """

    abilities = ("drawing",)

    def __post_init__(self):
        _ = self.description, self.vocabulary

    @cached_property
    def description(self) -> Description:
        """How the model draws."""
        return known.describe(self.path)

    @cached_property
    def language(self) -> Path:
        """The folder of the language model and its tokenizer."""
        return self.description.language.find(self.path)

    @cached_property
    def decoder(self) -> Path | None:
        """The folder of what renders, if the layout names any."""
        return self.description.decoder.place.find(self.path) if self.description.decoder else None

    @cached_property
    def config(self) -> dict[str, Any]:
        """The language model's config.json."""
        return arrays.read_config(self.language)

    @cached_property
    def vocabulary(self) -> int:
        """Rows of the language model's embedding, which must have all image codes."""
        ids = Fields(self.config, f"config.json in {self.language}").whole("vocab_size", 1, MAX_IDS)
        codes = self.description.codes
        if codes.first is not None and codes.first + codes.size > ids:
            what = f'"codes" of {FILE} go up to the id {codes.first + codes.size - 1}'
            raise ModelError(f"{what}, the language model in {self.language} has {ids}", "correct one of them")
        return ids

    @property
    def draft_length(self) -> int:
        """How many ids a picture takes, with the ends of its rows."""
        return self.grid[0] * (self.grid[1] + (self.description.row_end is not None))

    @cached_property
    def longest(self) -> int:
        """Ids that the language model can read and write."""
        fields, name = Fields(self.config, f"config.json in {self.language}"), "max_position_embeddings"
        return fields.whole(name, 1, MAX_IDS) if fields.given(name) else MAX_IDS

    @property
    def settings(self) -> SamplingParams:  # pyrefly: ignore[bad-override]
        """The default sampling parameters."""
        return self.description.sampling

    @property
    def unused_params(self) -> tuple[str, ...]:  # pyrefly: ignore[bad-override]
        """Parameters of decoders that denoise, where the decoder doesn't; guidance where there is none."""
        entry = self.description.decoder
        unused = (*(NOT_FOLLOWED.get(entry.kind, DENOISING) if entry else DENOISING), *PASSES, *FOUND, *PREFIXES)
        return unused if self.description.unconditional is not None else ("guidance", "contrast", *unused)

    @property
    def licence(self) -> str:  # pyrefly: ignore[bad-override]
        """Of the published weights."""
        return self.description.licence

    @property
    def architecture(self) -> str:  # pyrefly: ignore[bad-override]
        """The class of the language model."""
        found = self.config.get("architectures")
        return str(found[0]) if isinstance(found, list) and found else str(self.config.get("model_type"))

    @property
    def config_name(self) -> str:  # pyrefly: ignore[bad-override]
        """The file that the model's date is taken from."""
        return FILE if (self.path / FILE).is_file() else "config.json"

    @property
    def grid(self) -> Grid:
        """Height and width in codes of the pictures that it was trained on."""
        return self.description.grids.default

    @property
    def patch(self) -> int:
        """Pixels a side that the decoder paints for one code."""
        return self.description.patch

    @property
    def codebook_size(self) -> int:
        """Number of codes."""
        return self.description.codes.size

    @property
    def language_folder(self) -> Path:
        """Where the language model's config.json is."""
        return self.language

    def weight_files(self) -> Iterator[Path]:
        """The safetensors files of both parts."""
        yield from arrays.shard_paths(self.language)
        if self.decoder:
            yield from sorted(self.decoder.rglob("*.safetensors"))

    def check(self) -> "PlainFolder":
        """Itself, once the language model's tensors are those that config.json asks for; no weights are read.

        Raises:
            ModelError: a tensor is missing, unknown, or of another shape or type; or there is no decoder.
        """
        manifest.read_language(self.language)
        named = self.description.name or self.name
        if self.description.decoder is None:
            what = f"{named} has no decoder: its {FILE} names none"
            raise ModelError(what, f'put one beside the model and name it as "decoder" in {FILE}: docs/families.md')
        if self.decoder is None or not self.decoder.is_dir():
            what = f"{named} has no decoder: there is no folder {self.decoder}"
            source = self.description.decoder.source
            raise ModelError(what, f"put it there: {source}" if source else "put it there")
        return self

    def describe(self) -> dict[str, Any]:
        """What there is to know without loading it, as JSON."""
        return {**super().describe(), "layout": self.description.name or FILE}

    def parameters(self) -> dict[str, int]:
        """How many numbers each part has, from the headers of its files."""
        found = {"language": count(arrays.entries(self.language)), "decoder": 0}
        try:
            for path in sorted(self.decoder.rglob("*.safetensors")) if self.decoder else ():
                found["decoder"] += count(arrays.read_header(path)[1])
        except (OSError, ValueError) as problem:
            raise ModelError(f"no weights can be read in {self.decoder} ({problem})", arrays.HINT) from problem
        return found
