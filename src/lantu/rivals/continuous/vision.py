"""The frozen vision encoder whose features are the visual embeddings, as EVA-CLIP's are Emu's.

EfficientNet-Lite0 was trained on ImageNet's labels, so its features say what a thing is. Emu2 (arXiv:2312.13286) takes
a grid of 8 × 8 embeddings of a frozen encoder, without Emu's causal transformer behind it; a picture of 128 pixels has
as many here. Shapes: B pictures, C H W pixels, n = H·W/256 cells, E = 112 numbers of a vector.
"""

import hashlib
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from lantu.features.efficientnet import FeatureMaps, load_efficientnet
from lantu.models.lantu import saving
from lantu.weights.lite0 import PIXELS


class VisionConfig(BaseModel):
    """Which network it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Literal["efficientnet-lite0"] = "efficientnet-lite0"


class VisionEncoder(FeatureMaps):
    """Pictures → the vectors of their cells of ``PIXELS`` × ``PIXELS``."""

    patch = PIXELS

    def __init__(self, config: VisionConfig | None = None):
        super().__init__()
        self.config = config or VisionConfig()

    @torch.no_grad()
    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Pictures in [-1, 1], sides multiples of ``patch`` → (B, n, E)."""
        return self.maps(pixels_BCHW).float().flatten(2).transpose(1, 2).contiguous()

    def digest(self) -> str:
        """The SHA-256 of its weights as a model directory keeps them."""
        state = sorted(self.state_dict().items())
        content = (name.encode() + value.bfloat16().view(torch.int16).numpy().tobytes() for name, value in state)
        return hashlib.sha256(b"".join(content)).hexdigest()

    def save(self, folder: str | Path) -> None:
        """Write config.json and safetensors."""
        saving.save(self, self.config, folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what ``save`` wrote, ready for inference. Raises ModelError where it is missing or damaged."""
        return saving.load(lambda config: cls(VisionConfig(**config)), "vision", folder)

    @classmethod
    def published(cls, trained: bool = True) -> Self:
        """The published network, its weights as a model directory keeps them.

        Args:
            trained: its weights; else random ones, by which the rest can be tried without them.

        Raises:
            DataError: they can't be fetched.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = cls()
            for layer in network.modules():
                if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                    nn.init.zeros_(layer.bias)
        if trained:
            state = load_efficientnet().state_dict()
            network.load_state_dict({name: state[name] for name in network.state_dict()})
        return network.bfloat16().float().eval().requires_grad_(False)
