"""The image tokenizer: picture → codes, and the plain decoder with which it is trained.

Shapes: B batch, C = 3 channels, H W pixels, h w grid, N = h·w, D width, E code width, S semantic width.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lantu.errors import ImageError, ModelError
from lantu.images import to_array
from lantu.models.lantu import saving
from lantu.models.lantu.layers import Block, OverlapPatches, rotation, same_window, to_windows
from lantu.models.lantu.tokenizer.config import TokenizerConfig
from lantu.models.lantu.tokenizer.quantizer import Quantizer


class Encoder(nn.Module):
    """Windows of pixels → transformer blocks → the narrow space in which codes are looked up."""

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.config = config
        self.patches = nn.Linear(3 * (config.patch + 2 * config.rim) ** 2, config.width)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.encoder_layers))
        self.out = nn.Linear(config.width, config.code_width)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """The vector of each cell before quantisation: (B, N, E)."""
        config = self.config
        height, width = (side // config.patch for side in pixels_BCHW.shape[2:])
        x_BND = self.patches(to_windows(pixels_BCHW, config.patch, config.rim))
        B, N, D = x_BND.shape
        if config.encoder_window == 1:  # each token by itself
            x_BND, height, width = x_BND.reshape(B * N, 1, D), 1, 1
        rotation_2NK = rotation(height, width, config.width // config.heads, device=x_BND.device)
        mask_NN = (
            same_window(height, width, config.encoder_window).to(x_BND.device) if config.encoder_window > 1 else None
        )
        for block in self.blocks:
            x_BND = block(x_BND, rotation_2NK, mask_NN=mask_NN)
        return self.out(x_BND.reshape(B, N, D))


class PlainDecoder(nn.Module):
    """Code vectors → pixels in one pass. The encoder is trained with it, and the diffusion decoder starts from it.

    Its middle layer also predicts a vision network's features, so that codes carry what a thing *is* and not only its
    pixels: such codes are easier for a language model (SEED, arXiv:2310.01218).
    """

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.config = config
        self.embed = nn.Linear(config.code_width, config.width)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.decoder_layers))
        self.out = OverlapPatches(config.width, config.patch)
        self.semantic = nn.Linear(config.width, config.semantic_width) if config.semantic_width else None

    def forward(self, vectors_BNE: Tensor, height: int, width: int) -> tuple[Tensor, Tensor | None]:
        """Pixels (B, C, H, W) and, if it was trained to predict them, features (B, N, S)."""
        rotation_2NK = rotation(height, width, self.config.width // self.config.heads, device=vectors_BNE.device)
        x_BND = self.embed(vectors_BNE)
        features = None
        for index, block in enumerate(self.blocks):
            x_BND = block(x_BND, rotation_2NK)
            if self.semantic is not None and index == len(self.blocks) // 2 - 1:
                features = self.semantic(x_BND)
        return self.out(x_BND, height, width), features


@dataclass(frozen=True)
class Reconstruction:
    """The result of one pass: pixels, codes, the quantiser's loss and the predicted features."""

    pixels: Tensor
    codes: Tensor
    quantizer_loss: Tensor
    features: Tensor | None


class ImageTokenizer(nn.Module):
    """Encoder, quantiser and plain decoder."""

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quantizer = Quantizer(config)
        self.decoder = PlainDecoder(config)

    def forward(self, pixels_BCHW: Tensor) -> Reconstruction:
        """Reconstruct pictures with values in [-1, 1]."""
        height, width = self.grid(pixels_BCHW)
        vectors, codes, loss = self.quantizer(self.encoder(pixels_BCHW))
        pixels, features = self.decoder(vectors, height, width)
        return Reconstruction(pixels, codes.view(-1, height, width), loss, features)

    @torch.no_grad()
    def encode(self, pixels_BCHW: Tensor) -> Tensor:
        """Pictures in [-1, 1] → codes (B, h, w) int64.

        Raises:
            ImageError: a side is not a multiple of the patch.
        """
        height, width = self.grid(pixels_BCHW)
        return self.quantizer(self.encoder(pixels_BCHW))[1].view(-1, height, width)

    @torch.inference_mode()
    def paint(self, codes_Bhw: np.ndarray) -> np.ndarray:
        """Codes → (B, H, W, 3) uint8, in one pass of the plain decoder."""
        vectors_BNE = self.quantizer.vectors()[torch.from_numpy(codes_Bhw).flatten(1)]
        return to_array(self.decoder(vectors_BNE, *codes_Bhw.shape[1:])[0])

    @property
    def size(self) -> int:
        """Pixels a side of the pictures that it was trained on."""
        return self.config.size

    @property
    def codebook_size(self) -> int:
        """Number of codes."""
        return self.config.codebook_size

    def code_embeddings(self) -> Tensor:
        """The plain decoder's embedding of each code: (K, D)."""
        return self.decoder.embed(self.quantizer.vectors().float())

    def freeze_codes(self) -> None:
        """Freeze the mapping of pictures to codes: from now on only the plain decoder is trained."""
        self.encoder.requires_grad_(False)
        self.quantizer.requires_grad_(False)
        self.quantizer.frozen = True

    def codes_digest(self) -> str:
        """The SHA-256 of all that maps pictures to codes; training the plain decoder doesn't change it."""
        digest = hashlib.sha256(self.config.describe().encode())
        tensors = {**self.encoder.state_dict(), **self.quantizer.mapping()}
        for name, value in sorted(tensors.items()):
            digest.update(name.encode() + value.detach().to(torch.bfloat16).view(torch.int16).numpy().tobytes())
        return digest.hexdigest()

    def grid(self, pixels_BCHW: Tensor) -> tuple[int, int]:
        """Rows and columns of codes.

        Raises:
            ImageError: a side is not a multiple of the patch.
        """
        H, W = pixels_BCHW.shape[2:]
        if H % self.config.patch or W % self.config.patch:
            raise ImageError(f"a picture of {W}x{H} pixels", f"make each side a multiple of {self.config.patch}")
        return H // self.config.patch, W // self.config.patch

    def save(self, folder: str | Path) -> None:
        """Write config.json and safetensors."""
        saving.save(self, self.config, folder)

    @classmethod
    def load(cls, folder: str | Path) -> "ImageTokenizer":
        """Read what ``save`` wrote, ready for inference.

        Raises:
            ModelError: it is missing or damaged, or has no codebook yet.
        """
        model = saving.load(lambda config: cls(TokenizerConfig(**config)), "tokenizer", folder)
        if not model.quantizer.is_set:
            raise ModelError(f"the image tokenizer in {folder} has no codebook yet", "train it first")
        return model
