"""The directory of a continuous model.

NAME/
  model_index.json     as of lantu's own models
  language/            an unmodified transformers directory; two codes that stand for nothing fill its vocabulary; or
                       the bidirectional transformer that drafts in random order
  vectors/             scaling, projection and head of the vectors: see ``config.VectorConfig``
  tokenizer/           the image tokenizer whose features the vectors are
  vision/              or the vision encoder whose embeddings they are; neither for pixels
  decoder/             the diffusion decoder of vectors; not for pixels
"""

from typing import TYPE_CHECKING, Any

from lantu.engine.sampling_params import PASSES
from lantu.errors import ModelError
from lantu.files import WEIGHTS, FolderKind
from lantu.models.lantu.agreement import check_budget
from lantu.models.lantu.counting import HINT, part_bytes
from lantu.models.lantu.directory import INDEX
from lantu.models.lantu.folder import LantuFolder
from lantu.tokens.vocabulary import MAX_CODES, MAX_PATCH
from lantu.weights.architecture import MAX_WIDTH
from lantu.weights.lite0 import CHANNELS, PIXELS
from lantu.weights.names import MASKED_VECTORS

if TYPE_CHECKING:
    from lantu.models.estimate import Memory

CLASS = "lantu.ContinuousModel"  # _class_name in model_index.json
CLASSES = {
    "language": ["transformers", "AutoModelForCausalLM"],
    "vectors": ["lantu.rivals.continuous.network", "Vectors"],
    "tokenizer": ["lantu.models.lantu.tokenizer.model", "ImageTokenizer"],
    "vision": ["lantu.rivals.continuous.vision", "VisionEncoder"],
    "decoder": ["lantu.rivals.continuous.decoder", "VectorDecoder"],
}
BIDIRECTIONAL = ["lantu.rivals.continuous.bidirectional", "MaskedVectorTransformer"]
DRAFTING = ("language", "vectors")
RENDERING = {"features": ("tokenizer", "decoder"), "vision": ("vision", "decoder"), "pixels": ()}
ARRAYS = 8  # of a pass of the bidirectional transformer that are alive at once
KIND = FolderKind(
    "a continuous model",
    (INDEX,),
    (INDEX, "README.md", "words.json", "related.json", *(name for part in CLASSES for name in WEIGHTS.within(part))),
    ("_class_name", CLASS),
)
VECTORS = {"features": "visual embedding", "vision": "visual embedding", "pixels": "patch of pixels"}
REGRESSION = """{paper}: a stock causal
language model regresses the next {vector} beside next-token prediction of text, and {renderer}."""
EMU = "Continuous regression as in Emu (Sun et al. 2023, arXiv:2307.05222)"
OUTRIGHT = "Pixels regressed outright"
HEAD = """A diffusion head a token as in MAR (Li et al. 2024, arXiv:2406.11838): {language},
and a small network denoises a {vector} from each of its hidden states; {renderer}."""
RASTER = "a stock causal language model reads them in raster order"
RANDOM = "a bidirectional transformer drafts cells in random order, several a pass"
WIDEST = 1 << 20  # numbers of a vector
MAX_PASSES = 10_000


class ContinuousFolder(LantuFolder):
    """A complete model directory; see ``LantuFolder``."""

    required = (INDEX, "language/config.json", "language/tokenizer.json", "vectors/config.json")
    kind = KIND

    @property
    def own_parts(self) -> tuple[str, ...]:  # pyrefly: ignore[bad-override]
        """The folders of its parts."""
        return (*DRAFTING, *RENDERING.get(self.space, ()))

    @property
    def space(self) -> str:
        """What its vectors are."""
        return str(self.entry("vectors/config.json", "space"))

    @property
    def paints(self) -> bool:
        """Whether its vectors are pixels, which no decoder renders."""
        return self.space == "pixels"

    @property
    def diffuses(self) -> bool:
        """Whether a diffusion head drafts."""
        return self.entry("vectors/config.json", "head") == "diffusion"

    @property
    def shuffles(self) -> bool:
        """Whether cells are drafted in random order, several a pass."""
        return self.read("language/config.json").get("model_type") == MASKED_VECTORS

    @property
    def abilities(self) -> tuple[str, ...]:
        """What it can do; see ``lantu.models.spec.ModelFolder``."""
        return ("drawing", "filling") if self.shuffles else super().abilities

    @property
    def about(self) -> str:
        """What it is, with the paper."""
        renderer = "nothing decodes them" if self.paints else "a diffusion decoder renders them"
        how = {"vector": VECTORS[self.space], "renderer": renderer}
        if self.diffuses:
            return HEAD.format(language=RANDOM if self.shuffles else RASTER, **how)
        return REGRESSION.format(paper=OUTRIGHT if self.paints else EMU, **how)

    @property
    def drawn(self) -> str:
        """What a picture takes, in words."""
        count = f"{self.draft_length} vectors of {self.cell_shape[0]} numbers"
        if self.shuffles:
            count += f" in {self.number('language/config.json', 'passes', 1, MAX_PASSES)} passes"
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
        others = (name for name in super().unused_params if not (self.shuffles and name in PASSES))
        return (*others, *decoding, *codes)

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
        width = configs["language"].get("width" if self.shuffles else "hidden_size")
        agree("width", vectors["width"], "the language model has", width)
        if self.shuffles and not self.diffuses:
            raise ModelError("a model that drafts in random order has no diffusion head", HINT)
        if self.paints:
            agree("channels", vectors["channels"], "patches of its pixels have", 3 * vectors["patch"] ** 2)
            return self
        decoder = configs["decoder"]
        agree("channels", vectors["channels"], "the decoder's vectors have", decoder["vector_width"])
        agree("patch", vectors["patch"], "the decoder has", decoder["patch"])
        agree("the encoder", vectors["tokenizer"], "the decoder has", decoder["tokenizer"])
        if self.space == "vision":
            agree("channels", vectors["channels"], "the vision encoder's have", CHANNELS)
            agree("patch", vectors["patch"], "the vision encoder has", PIXELS)
            return self
        tokenizer = configs["tokenizer"]
        agree("channels", vectors["channels"], "the image tokenizer's vectors have", tokenizer["code_width"])
        side = tokenizer["size"] // tokenizer["patch"]
        agree("a grid of", self.drawing_config.grid, "its image tokenizer makes", (side, side))
        return self

    def lacks(self, ability: str) -> str:
        """What to do about an ability that the model lacks."""
        if self.shuffles:
            return "drafting in random order draws and fills holes; choose another model for this"
        return "a continuous model draws and captions; choose another model for this"

    def draft_bytes(self, number_bytes: int) -> int:
        """What the longest draft takes beside the weights; nothing is cached between passes in random order."""
        from lantu.models.estimate import cache_bytes

        if not self.shuffles:
            return super().draft_bytes(number_bytes)
        return cache_bytes(ARRAYS, self.number("language/config.json", "width", 1, MAX_WIDTH), self.draft_length, 4)

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
