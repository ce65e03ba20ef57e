"""The parts of Janus that transformers computes: VQ decoder and encoder, and the tower that reads pictures.

Each loads its own tensors of the directory and no others, in the dtype in which they are stored.
Shapes: B batch, H W pixels, h w grid, N ids of a prompt, F features of a picture, D width of the language model.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu.engine.request import Embeddings
from lantu.errors import ModelError
from lantu.models.janus import weights
from lantu.models.janus.config import Config
from lantu.models.janus.layout import JanusLayout
from lantu.models.published.modules import HINT, load, require
from lantu.models.published.text import first_line
from lantu.weights import manifest

if TYPE_CHECKING:
    from PIL.Image import Image

HALF = np.float32(127.5)


class Vq:
    """The image tokenizer, a VQ-GAN: codes → pixels and back.

    Attributes:
        patch: pixels a side of one code.
        grid: the one that it decodes, height and width in codes.
    """

    def __init__(self, folder: str | Path, config: Config, device: str = "cpu"):
        require("Janus")
        from transformers import JanusVQVAEConfig
        from transformers.models.janus.modeling_janus import JanusVQVAE

        settings: dict[str, Any] = {**config.vq, "num_patches": config.grid[0]}
        self.patch, self.grid, self.device = config.patch, config.grid, device
        self.network: Any = load(lambda: JanusVQVAE(JanusVQVAEConfig(**settings)), folder, weights.VQ, device)

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> "Vq":
        """Read it from a Janus directory.

        Raises:
            ModelError: a file is missing or damaged, or a tensor is not the one that config.json asks for.
            LantuError: transformers is not installed.
        """
        return cls(folder, Config.read(folder), device)

    def decode(self, codes_Bhw: np.ndarray) -> np.ndarray:
        """Codes → (B, 3, H, W) float32 in [-1, 1].

        Values are those of the 256 levels that transformers' image processor makes of them: it rounds down.
        """
        scaled_BCHW = (self.pixels(codes_Bhw) + 1) * HALF
        return scaled_BCHW.clip(0, 255).astype(np.uint8).astype(np.float32) / HALF - 1

    def pixels(self, codes_Bhw: np.ndarray) -> np.ndarray:
        """What the network computes: (B, 3, H, W) float32, about [-1, 1]."""
        import torch

        if codes_Bhw.shape[1:] != self.grid or (codes_Bhw < 0).any():
            raise ValueError(f"codes of shape {codes_Bhw.shape}, each known, not {self.grid}")
        # One by one: a picture must not depend on those that are decoded with it.
        with torch.inference_mode():
            ids_BN = torch.from_numpy(np.ascontiguousarray(codes_Bhw, np.int64)).flatten(1).to(self.device)
            pixels = torch.cat([self.network.decode(ids_N[None]) for ids_N in ids_BN]).float().cpu().numpy()
        manifest.check_finite("decoder", pixels)
        return pixels

    def encode(self, pixels_BCHW: np.ndarray) -> np.ndarray:
        """Pictures (B, 3, H, W) in [-1, 1] → codes (B, h, w) int64.

        Raises:
            ModelError: the weights are damaged: some numbers are not finite.
        """
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(pixels_BCHW).to(self.device, self.network.dtype)
            found = [self.network.encode(each[None]) for each in pixels]
        # How far the vectors are from those of their codes: NaN if any of them is.
        manifest.check_finite("tokenizer", np.array([float(each.embedding_loss) for each in found]))
        return torch.stack([each.image_tokens for each in found]).reshape(-1, *self.grid).cpu().numpy()


class Reader:
    """A picture and a question → a prompt of embeddings: the SigLIP tower, its aligner, and the text around them.

    Args:
        embed: the language model's vectors of ids, (N,) → (N, D) float32.
    """

    def __init__(self, layout: JanusLayout, embed: Callable[[Sequence[int]], np.ndarray], device: str = "cpu"):
        require("Janus")
        from transformers import JanusProcessor, JanusVisionConfig, JanusVisionModel
        from transformers.models.janus.modeling_janus import JanusVisionAlignerMLP

        config, folder = layout.config, layout.folder.path
        vision: dict[str, Any] = dict(config.vision)
        self.layout, self.embed, self.device = layout, embed, device
        self.tower: Any = load(lambda: JanusVisionModel(JanusVisionConfig(**vision)), folder, weights.TOWER, device)
        self.aligner: Any = load(
            lambda: JanusVisionAlignerMLP(JanusVisionConfig(**vision)), folder, weights.ALIGNER, device
        )
        try:
            self.processor: Any = JanusProcessor.from_pretrained(str(folder), local_files_only=True)
        except Exception as problem:  # of any kind: transformers does not check what a file says
            what = f"no processor of pictures can be read in {folder} ({first_line(problem)})"
            raise ModelError(what, HINT) from problem

    def prompt(self, picture: "Image", question: str) -> Embeddings:
        """What the language model reads of a picture and a question."""
        features_FD = self.features(picture)
        token = self.layout.config.image_token
        ids = self.spread(self.layout.ids_of([{"type": "image"}, {"type": "text", "text": question}]), len(features_FD))
        vectors_ND = np.array(self.embed(ids), np.float32)
        vectors_ND[np.array(ids) == token] = features_FD
        return Embeddings(vectors_ND)

    def spread(self, ids: Sequence[int], features: int) -> list[int]:
        """The placeholder of a picture becomes begin, one placeholder a feature, end: as transformers' processor does.

        Raises:
            ModelError: the chat template has no place for a picture, or several.
        """
        words, token = self.processor.tokenizer, self.layout.config.image_token
        begin, end = (words.convert_tokens_to_ids(name) for name in (words.boi_token, words.eoi_token))
        if (places := list(ids).count(token)) != 1:
            what = f"{places} places for a picture" if places else "no place for a picture"
            raise ModelError(f"the chat template in {self.layout.folder} has {what}", HINT)
        at = list(ids).index(token)
        return [*ids[:at], begin, *[token] * features, end, *ids[at + 1 :]]

    def features(self, picture: "Image") -> np.ndarray:
        """(F, D) float32."""
        import torch

        pixels = self.processor.image_processor(images=[picture], return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            hidden = self.tower(pixels.to(self.device, self.tower.dtype)).last_hidden_state
            return self.aligner(hidden)[0].float().cpu().numpy()
