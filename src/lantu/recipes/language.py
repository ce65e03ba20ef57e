"""Recipes of the language model."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from lantu.data.asking import ask
from lantu.data.order import Order
from lantu.data.packing import PADDING, Packed, block_causal_mask, pack
from lantu.data.shards import Shards
from lantu.engine.backends.native import Language
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import RecipeError
from lantu.files import write_text
from lantu.images import scale, to_array, to_tensor
from lantu.models.lantu.language.model import deepen, describe, export, load, make, new_places, revert, sources_of
from lantu.recipes.captions import learnable
from lantu.recipes.codes import codes_of, load_tokenizer
from lantu.recipes.drafts import Drafts
from lantu.recipes.sheets import save_sheet, shown
from lantu.recipes.sources import part_folder
from lantu.tokens import bpe
from lantu.tokens.document import to_ids
from lantu.tokens.vocabulary import Vocabulary
from lantu.training.config import LoopConfig
from lantu.training.task import Metrics
from lantu.types import CodeGrid, Document
from lantu.weights.language_config import read_vocabulary, strengths_of

SAMPLING = SamplingParams(guidance=1.5, temperature=0.3)
AROUND = 32  # ids of a document beside its codes and its caption: marks, sides, and words that ask for a picture
PADDED = 2  # a batch of so many times the ids of its documents is packed


class LanguageRecipe(BaseModel):
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

    model_config = ConfigDict(extra="forbid")

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
    loop: LoopConfig = LoopConfig()


class Task:
    """Documents in, next ids out."""

    def __init__(self, recipe: LanguageRecipe, data: Path):
        self.recipe = recipe
        self.tokenizer = tokenizer = load_tokenizer(recipe.tokenizer)
        self.shards, self.grids = Shards(data, "train"), codes_of(data, tokenizer, "train")
        self.val = Shards(data, "val", or_empty=True)
        self.order = Order(len(self.shards), recipe.loop.seed)
        self.samples = [self.shards.sample(index) for index in range(len(self.shards))]
        self.new: tuple[str, ...] = ()  # what the names of parameters of added layers begin with
        self.codec, self.model = self.begin(tokenizer.config.codebook_size)
        self.model.config.lantu["tokenizer"] = tokenizer.codes_digest()
        self.vocabulary = Vocabulary(self.codec.size, tokenizer.config.codebook_size)
        self.samples, self.notes = learnable(self.samples, self.codec, self.longest())
        self.encode = lru_cache(maxsize=1 << 19)(self.codec.encode)
        self.networks: dict[str, nn.Module] = {"model": self.model}
        tokens = self.grids.shape[1] * self.grids.shape[2] + 20
        self.flops_per_sample = 6.0 * tokens * sum(parameter.numel() for parameter in self.model.parameters())

    def begin(self, codebook_size: int) -> tuple[bpe.TextCodec, Any]:
        """A tokenizer of text and a language model: those that the recipe starts from, or new ones.

        Raises:
            RecipeError: the model that it starts from draws other codes.
            ModelError: it can't be read.
        """
        recipe = self.recipe
        if not recipe.start:
            codec = bpe.train(self.texts(), recipe.text_size)
            sizes = (recipe.width, recipe.layers, recipe.heads, recipe.inner)
            vocabulary = Vocabulary(codec.size, codebook_size)
            return codec, make(vocabulary, *sizes, grid=self.grids.shape[1:], seed=recipe.loop.seed)
        folder = part_folder(recipe.start, "language")
        if (known := read_vocabulary(folder).codebook_size) != codebook_size:
            told = f"{folder} has {known:,} codes, the image tokenizer {codebook_size:,}"
            raise RecipeError(told, "start from a model of the same tokenizer, or from nothing")
        model = load(folder)
        if recipe.origin:
            revert(model, load(part_folder(recipe.origin, "language")), recipe.reverted)
        new = model.config.lantu.get("added", [])
        if recipe.added:
            new = new_places(sources_of(model.config.num_hidden_layers, recipe.added))
            model = deepen(model, recipe.added)
        self.new = tuple(f"model.layers.{place}." for place in new)
        describe(model.config, read_vocabulary(folder), self.grids.shape[1:])
        if new:
            model.config.lantu["added"] = new  # so that a further run can tell them from the others
        return bpe.TextCodec(folder), model

    def longest(self) -> int:
        """Ids of a caption that a document has room for.

        Raises:
            RecipeError: a row has no room for a picture.
        """
        if not self.recipe.row:
            return self.recipe.longest
        room = self.recipe.row - self.grids.shape[1] * self.grids.shape[2] - AROUND
        if room < 1:
            raise RecipeError(f"rows of {self.recipe.row} ids have no room for a picture", "make rows longer: row")
        return min(self.recipe.longest, room)

    @cached_property
    def counted(self) -> list[int]:
        """Indices of the pictures that show several of one thing."""
        return [index for index, sample in enumerate(self.samples) if sample.kind == "count"]

    def rate(self, name: str) -> float:
        """A parameter's share of the learning rate."""
        return 1.0 if not self.new or name.startswith(self.new) else self.recipe.settled

    def texts(self) -> Iterator[str]:
        """Every caption, once."""
        yield from sorted({text for sample in self.samples for texts in sample.captions.values() for text in texts})

    def document(self, index: int, position: int) -> Document:
        """One of the documents that a picture gives; which one depends on the position in the stream alone."""
        rng = np.random.default_rng((self.recipe.loop.seed, 1, position))
        grid = CodeGrid(self.grids[index])
        caption, language = self.caption(index, rng)
        if not caption:
            return Document((grid,))
        chance = rng.random()
        if chance < self.recipe.captioning:
            return Document((grid, caption), language)
        if chance < self.recipe.captioning + self.recipe.dropped:
            return Document((grid,))
        return Document((self.request(caption, language, rng), grid), language)

    def caption(self, index: int, rng: np.random.Generator) -> tuple[str, str]:
        """One of a picture's captions, and its language; "" where there is none."""
        captions = {language: texts for language, texts in self.samples[index].captions.items() if texts}
        if not captions:
            return "", ""
        language = sorted(captions)[rng.integers(len(captions))]
        return captions[language][rng.integers(len(captions[language]))], language

    def request(self, caption: str, language: str, rng: np.random.Generator) -> str:
        """A caption as what asks for its picture."""
        return ask(caption, language, rng) if rng.random() < self.recipe.asked else caption

    def batch(self, step: int, size: int) -> Any:
        """``size`` documents: see ``rows``."""
        return self.rows(self.order.indices(step * size, size).tolist(), step * size)

    def rows(self, indices: Sequence[int], first: int) -> Any:
        """Documents of pictures from the stream's position ``first`` on: ids, positions, segments, (R, N) int64."""
        documents = [self.document(index, position) for position, index in enumerate(indices, first)]
        ids = [to_ids(document, self.vocabulary, self.encode)[0] for document in documents]
        pad = self.vocabulary.special("pad")
        packed = pack(ids, self.recipe.row, pad) if self.recipe.row else apart(ids, pad)
        return {name: torch.from_numpy(value) for name, value in packed._asdict().items()}

    def loss(self, player: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        return self.plain(batch)

    def plain(self, batch: Any) -> tuple[Tensor, Metrics]:
        """The mean loss of rows of documents, and of their codes and their text apart."""
        losses, targets = next_token_losses(self.model, **batch)
        loss = losses.sum() / (targets >= 0).sum()
        with torch.no_grad():
            drawn = targets >= self.vocabulary.first_code
            written = (targets >= 0) & (targets < self.vocabulary.text_size)
            parts: Metrics = {"codes": losses[drawn].mean(), "text": losses[written].mean()}
        return loss, parts

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Real pictures above what the model drafts for one of their captions, in either language by turns."""
        captions = {index: spoken(self.val.sample(index).captions, index) for index in shown(self.val).tolist()}
        captions = {index: caption for index, caption in captions.items() if caption}
        if not captions:
            return
        config = json.loads(self.model.config.to_json_string())
        drafts = Drafts(
            Language(config, {name: value.float().cpu().numpy() for name, value in self.model.state_dict().items()}),
            self.codec,
            self.vocabulary,
            self.tokenizer,
            tuple(self.grids.shape[1:]),
            SAMPLING,
            strengths_of(config),
        )
        drawn = drafts.draw(list(captions.values()), list(captions))
        real = scale(to_tensor(self.val.images(np.array(list(captions)))), *drawn.shape[1:3])
        save_sheet(folder / f"{step:06d}.png", [to_array(real), drawn])
        write_text(folder / f"{step:06d}.txt", "\n".join(captions.values()) + "\n")

    def export(self, folder: Path) -> None:
        """Write the language model where a model directory keeps it."""
        export(self.model, folder, self.codec)


def spoken(captions: Mapping[str, Sequence[str]], turn: int) -> str:
    """A caption in one of the languages there are, each in its turn; "" where there is none."""
    told = [texts[0] for _, texts in sorted(captions.items()) if texts]
    return told[turn % len(told)] if told else ""


def apart(documents: Sequence[np.ndarray], pad: int) -> Packed:
    """Rows of one document each, unless they would be mostly padding; then short documents share rows."""
    longest = max(map(len, documents))
    mostly_padding = PADDED * sum(map(len, documents)) < longest * len(documents)
    return pack(documents, longest, pad) if mostly_padding else one_each(documents, pad)


def one_each(documents: Sequence[np.ndarray], pad: int) -> Packed:
    """Rows of one document each, as long as the longest."""
    length = max(map(len, documents))
    rows = Packed(*(np.full((len(documents), length), value, np.int64) for value in (pad, 0, PADDING)))
    rows.positions[:] = np.arange(length)
    for row, document in enumerate(documents):
        rows.ids[row, : len(document)] = document
        rows.segments[row, : len(document)] = row
    return rows


def next_token_losses(
    language: nn.Module, ids: Tensor, positions: Tensor, segments: Tensor, learnt: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Plain next-token cross-entropy within each document. Shapes: R rows, N ids a row.

    Args:
        learnt: (R, N) bool, which of the ids are to be foretold; all if not given. Logits, a third of a small model's
            work, are computed only where some row has such an id.

    Returns:
        each token's loss, and the id it should have been, both (R, N); 0 and -100 where nothing is to be foretold.
    """
    # Where a row holds one document, being causal is mask enough: what follows a document is padding.
    packed = bool((segments.amax(1) != segments[:, 0]).any())
    mask = block_causal_mask(segments) if packed else None
    follows = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] >= 0)
    if learnt is not None:
        follows &= learnt[:, 1:]
    targets = F.pad(torch.where(follows, ids[:, 1:], -100), (0, 1), value=-100)
    columns = follows.any(0).nonzero()[:, 0]
    told = language(
        input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False, logits_to_keep=columns
    ).logits
    losses = torch.zeros(targets.shape, device=told.device)
    kept = F.cross_entropy(told.flatten(0, 1).float(), targets[:, columns].flatten(), reduction="none")
    return losses.index_copy(1, columns, kept.view(len(ids), -1)), targets


def emoji() -> LanguageRecipe:
    """The shipped model's: 5.6M parameters.

    On one CPU core: 28 documents/s, an hour. The loss of codes should be near 1.2 after 800 steps.
    """
    return LanguageRecipe(
        text_size=2048,
        width=256,
        layers=5,
        heads=4,
        inner=704,
        loop=LoopConfig(
            steps=3000,
            batch_size=32,
            lr=3e-3,
            warmup_steps=150,
            decay_fraction=0.25,
            optimizer="muon",
            sample_every=500,
        ),
    )


def further() -> LanguageRecipe:
    """Goes on from a model that is there (``--start MODEL``): the shipped one's second half.

    On one CPU core: 28 documents/s, 100 minutes. The loss of codes should end near 0.27.
    """
    recipe = emoji()
    recipe.loop = recipe.loop.model_copy(update={"steps": 5300, "lr": 2e-3, "warmup_steps": 100, "decay_fraction": 0.4})
    return recipe


def debug() -> LanguageRecipe:
    """The whole story in seconds."""
    return LanguageRecipe(
        text_size=512,
        width=64,
        layers=2,
        heads=2,
        inner=192,
        loop=LoopConfig(steps=60, batch_size=16, lr=3e-3, warmup_steps=5, precision="fp32"),
    )


RECIPES = {"debug": debug, "emoji": emoji, "further": further}
