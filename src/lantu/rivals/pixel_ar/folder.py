"""The directory of a pixel-autoregressive model: lantu's own layout, with a palette for image tokenizer and decoder.

NAME/
  model_index.json     as of lantu's own models
  language/            an unmodified transformers directory, whose image codes are the palette's colours
  palette/             config.json, safetensors: see ``palette``
"""

from typing import TYPE_CHECKING

from lantu.engine.sampling_params import FOUND
from lantu.errors import ModelError
from lantu.files import WEIGHTS, FolderKind
from lantu.models.lantu.agreement import check_budget
from lantu.models.lantu.counting import part_bytes
from lantu.models.lantu.directory import INDEX
from lantu.models.lantu.folder import LantuFolder
from lantu.rivals.pixel_ar import palette
from lantu.tokens.vocabulary import MAX_CODES, MAX_PATCH

if TYPE_CHECKING:
    from lantu.models.estimate import Memory

CLASS = "lantu.PixelModel"  # _class_name in model_index.json
CLASSES = {
    "language": ["transformers", "AutoModelForCausalLM"],
    "palette": ["lantu.rivals.pixel_ar.palette", "Palette"],
}
PARTS = ("language", "palette")
KIND = FolderKind(
    "a pixel-autoregressive model",
    (INDEX,),
    (INDEX, "README.md", "words.json", "related.json", *(name for part in PARTS for name in WEIGHTS.within(part))),
    ("_class_name", CLASS),
)


class PixelFolder(LantuFolder):
    """A complete model directory; see ``LantuFolder``."""

    own_parts = PARTS
    required = (INDEX, "language/config.json", "language/tokenizer.json", "palette/config.json")
    kind = KIND
    about = (
        "Pixel autoregression after iGPT (Chen et al. 2020): a stock causal language model drafts every pixel as one\n"
        "of the colours of a palette, in raster order."
    )

    @property
    def drawn(self) -> str:
        """What a picture takes, in words."""
        return f"{self.draft_length:,} ids, one a pixel"

    @property
    def codebook_size(self) -> int:
        """The number of colours."""
        return self.number("palette/config.json", "colours", 2, MAX_CODES)

    @property
    def patch(self) -> int:
        """Pixels a side of a drawing for one of the draft."""
        return self.number("palette/config.json", "scale", 1, MAX_PATCH)

    @property
    def controlled(self) -> bool:
        """No decoder that could be steered."""
        return False

    @property
    def refined(self) -> bool:
        """No refiner."""
        return False

    @property
    def unused_params(self) -> tuple[str, ...]:
        """Those of decoders that denoise."""
        return ("steps", "render_guidance", "sampler", "refine", "refine_steps", "num_codes", *FOUND)

    @property
    def renderer(self) -> str:
        """What renders."""
        size = self.number("palette/config.json", "size", 1, MAX_PATCH)
        return f"a palette of {self.codebook_size} colours at {size}x{size}, scaled by {self.patch}"

    def check(self) -> "PixelFolder":
        """This folder, after checking its parts. Raises ModelError."""
        _ = self.name, self.settings, self.sides
        check_budget(self.index.get("budget", {}), self.path / INDEX)
        config = palette.read(self.path / "palette")
        self.part("language")
        known = self.drawing_config
        if known.vocabulary.codebook_size != config["colours"] or known.grid != (config["size"], config["size"]):
            what = f"the language model draws {known.grid[1]}x{known.grid[0]} pixels of {self.codebook_size} colours"
            what = f"{what}, the palette has {config['size']} a side and {config['colours']}"
            raise ModelError(what, "join parts of the same training")
        return self

    def lacks(self, ability: str) -> str:
        """What to do about an ability that the model lacks."""
        return "a pixel-autoregressive model draws and captions; choose another model for this"

    def memory(self, device: str) -> "Memory":
        """Bytes that drawing a picture takes; the palette's are nothing beside the language model's."""
        from lantu.models.estimate import PACKED, Memory

        stored, numbers = part_bytes(self.path / "language"), self.parameters()["language"]
        precise = device == "cuda" or stored > 2.5 * numbers
        height, width = self.grid
        return Memory(
            language=4 * numbers if device == "cuda" else int(PACKED * stored),
            caches=self.draft_bytes(4 if precise else 2),
            decoder=part_bytes(self.path / "palette"),
            working=3 * height * width * self.patch**2,
        )
