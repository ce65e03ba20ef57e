"""Recipes of discrete diffusion as in VQ-Diffusion (arXiv:2111.14822): ``lantu.rivals.vq_diffusion``.

    lantu train rival --recipe vq-diffusion --data DATA --tokenizer lantu-emoji

It learns the codes of a trained image tokenizer, as lantu's own language models do, and takes the same decoder.
Shapes: B pictures, n = h·w codes of a picture, K codebook size.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from lantu.engine.drafting import Drafter
from lantu.recipes import masked
from lantu.recipes.assemble import CLASSES
from lantu.recipes.masked import MaskedRecipe
from lantu.recipes.rivals import directory
from lantu.recipes.sources import beside, part_folder
from lantu.rivals.vq_diffusion.config import VqDiffusionConfig
from lantu.rivals.vq_diffusion.drafter import VqDiffusionDrafter
from lantu.rivals.vq_diffusion.folder import CLASS, FOLDER_KIND, LANGUAGE
from lantu.rivals.vq_diffusion.loss import divergence
from lantu.rivals.vq_diffusion.network import VqDiffusionTransformer
from lantu.rivals.vq_diffusion.transitions import corrupt
from lantu.training.config import LoopConfig
from lantu.training.flops import flops_per_sample
from lantu.training.task import Metrics

RECIPE = "vq-diffusion"
DRAW = {"guidance": 3.0, "temperature": 1.0, "top_p": 0.86}  # with the truncation of arXiv:2111.14822


class VqDiffusionRecipe(MaskedRecipe):
    """How a discrete diffusion model is trained: see ``MaskedRecipe``.

    Attributes:
        decoder: a run, a model or a folder of a decoder of the tokenizer's codes; "" for that beside the tokenizer.
        passes: forward passes of a draft.
        steps, noise: of the diffusion, and the share of codes that are masked at its end, see ``VqDiffusionConfig``.
        auxiliary: weight of the cross-entropy of the clean codes, beside the bound.
    """

    decoder: str = ""
    passes: int = Field(25, ge=1)
    steps: int = Field(100, ge=1)
    noise: float = Field(0.9, gt=0, lt=1)
    auxiliary: float = Field(5e-4, ge=0)

    @model_validator(mode="after")
    def fits(self):
        """Check that no pass is less than a step."""
        if self.passes > self.steps:
            raise ValueError(f"{self.passes} passes through {self.steps} steps")
        return self


class Task(masked.Task):
    """From prompts and noisy codes to the clean codes."""

    shardable = False

    recipe: VqDiffusionRecipe  # pyrefly: ignore[bad-override-mutable-attribute]
    exported = FOLDER_KIND

    def __init__(self, recipe: VqDiffusionRecipe, data: Path):
        super().__init__(recipe, data)
        self._parts = {"tokenizer": part_folder(recipe.tokenizer, "tokenizer")}
        self._parts["decoder"] = part_folder(recipe.decoder or beside(self._parts["tokenizer"], "decoder"), "decoder")
        self.flops_per_sample = flops_per_sample(self)

    def _network(self) -> nn.Module:
        """The network to train."""
        return VqDiffusionTransformer(
            VqDiffusionConfig(**self._sizes(), steps=self.recipe.steps, masked=self.recipe.noise)
        )

    def _drafter(self) -> Drafter:
        """What draws with the network as it is now."""
        return VqDiffusionDrafter(self.model, max_drafts=64)

    def _noised(self, codes_n: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Codes at a random time, negative where masked; the time, the noisy and the clean codes."""
        schedule, t = self.model.schedule, int(rng.integers(1, self.recipe.steps + 1))
        size = schedule.codebook_size
        noisy_n = corrupt(codes_n, schedule.until(t), size, rng)
        wanted = {"targets": codes_n, "noisy": noisy_n, "time": np.array(t)}
        return np.where(noisy_n == size, -1, noisy_n), wanted

    def loss(self, module: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The bound in nats a code, and the weighted cross-entropy of the clean codes (arXiv:2111.14822, 5.1)."""
        clean_Bn, noisy_Bn, t_B = batch["targets"], batch["noisy"], batch["time"]
        logits_BnK = self.model.clean(batch["ids"], batch["seen"], self.pictures.grid, t_B).float()
        bound = self.recipe.steps * divergence(logits_BnK, clean_Bn, noisy_Bn, t_B, self.model.schedule).mean()
        clean = F.cross_entropy(logits_BnK.flatten(0, 1), clean_Bn.flatten())
        with torch.no_grad():
            hidden = noisy_Bn == logits_BnK.shape[-1]
            right = (logits_BnK.argmax(-1) == clean_Bn)[hidden].float().mean()
        loss = bound + self.recipe.steps * self.recipe.auxiliary * clean
        return loss, {"bound": bound.detach(), "clean": clean.detach(), "right": right}

    def export(self, folder: Path) -> None:
        """Write a complete model directory."""
        classes = {part: CLASSES[part] for part in self._parts}
        index = {"_class_name": CLASS, **classes, "language": LANGUAGE, "draw": DRAW}
        parts: dict[str, directory.Part] = {
            **self._parts,
            "language": lambda place: self.model.save(place, self.corpus.codec),
        }
        directory.write(folder, FOLDER_KIND, index, parts, RECIPE, self.flops_per_sample)


def emoji() -> VqDiffusionRecipe:
    """6.1M parameters beside tokenizer and decoder, about as many as lantu's language model; 25 passes."""
    return VqDiffusionRecipe(
        width=256,
        layers=5,
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


def debug() -> VqDiffusionRecipe:
    """In seconds."""
    return VqDiffusionRecipe(
        text_size=512,
        width=64,
        layers=2,
        passes=5,
        steps=20,
        loop=LoopConfig(steps=60, batch_size=16, lr=3e-3, warmup_steps=5, precision="fp32"),
    )


RECIPES = {RECIPE: emoji, f"{RECIPE}-debug": debug}
