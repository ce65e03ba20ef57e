"""Settings that all recipes of the language model share."""

from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from lantu.recipes.ranges import Share
from lantu.training.config import RecipeConfig


class LanguageRecipe(RecipeConfig):
    """How a language model that draws is trained.

    Attributes:
        tokenizer: folder of the trained image tokenizer whose codes it learns.
        start: a trained language model to start from, with its own text tokenizer and sizes: a run, a model directory,
            or the part's own folder. "" starts from nothing.
        added: layers that the model in ``start`` is deepened by; at first they change nothing (``deepen``).
        settled: share of the learning rate for the older layers, so that they do not forget; also in later runs from a
            model that was deepened.
        origin: the model that ``start`` was once trained from; if given, the weights are first moved back towards it,
            by the share ``reverted`` of the way (``revert``).
        text_size: ids of the byte-level BPE, trained on this data's captions.
        width, layers, heads, inner: of the Qwen3 architecture.
        captioning: share of documents that go from picture to caption. No caption precedes their picture, so they also
            teach the unconditional distribution that guidance needs.
        dropped: share of the other documents whose caption is dropped.
        asked: share of drawing documents whose caption is worded as a request, see ``lantu.data.asking``.
        single: share of the pictures of plain documents, and of guidance distillation, that are replaced by pictures of
            one thing: there it is larger and has more codes than among others, and composed scenes show it less often.
        counted: share of them that are replaced by pictures of several of one thing, which are as rare, and whose
            captions alone have the plurals of English nouns. The two add up to 1 at most.
        named: share of the captions that are replaced by one that names the picture's style, where there is one: little
            of a picture depends on its style, which is learnt late.
        longest: ids of a caption; longer ones are cut.
        row: ids in a packed row. 0 gives each document a row of its own, which is faster on a CPU when all have about
            the same length; in batches that would be mostly padding, short documents still share rows.
    """

    tokenizer: str = ""
    start: str = ""
    added: int = Field(0, ge=0)
    settled: float = Field(1.0, ge=0, le=1)
    origin: str = ""
    reverted: float = Field(0.5, ge=0, le=1)
    text_size: PositiveInt = 3072
    width: PositiveInt = 320
    layers: PositiveInt = 8
    heads: PositiveInt = 5
    inner: PositiveInt = 896
    captioning: Share = 0.3
    dropped: Share = 0.05
    asked: Share = 0.35
    single: Share = 0.0
    counted: Share = 0.0
    named: Share = 0.0
    longest: int = Field(512, ge=1)
    row: int = Field(0, ge=0)

    @field_validator("heads")
    @classmethod
    def share_the_width(cls, heads: int, others: ValidationInfo) -> int:
        """Refuse heads that don't divide the width into even parts, as rotary embeddings need."""
        if (width := others.data.get("width")) and width % (2 * heads):
            raise ValueError(f"heads can't share a width of {width} evenly, in pairs of numbers")
        return heads

    @field_validator("counted")
    @classmethod
    def share_the_pictures(cls, counted: float, others: ValidationInfo) -> float:
        """Refuse shares of pictures that add up to more than all."""
        if counted + others.data.get("single", 0.0) > 1:
            raise ValueError("single and counted add up to more than 1")
        return counted
