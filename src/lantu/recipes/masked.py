"""Recipes of a language model that drafts by masked diffusion (MaskGIT, arXiv:2202.04200).

    lantu train language --recipe masked --data DATA --tokenizer lantu-emoji

It learns the codes of a trained image tokenizer, as the recipes of next-token models do, and takes the same decoder.
Shapes: B pictures, n = h·w codes of a picture, N ids of codes and prompt.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from lantu.data.asking import ask
from lantu.data.order import Order
from lantu.data.shards import Shards
from lantu.engine.drafting import draft
from lantu.engine.masked_diffusion import MaskedDrafter
from lantu.engine.request import Request
from lantu.files import write_text
from lantu.images import scale, to_array, to_tensor
from lantu.models.lantu.layers import in_blocks
from lantu.models.masked import sequence
from lantu.models.masked.config import MaskedConfig
from lantu.models.masked.network import MaskedTransformer
from lantu.recipes.captions import learnable
from lantu.recipes.codes import codes_of, load_tokenizer
from lantu.recipes.drafts import paint
from lantu.recipes.sheets import save_sheet, shown
from lantu.tokens import bpe
from lantu.tokens.document import codes_from, draw_prefix, unconditional_prefix
from lantu.tokens.vocabulary import Vocabulary
from lantu.training.config import LoopConfig
from lantu.training.task import Metrics
from lantu.types import Sample

GUIDANCE = 2.0  # of the sheets of samples
IGNORED = -100  # a target that takes no part in the loss


class MaskedRecipe(BaseModel):
    """One way to train a masked language model.

    Attributes:
        tokenizer: folder of the trained image tokenizer whose codes it learns.
        text_size: ids of the byte-level BPE, trained on this data's captions.
        width, layers: of the transformer.
        passes, choice_temperature: how it drafts, see ``MaskedConfig``.
        dropped: share of pictures that are learnt without their caption, which guidance needs.
        asked: share of captions put as a person would ask, see ``lantu.data.asking``.
        longest: ids of a caption; longer ones are cut off.
    """

    model_config = ConfigDict(extra="forbid")

    tokenizer: str = ""
    text_size: int = 2048
    width: int = 192
    layers: int = 4
    passes: int = Field(12, ge=1)
    choice_temperature: float = Field(4.5, ge=0)
    dropped: float = Field(0.1, ge=0, le=1)
    asked: float = Field(0.35, ge=0, le=1)
    longest: int = Field(128, ge=1)
    loop: LoopConfig = LoopConfig()


class Task:
    """Prompts and partly masked codes in, the masked codes out."""

    def __init__(self, recipe: MaskedRecipe, data: Path):
        self.recipe = recipe
        self.tokenizer = tokenizer = load_tokenizer(recipe.tokenizer)
        shards, self._grids = Shards(data, "train"), codes_of(data, tokenizer, "train")
        self._val = Shards(data, "val", or_empty=True)
        self._order = Order(len(shards), recipe.loop.seed)
        samples = [shards.sample(index) for index in range(len(shards))]
        self._codec = bpe.train(texts_of(samples), recipe.text_size)
        self._samples, self.notes = learnable(samples, self._codec, recipe.longest)
        self._encode = lru_cache(maxsize=1 << 19)(self._codec.encode)
        self._vocabulary = Vocabulary(self._codec.size, tokenizer.config.codebook_size)
        self.model = MaskedTransformer(self._config())
        self.networks: dict[str, nn.Module] = {"model": self.model}
        tokens = self._grids.shape[1] * self._grids.shape[2] + 20
        self.flops_per_sample = 6.0 * tokens * sum(parameter.numel() for parameter in self.model.parameters())

    def _config(self) -> MaskedConfig:
        recipe, vocabulary = self.recipe, self._vocabulary
        return MaskedConfig(
            width=recipe.width,
            layers=recipe.layers,
            passes=recipe.passes,
            choice_temperature=recipe.choice_temperature,
            lantu={
                "text_size": vocabulary.text_size,
                "codebook_size": vocabulary.codebook_size,
                "grid": list(self._grids.shape[1:]),
                "learnt": [],
                "tokenizer": self.tokenizer.codes_digest(),
            },
        )

    def batch(self, step: int, size: int) -> dict[str, Tensor]:
        """ids (B, N) with masked codes, seen (B, N) bool, targets (B, n), IGNORED where a code is not masked."""
        places = range(step * size, (step + 1) * size)
        indices = self._order.indices(places[0], size).tolist()
        vocabulary, (height, width) = self._vocabulary, self._grids.shape[1:]
        rows, targets = [], []
        for place, index in zip(places, indices, strict=True):
            rng = np.random.default_rng((self.recipe.loop.seed, 1, place))
            codes = self._grids[index].reshape(-1).astype(np.int64)
            masked = mask(height * width, rng)
            prompt = draw_prefix(self._prompt(index, rng), height, width, vocabulary)
            rows.append(
                sequence.ids_of(prompt, np.where(masked, -1, vocabulary.codes_to_ids(codes)).tolist(), vocabulary)
            )
            targets.append(np.where(masked, codes, IGNORED))
        lengths = np.array([len(row) for row in rows])
        ids_BN = np.full((size, lengths.max()), vocabulary.special("pad"), np.int64)
        for padded, row in zip(ids_BN, rows, strict=True):
            padded[: len(row)] = row
        batch = {"ids": ids_BN, "seen": np.arange(lengths.max()) < lengths[:, None], "targets": np.stack(targets)}
        return {name: torch.from_numpy(value) for name, value in batch.items()}

    def _prompt(self, index: int, rng: np.random.Generator) -> Sequence[int]:
        """The ids of one of a picture's captions; none where it has none, or where it is dropped."""
        captions = {language: texts for language, texts in self._samples[index].captions.items() if texts}
        if not captions or rng.random() < self.recipe.dropped:
            return []
        language = sorted(captions)[rng.integers(len(captions))]
        caption = captions[language][rng.integers(len(captions[language]))]
        return self._encode(ask(caption, language, rng) if rng.random() < self.recipe.asked else caption)

    def loss(self, player: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Cross-entropy of the masked codes."""
        logits_BnK = self.model(batch["ids"], batch["seen"], *self._grids.shape[1:])
        logits_MK, targets_M = logits_BnK.flatten(0, 1).float(), batch["targets"].flatten()
        loss = F.cross_entropy(logits_MK, targets_M, ignore_index=IGNORED)
        with torch.no_grad():
            masked = targets_M != IGNORED
            right = (logits_MK.argmax(-1) == targets_M)[masked].float().mean()
        return loss, {"right": right}

    def hidden(self, name: str, parameter: Tensor) -> bool:
        """Muon takes the matrices of the blocks."""
        return in_blocks(name, parameter)

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Real pictures above what the model drafts for one of their captions, English and Chinese in turn."""
        captions = {index: caption_of(self._val.sample(index), index) for index in shown(self._val).tolist()}
        captions = {index: caption for index, caption in captions.items() if caption}
        if not captions:
            return
        drafts = draft(MaskedDrafter(self.model, together=64), [self._request(*each) for each in captions.items()])
        height, width = self._grids.shape[1:]
        grids = [codes_from(ids, height, width, self._vocabulary) for ids in drafts]
        drawn = paint(self.tokenizer, np.stack(grids))
        real = scale(to_tensor(self._val.images(np.array(list(captions)))), *drawn.shape[1:3])
        save_sheet(folder / f"{step:06d}.png", [to_array(real), drawn])
        write_text(folder / f"{step:06d}.txt", "\n".join(captions.values()) + "\n")

    def _request(self, seed: int, caption: str) -> Request:
        vocabulary, (height, width) = self._vocabulary, self._grids.shape[1:]
        return Request(
            draw_prefix(self._encode(caption), height, width, vocabulary),
            (vocabulary.code_range,),
            limit=height * width,
            seed=seed,
            unconditional=unconditional_prefix(height, width, vocabulary),
            guidance=GUIDANCE,
        )

    def export(self, folder: Path) -> None:
        """Write the language model where a model directory keeps it."""
        self.model.save(folder, self._codec)


def texts_of(samples: Sequence[Sample]) -> list[str]:
    """Every caption, once."""
    return sorted({text for sample in samples for texts in sample.captions.values() for text in texts})


def caption_of(sample: Sample, number: int) -> str:
    """A caption in one of a picture's languages, chosen by ``number``; "" where there is none."""
    captions = [texts[0] for _, texts in sorted(sample.captions.items()) if texts]
    return captions[number % len(captions)] if captions else ""


def mask(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) bool: which codes are masked, a share of cos(π/2 · r) for r uniform in [0, 1), and one at least."""
    masked = np.zeros(count, bool)
    masked[rng.permutation(count)[: int(np.ceil(np.cos(np.pi / 2 * rng.random()) * count)) or 1]] = True
    return masked


def masked() -> MaskedRecipe:
    """For a small world (``lantu data build emoji --world few --styles noto --train 6000``): 3M parameters."""
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
