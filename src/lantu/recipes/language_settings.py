"""Settings that all recipes of the language model share."""

from pydantic import Field

from lantu.training.config import RecipeConfig


class LanguageRecipe(RecipeConfig):
    """One way to train a language model that draws.

    Attributes:
        tokenizer: folder of the trained image tokenizer whose codes it learns.
        start: a trained language model to go on from, with its own text ids and sizes: a run, a model directory, or the
            part's own folder. "" starts from nothing.
        added: layers that the model it starts from is deepened by; they change nothing at first (``deepen``).
        settled: share of the learning rate at which what was there before them moves, so that it is not forgotten; also
            in further runs from a model that was deepened.
        origin: the model that ``start`` was once trained from; if given, it begins with going back to that by the share
            ``reverted`` of the way (``revert``).
        text_size: ids of the byte-level BPE, trained on this data's captions.
        width, layers, heads, inner: of the Qwen3 architecture.
        captioning: share of documents that go from picture to caption. Their picture has no caption before it, so
            they also teach what guidance needs: pictures without a prompt.
        dropped: share of the others whose caption is dropped.
        asked: share of drawing documents whose caption is put as a person would ask, see ``lantu.data.asking``.
        longest: ids of a caption; the ends of longer ones are cut off.
        row: tokens in a packed row; 0 gives each document a row of its own, which is faster on a CPU when all are about
            equally long, but for batches that would be mostly padding: their short documents share rows.
    """

    tokenizer: str = ""
    start: str = ""
    added: int = Field(0, ge=0)
    settled: float = Field(1.0, ge=0, le=1)
    origin: str = ""
    reverted: float = Field(0.5, ge=0, le=1)
    text_size: int = 3072
    width: int = 320
    layers: int = 8
    heads: int = 5
    inner: int = 896
    captioning: float = 0.3
    dropped: float = 0.05
    asked: float = 0.35
    longest: int = Field(512, ge=1)
    row: int = 0
