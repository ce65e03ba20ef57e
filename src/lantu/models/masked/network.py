"""The masked language model on torch: prompt and partly masked codes → logits of all codes. Its base serves others.

Shapes: B batch, N ids of codes and prompt, n = h·w codes, D width, K codebook size.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu import files
from lantu.engine.request import Ranges
from lantu.models.lantu.layers import Block, RMSNorm
from lantu.models.masked import sequence
from lantu.models.masked.config import BidirectionalConfig, MaskedConfig
from lantu.tokens import bpe
from lantu.weights import manifest, tensors
from lantu.weights.language_config import vocabulary_of

FOLDER_KIND = files.FolderKind(
    "a masked language model", ("config.json",), files.WEIGHTS.files, ("model_type", manifest.MASKED)
)


class BidirectionalTransformer(nn.Module):
    """A bidirectional transformer over codes and a prompt. Input and output embeddings are tied, and only the codes
    have logits.

    Attributes:
        part: what ``lantu.weights.manifest`` calls it.
        sizes: the class of its config.
        folder_kind: of the folder that ``save`` writes.
        modulated: its blocks take a modulation, by which they are told the time of a diffusion.
    """

    part: ClassVar[str]
    sizes: ClassVar[type[BidirectionalConfig]]
    folder_kind: ClassVar[files.FolderKind]
    modulated: ClassVar[bool] = False
    exact = False

    def __init__(self, config: Any):
        super().__init__()
        self.config, self.vocabulary = config, vocabulary_of(config.model_dump())
        self.passes = config.passes
        self.embedding = nn.Embedding(self.vocabulary.size, config.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        blocks = (Block(config.width, config.heads, conditioned=self.modulated) for _ in range(config.layers))
        self.blocks = nn.ModuleList(blocks)
        self.norm = RMSNorm(config.width)

    def forward(
        self, ids_BN: Tensor, seen_BN: Tensor, height: int, width: int, modulation_B6D: Tensor | None = None
    ) -> Tensor:
        """Logits of each cell's code, (B, n, K).

        Args:
            ids_BN: of codes, then of the prompt, then padding (``sequence.ids_of``).
            seen_BN: bool; False for padding.
            modulation_B6D: see ``Block``.
        """
        codes = self.vocabulary.code_range
        codes_KD = self.embedding.weight[codes.start : codes.stop]
        x_BND = F.embedding(ids_BN, self.embedding.weight)
        return F.linear(self.hidden(x_BND, seen_BN, height, width, modulation_B6D), codes_KD)

    def hidden(
        self, x_BND: Tensor, seen_BN: Tensor, height: int, width: int, modulation_B6D: Tensor | None = None
    ) -> Tensor:
        """Embeddings of cells and prompt → normalised hidden states of the cells, (B, n, D)."""
        config, n = self.config, height * width
        turn = sequence.rotation(height, width, x_BND.shape[1] - n, config.width // config.heads)
        turn_2NK = torch.from_numpy(turn).to(x_BND.device)
        mask_B11N = None if bool(seen_BN.all()) else seen_BN[:, None, None]
        for block in self.blocks:
            x_BND = block(x_BND, turn_2NK, modulation_B6D, mask_B11N)
        return self.norm(x_BND[:, :n])

    @torch.inference_mode()
    def logits(
        self,
        prompts: Sequence[Sequence[int]],
        drafts: Sequence[Sequence[int]],
        ranges: Ranges,
        modulation_B6D: Tensor | None = None,
    ) -> list[np.ndarray]:
        """See ``lantu.engine.masked_diffusion.MaskedLanguage``; one sequence after another."""
        vocabulary, found = self.vocabulary, []
        for prompt, draft in zip(prompts, drafts, strict=True):
            ids = torch.from_numpy(sequence.ids_of(prompt, draft, vocabulary))[None].to(self.embedding.weight.device)
            grid, seen = sequence.grid_of(prompt, vocabulary), torch.ones_like(ids, dtype=torch.bool)
            logits_nK = self(ids, seen, *grid, modulation_B6D)[0]
            columns = [vocabulary.ids_to_codes(id_) for allowed in ranges for id_ in allowed]
            found.append(logits_nK[:, columns].float().cpu().numpy())
        return found

    def save(self, folder: str | Path, codec: bpe.TextCodec, dtype: torch.dtype = torch.bfloat16) -> None:
        """Write config.json, safetensors and the text tokenizer, whole or not at all.

        Raises:
            DiskError: they can't be written.
        """
        config = self.config.model_dump() | {"dtype": str(dtype).removeprefix("torch.")}
        with files.replacing_folder(folder, self.folder_kind) as temporary:
            tensors.save(self.state_dict(), temporary, dtype)
            files.write_json(temporary / "config.json", config)
            bpe.save(codec, self.vocabulary, temporary)

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Self:
        """Read what ``save`` wrote, in float32, without gradients.

        Raises:
            ModelError: it is missing or damaged.
        """
        network = cls(cls.sizes(**manifest.read(cls.part, folder)))
        network.load_state_dict({name: value.float() for name, value in tensors.load(Path(folder)).items()})
        return network.eval().requires_grad_(False).to(device)


class MaskedTransformer(BidirectionalTransformer):
    """Predicts masked codes (MaskGIT, arXiv:2202.04200)."""

    part, sizes, folder_kind = "masked", MaskedConfig, FOLDER_KIND

    def __init__(self, config: MaskedConfig):
        super().__init__(config)
        self.choice_temperature = config.choice_temperature
