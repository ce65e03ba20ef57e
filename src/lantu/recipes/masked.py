"""Recipes of a language model that drafts by masked diffusion (MaskGIT, arXiv:2202.04200).

    lantu train language --recipe masked --data DATA --tokenizer lantu-emoji

It learns the codes of a trained image tokenizer, as the recipes of next-token models do, and takes the same decoder.
Shapes: B pictures, n = h·w codes of a picture, N ids of codes and prompt.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from lantu.data.order import turn
from lantu.data.shards import Shards
from lantu.engine.drafting import Drafter, draft
from lantu.engine.masked_diffusion import MaskedDrafter
from lantu.engine.request import Request
from lantu.models.lantu.layers import in_blocks
from lantu.models.lantu.sizes import Width
from lantu.models.masked import sequence
from lantu.models.masked.config import MaskedConfig
from lantu.models.masked.network import MaskedTransformer
from lantu.recipes.codes import check_cells, load_tokenizer
from lantu.recipes.corpus import Corpus, Pictures
from lantu.recipes.drafts import paint
from lantu.recipes.picture_batches import check_one_shape
from lantu.recipes.sheets import save_captioned, shown_captions
from lantu.tokens import bpe
from lantu.tokens.document import codes_from, draw_prefix, unconditional_prefix
from lantu.tokens.vocabulary import Vocabulary
from lantu.training import task as training
from lantu.training.config import LoopConfig, RecipeConfig
from lantu.training.task import Metrics

GUIDANCE = 2.0  # of the sheets of samples
IGNORED = -100  # a target that takes no part in the loss


class MaskedRecipe(RecipeConfig):
    """How a masked language model is trained.

    Attributes:
        tokenizer: folder of the trained image tokenizer whose codes it learns.
        text_size: ids of the byte-level BPE, trained on this data's captions.
        width, layers: of the transformer.
        passes, choice_temperature: how it drafts, see ``MaskedConfig``.
        dropped: share of pictures that are learnt without their caption, which guidance needs.
        asked: share of captions that are worded as requests, see ``lantu.data.asking``.
        longest: ids of a caption; longer ones are cut.
    """

    tokenizer: str = ""
    text_size: PositiveInt = 2048
    width: Width = 192
    layers: PositiveInt = 4
    passes: int = Field(12, ge=1)
    choice_temperature: float = Field(4.5, ge=0)
    dropped: float = Field(0.1, ge=0, le=1)
    asked: float = Field(0.35, ge=0, le=1)
    longest: int = Field(128, ge=1)


class Task(training.Task):
    """From prompts and partly masked codes to the masked codes."""

    def __init__(self, recipe: MaskedRecipe, data: Path):
        self.recipe = recipe
        self.tokenizer = load_tokenizer(recipe.tokenizer)
        check_cells(self.tokenizer, "masked diffusion", sequences=True)
        check_one_shape(Shards(data, "train"), "a masked-diffusion drafter")
        self.pictures = Pictures(data, self.tokenizer, recipe.loop.seed)
        codec = bpe.train(self.pictures.texts(), recipe.text_size)
        self.vocabulary = Vocabulary(codec.size, self.tokenizer.config.codebook_size)
        encoding = codec, self.vocabulary, recipe.longest, recipe.asked, recipe.loop.seed
        self.corpus, self.held = Corpus(self.pictures, *encoding), None
        if len(self.pictures.val):
            self.held = Corpus(Pictures(data, self.tokenizer, recipe.loop.seed, "val"), *encoding)
        self.notes = self.corpus.notes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.loop.seed)
            self.model: Any = self._network()
        self.networks: dict[str, nn.Module] = {"model": self.model}
        tokens = self.pictures.grid[0] * self.pictures.grid[1] + 20
        self.flops_per_sample = 6.0 * tokens * sum(parameter.numel() for parameter in self.model.parameters())

    def _network(self) -> nn.Module:
        """The network to train."""
        return MaskedTransformer(MaskedConfig(**self._sizes(), choice_temperature=self.recipe.choice_temperature))

    def _drafter(self) -> Drafter:
        """What draws with the network as it is now."""
        return MaskedDrafter(self.model, max_drafts=64)

    def _sizes(self) -> dict[str, Any]:
        """Its sizes, as its config takes them."""
        recipe, vocabulary = self.recipe, self.vocabulary
        return {
            "width": recipe.width,
            "layers": recipe.layers,
            "passes": recipe.passes,
            "lantu": {
                "text_size": vocabulary.text_size,
                "codebook_size": vocabulary.codebook_size,
                "grid": list(self.pictures.grid),
                "learnt": [],
                "tokenizer": self.tokenizer.codes_digest(),
            },
        }

    def batch(self, step: int, size: int) -> dict[str, Tensor]:
        """ids (B, N) with masked codes, seen (B, N) bool, targets (B, n), IGNORED where a code is not masked."""
        indices = self.pictures.order.indices(step * size, size).tolist()
        return self._masked(self.corpus, indices, step * size)

    def _masked(self, corpus: Corpus, indices: Sequence[int], first: int) -> dict[str, Tensor]:
        """Pictures as ``batch`` has them; what is masked depends on the positions, which begin with ``first``."""
        size, vocabulary, (height, width) = len(indices), self.vocabulary, corpus.grid
        rows, wanted = [], []
        for place, index in enumerate(indices, first):
            rng = np.random.default_rng((self.recipe.loop.seed, 1, place))
            codes = corpus.grids[index].reshape(-1).astype(np.int64)
            noisy, targets = self._noised(codes, rng)
            prompt = draw_prefix(self._prompt(corpus, index, rng), height, width, vocabulary)
            ids = np.where(noisy < 0, -1, vocabulary.codes_to_ids(noisy))
            rows.append(sequence.ids_of(prompt, ids.tolist(), vocabulary))
            wanted.append(targets)
        lengths = np.array([len(row) for row in rows])
        ids_BN = np.full((size, lengths.max()), vocabulary.special("pad"), np.int64)
        for padded, row in zip(ids_BN, rows, strict=True):
            padded[: len(row)] = row
        batch = {"ids": ids_BN, "seen": np.arange(lengths.max()) < lengths[:, None]}
        batch |= {name: np.stack([targets[name] for targets in wanted]) for name in wanted[0]}
        return {name: torch.from_numpy(value) for name, value in batch.items()}

    def _noised(self, codes_n: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Codes as the network reads them, negative where masked, and what the loss takes."""
        masked = mask(len(codes_n), rng)
        return np.where(masked, -1, codes_n), {"targets": np.where(masked, codes_n, IGNORED)}

    def validation(self, number: int, size: int) -> dict[str, Tensor] | None:
        """Validation pictures, masked always alike."""
        if self.held is None:
            return None
        indices = turn(number, size, len(self.held.samples))
        return self._masked(self.held, indices, number * size) if indices else None

    def validation_loss(self, batch: Any, generator: torch.Generator) -> Metrics:
        """Of the masked codes."""
        loss, metrics = self.loss("model", batch, 0, generator)
        return {"loss": loss, **metrics}

    def _prompt(self, corpus: Corpus, index: int, rng: np.random.Generator) -> Sequence[int]:
        """The ids of one of a picture's captions; none where it has none, or where it is dropped."""
        if rng.random() < self.recipe.dropped:
            return []
        caption, language = corpus.caption(index, rng, other=True)
        return corpus.encode(corpus.request(caption, language, rng)) if caption else []

    def loss(self, module: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Cross-entropy of the masked codes."""
        logits_BnK = self.model(batch["ids"], batch["seen"], *self.pictures.grid)
        logits_MK, targets_M = logits_BnK.flatten(0, 1).float(), batch["targets"].flatten()
        loss = F.cross_entropy(logits_MK, targets_M, ignore_index=IGNORED)
        with torch.no_grad():
            masked = targets_M != IGNORED
            right = (logits_MK.argmax(-1) == targets_M)[masked].float().mean()
        return loss, {"right": right}

    uses_muon = staticmethod(in_blocks)

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Validation pictures above what the model drafts for one caption of each, in alternating languages."""
        val = self.pictures.val
        if not (captions := shown_captions(val)):
            return
        drafts = draft(self._drafter(), [self._request(*each) for each in captions.items()])
        height, width = self.pictures.grid
        grids = [codes_from(ids, height, width, self.vocabulary) for ids in drafts]
        save_captioned(folder, step, val, captions, paint(self.tokenizer, np.stack(grids)))

    def _request(self, seed: int, caption: str) -> Request:
        vocabulary, (height, width) = self.vocabulary, self.pictures.grid
        return Request(
            draw_prefix(self.corpus.encode(caption), height, width, vocabulary),
            (vocabulary.code_range,),
            limit=height * width,
            seed=seed,
            unconditional=unconditional_prefix(height, width, vocabulary),
            guidance=GUIDANCE,
        )

    def export(self, folder: Path) -> None:
        """Write the language model as a model directory keeps it."""
        self.model.save(folder, self.corpus.codec)


def mask(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) bool: which codes are masked, a share of cos(π/2 · r) for r uniform in [0, 1), and one at least."""
    masked = np.zeros(count, bool)
    masked[rng.permutation(count)[: int(np.ceil(np.cos(np.pi / 2 * rng.random()) * count)) or 1]] = True
    return masked


def masked() -> MaskedRecipe:
    """For a small world (``lantu data build emoji --world few --styles noto --train 6000``): 3M parameters.

    After 560 steps the loss should be near 1.5, and 72 % of the masked codes right.
    """
    return MaskedRecipe(
        loop=LoopConfig(
            steps=1200,
            batch_size=32,
            lr=3e-3,
            warmup_steps=100,
            decay_fraction=0.3,
            optimizer="muon",
            sample_every=500,
        ),
    )


def debug() -> MaskedRecipe:
    """In seconds."""
    return MaskedRecipe(
        text_size=512,
        width=64,
        layers=2,
        passes=4,
        loop=LoopConfig(steps=60, batch_size=16, lr=3e-3, warmup_steps=5, precision="fp32"),
    )


RECIPES = {"masked": masked, "masked-debug": debug}
