"""The directory of a continuous model.

NAME/
  model_index.json     as of lantu's own models
  language/            an unmodified transformers directory; two codes that stand for nothing fill its vocabulary
  vectors/             scaling, projection and head of the vectors: see ``config.VectorConfig``
  tokenizer/           the image tokenizer whose features the vectors are; not for pixels
  decoder/             the diffusion decoder of vectors; not for pixels
"""

from typing import TYPE_CHECKING, Any

from lantu.errors import ModelError
from lantu.files import WEIGHTS, FolderKind
from lantu.models.lantu.agreement import check_budget
from lantu.models.lantu.counting import part_bytes
from lantu.models.lantu.directory import INDEX
from lantu.models.lantu.folder import LantuFolder
from lantu.tokens.vocabulary import MAX_CODES, MAX_PATCH

if TYPE_CHECKING:
    from lantu.models.estimate import Memory

CLASS = "lantu.ContinuousModel"  # _class_name in model_index.json
CLASSES = {
    "language": ["transformers", "AutoModelForCausalLM"],
    "vectors": ["lantu.rivals.continuous.network", "Vectors"],
    "tokenizer": ["lantu.models.lantu.tokenizer.model", "ImageTokenizer"],
    "decoder": ["lantu.rivals.continuous.decoder", "VectorDecoder"],
}
DRAFTING, RENDERING = ("language", "vectors"), ("tokenizer", "decoder")
KIND = FolderKind(
    "a continuous model",
    (INDEX,),
    (INDEX, "README.md", "words.json", "related.json", *(name for part in CLASSES for name in WEIGHTS.within(part))),
    ("_class_name", CLASS),
)
ABOUT = {
    ("features", "regression"): "Continuous regression as in Emu (Sun et al. 2023, arXiv:2307.05222): a stock causal\n"
    "language model regresses the next visual embedding beside next-token prediction of text, and a diffusion decoder\n"
    "renders the embeddings.",
    ("pixels", "regression"): "Pixels regressed outright: a stock causal language model reads patches of pixels and\n"
    "regresses the next one, beside next-token prediction of text; nothing decodes them.",
    (
        "features",
        "diffusion",
    ): "A diffusion head a token as in MAR (Li et al. 2024, arXiv:2406.11838): a small network\n"
    "denoises the next visual embedding from a stock causal language model's hidden state, and a diffusion decoder\n"
    "renders the embeddings.",
    ("pixels", "diffusion"): "A diffusion head a token as in MAR (Li et al. 2024, arXiv:2406.11838), on patches of\n"
    "pixels: a small network denoises the next patch from a stock causal language model's hidden state.",
}
WIDEST = 1 << 20  # numbers of a vector


class ContinuousFolder(LantuFolder):
    """A complete model directory; see ``LantuFolder``."""

    required = (INDEX, "language/config.json", "language/tokenizer.json", "vectors/config.json")
    kind = KIND

    @property
    def own_parts(self) -> tuple[str, ...]:  # pyrefly: ignore[bad-override]
        """The folders of its parts."""
        return DRAFTING if self.paints else (*DRAFTING, *RENDERING)

    @property
    def paints(self) -> bool:
        """Whether its vectors are pixels, which no decoder renders."""
        return self.entry("vectors/config.json", "space") == "pixels"

    @property
    def diffuses(self) -> bool:
        """Whether a diffusion head drafts."""
        return self.entry("vectors/config.json", "head") == "diffusion"

    @property
    def about(self) -> str:
        """What it is, with the paper."""
        return ABOUT["pixels" if self.paints else "features", "diffusion" if self.diffuses else "regression"]

    @property
    def drawn(self) -> str:
        """What a picture takes, in words."""
        count = f"{self.draft_length} vectors of {self.cell_shape[0]} numbers"
        return f"{count}, {self.entry('vectors/config.json', 'steps')} steps each" if self.diffuses else count

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """(E,)."""
        return (self.number("vectors/config.json", "channels", 1, WIDEST),)

    @property
    def codebook_size(self) -> int:
        """Levels on each axis of a vector."""
        return self.number("vectors/config.json", "levels", 2, MAX_CODES)

    @property
    def patch(self) -> int:
        """Pixels a side of a drawing for one vector."""
        return self.number("vectors/config.json", "patch", 1, MAX_PATCH)

    @property
    def controlled(self) -> bool:
        """No control was trained on vectors."""
        return False

    @property
    def refined(self) -> bool:
        """No refiner reads vectors."""
        return False

    @property
    def unused_params(self) -> tuple[str, ...]:
        """Those of distributions over codes; of decoders, where there is none."""
        decoding = ("steps", "render_guidance", "sampler") if self.paints else ()
        codes = ("contrast", "top_k", "top_p", "num_draft_tokens", "min_accepted")
        return (*super().unused_params, *decoding, *codes)

    @property
    def renderer(self) -> str:
        """What renders."""
        return "none: patches of pixels" if self.paints else "a diffusion decoder of vectors"

    def part(self, part: str) -> dict[str, Any]:
        """The config of a part, checked against the headers of its weights."""
        from lantu.weights import manifest

        if part == "language":
            return manifest.read_language(self.path / part)
        return manifest.read("vector_decoder" if part == "decoder" else part, self.path / part)

    def check(self) -> "ContinuousFolder":
        """This folder, after checking that its parts match their configs and one another. Raises ModelError."""
        _ = self.name, self.settings, self.sides
        check_budget(self.index.get("budget", {}), self.path / INDEX)
        configs = {part: self.part(part) for part in self.own_parts}
        vectors = configs["vectors"]
        agree("width", vectors["width"], "the language model has", configs["language"].get("hidden_size"))
        if self.paints:
            agree("channels", vectors["channels"], "patches of its pixels have", 3 * vectors["patch"] ** 2)
            return self
        tokenizer, decoder = configs["tokenizer"], configs["decoder"]
        agree("channels", vectors["channels"], "the image tokenizer's vectors have", tokenizer["code_width"])
        agree("channels", vectors["channels"], "the decoder's vectors have", decoder["vector_width"])
        agree("patch", vectors["patch"], "the decoder has", decoder["patch"])
        agree("the tokenizer", vectors["tokenizer"], "the decoder has", decoder["tokenizer"])
        side = tokenizer["size"] // tokenizer["patch"]
        agree("a grid of", self.drawing_config.grid, "its image tokenizer makes", (side, side))
        return self

    def lacks(self, ability: str) -> str:
        """What to do about an ability that the model lacks."""
        return "a continuous model draws and captions; choose another model for this"

    def memory(self, device: str) -> "Memory":
        """Bytes that drawing a picture takes; heads compute in float32."""
        from lantu.models.estimate import PACKED, Memory, convolution_bytes

        stored, numbers = part_bytes(self.path / "language"), self.parameters()
        precise = device == "cuda" or stored > 2.5 * numbers["language"]
        language = 4 * numbers["language"] if device == "cuda" else int(PACKED * stored)
        height, width = self.grid
        return Memory(
            language=language + 4 * numbers["vectors"],
            caches=self.draft_bytes(4 if precise else 2),
            decoder=0 if self.paints else int(PACKED * part_bytes(self.path / "decoder")),
            working=convolution_bytes(width * self.patch, height * self.patch),
        )


def agree(what: str, ours: Any, whose: str, theirs: Any) -> None:
    """Refuse parts that were not made for one another. Raises ModelError."""
    if ours != theirs:
        raise ModelError(f"the vectors have {what} {ours}, {whose} {theirs}", "join parts of the same training")
