"""The image tokenizer: picture → codes, and the plain decoder with which it is trained.

Shapes: B batch, C = 3 channels (of latents, more), H W pixels (or latents), h w grid of cells, N = h·w, D width,
Q vectors that are quantised (N, or those of a sequence), E code width, S semantic width, rows columns of codes.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lantu.errors import ImageError, ModelError
from lantu.images import to_array
from lantu.models.lantu import saving
from lantu.models.lantu.layers import Block, OverlapPatches, Patches, rotation, same_window, to_windows
from lantu.models.lantu.tokenizer.codec import Codec, open_codec
from lantu.models.lantu.tokenizer.codec_files import FOLDER
from lantu.models.lantu.tokenizer.config import TokenizerConfig
from lantu.models.lantu.tokenizer.convolutions import Head, Stem
from lantu.models.lantu.tokenizer.quantizer import Quantizer
from lantu.models.lantu.tokenizer.sequence import Canvas, Queries, prefix, rotation_beside


class Encoder(nn.Module):
    """Windows of pixels → transformer blocks → the narrow space in which codes are looked up.

    A convolutional stem adds to what the windows say; queries read the picture as a sequence.
    """

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.config = config
        self.patches = nn.Linear(config.channels * (config.cell + 2 * config.rim) ** 2, config.width)
        self.stem = Stem(config.channels, config.stem, config.cell, config.width) if config.stem else None
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.encoder_layers))
        self.queries = Queries(config.queries, config.width) if config.queries else None
        self.out = nn.Linear(config.width, config.code_width)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """The vector of each cell, or of each query, before quantisation: (B, Q, E)."""
        config = self.config
        height, width = (side // config.cell for side in pixels_BCHW.shape[2:])
        x_BND = self.patches(to_windows(pixels_BCHW, config.cell, config.rim))
        if self.stem is not None:
            x_BND = x_BND + self.stem(pixels_BCHW)
        if self.queries is not None:
            return self.out(self.read(x_BND, height, width, self.queries))
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

    def read(self, x_BND: Tensor, height: int, width: int, queries: Queries) -> Tensor:
        """(B, Q, D): what the queries read of the cells."""
        cells, config = x_BND.shape[1], self.config
        rotation_2NK = rotation_beside(height, width, config.queries, config.width // config.heads, x_BND.device)
        x_BND, mask_NN = queries.append(x_BND), queries.mask(cells)
        for block in self.blocks:
            x_BND = block(x_BND, rotation_2NK, mask_NN=mask_NN)
        return x_BND[:, cells:]


class PlainDecoder(nn.Module):
    """Code vectors → pixels in one pass. The encoder is trained with it, and the diffusion decoder starts from it.

    Its middle layer also predicts a vision network's features, so that codes carry what a thing *is* and not only its
    pixels: such codes are easier for a language model (SEED, arXiv:2310.01218).
    """

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.config = config
        self.embed = nn.Linear(config.code_width, config.width)
        self.canvas = Canvas(config.queries, config.width) if config.queries else None
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.decoder_layers))
        patches = Patches if config.latents else OverlapPatches  # a codec's decoder leaves no seams by itself
        self.out = patches(config.width, config.cell, config.channels)
        self.head = Head(config.channels, config.head, config.cell, config.width) if config.head else None
        self.semantic = nn.Linear(config.width, config.semantic_width) if config.semantic_width else None

    def forward(self, vectors_BQE: Tensor, height: int, width: int) -> tuple[Tensor, Tensor | None]:
        """Pixels (B, C, H, W) and, if it was trained to predict them, features (B, N, S).

        Args:
            vectors_BQE: of the cells, or of a sequence or a prefix of one.
            height, width: of the picture, in cells.
        """
        cells, head_width = height * width, self.config.width // self.config.heads
        x_BND = self.embed(vectors_BQE)
        if self.canvas is None:
            rotation_2NK = rotation(height, width, head_width, device=vectors_BQE.device)
        else:
            rotation_2NK = rotation_beside(height, width, x_BND.shape[1], head_width, vectors_BQE.device)
            x_BND = self.canvas.prepend(x_BND, cells)
        features = None
        for index, block in enumerate(self.blocks):
            x_BND = block(x_BND, rotation_2NK)
            if self.semantic is not None and index == len(self.blocks) // 2 - 1:
                features = self.semantic(x_BND[:, :cells])
        x_BND = x_BND[:, :cells]
        pixels = self.out(x_BND, height, width)
        return (pixels if self.head is None else pixels + self.head(x_BND, height, width)), features


@dataclass(frozen=True)
class Reconstruction:
    """The result of one pass: pixels (or latents), codes, the quantiser's loss, predicted features, the cells' grid."""

    pixels: Tensor
    codes: Tensor
    quantizer_loss: Tensor
    features: Tensor | None
    grid: tuple[int, int]


class ImageTokenizer(nn.Module):
    """Encoder, quantiser and plain decoder; where its config says so, on the latents of a pretrained codec."""

    def __init__(self, config: TokenizerConfig, codec: Codec | None = None):
        super().__init__()
        self.config, self.codec = config, codec
        self.encoder = Encoder(config)
        self.quantizer = Quantizer(config)
        self.decoder = PlainDecoder(config)

    def forward(self, pixels_BCHW: Tensor) -> Reconstruction:
        """Reconstruct pictures with values in [-1, 1]."""
        made = self.rebuild(self.seen(pixels_BCHW))
        return replace(made, pixels=self.shown(made.pixels))

    def rebuild(self, seen_BCHW: Tensor) -> Reconstruction:
        """Reconstruct what the encoder sees, in training from a prefix of the codes where the config says so."""
        height, width = (side // self.config.cell for side in seen_BCHW.shape[2:])
        vectors, codes, loss = self.quantizer(self.encoder(seen_BCHW))
        if self.training and self.config.nested:
            vectors = vectors[:, : prefix(self.config.queries, self.config.nested)]
        pixels, features = self.decoder(vectors, height, width)
        codes = codes.view(-1, *self.config.codes_of(height, width))
        return Reconstruction(pixels, codes, loss, features, (height, width))

    @torch.no_grad()
    def encode(self, pixels_BCHW: Tensor) -> Tensor:
        """Pictures in [-1, 1] → codes (B, rows, columns) int64, see ``TokenizerConfig.codes_of``.

        Raises:
            ImageError: a side is not a multiple of the patch.
        """
        grid = self.grid(pixels_BCHW)
        return self.quantizer(self.encoder(self.seen(pixels_BCHW)))[1].view(-1, *self.config.codes_of(*grid))

    def decode(self, codes: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """Codes (B, rows, columns) → pixels (B, 3, H, W).

        Args:
            codes: of a grid; or a sequence or a prefix of one, as any rows and columns.
            grid: height and width in cells of the picture that a sequence makes; a square of the training size if None.

        Raises:
            ImageError: a sequence has more codes than the tokenizer writes.
        """
        config = self.config
        rows, columns = codes.shape[1:]
        if config.queries and rows * columns > config.queries:
            raise ImageError(f"a sequence of {rows * columns} codes", f"give {config.queries} or fewer")
        if config.queries:
            rows, columns = grid or (config.grid, config.grid)
        else:
            columns //= config.depth
        return self.shown(self.decoder(self.quantizer.embed(codes.flatten(1)), rows, columns)[0])

    def seen(self, pixels_BCHW: Tensor) -> Tensor:
        """What the encoder sees of pictures: themselves, or a codec's latents.

        Raises:
            ImageError: a side is not a multiple of the patch.
        """
        self.grid(pixels_BCHW)
        return self.codec.encode(pixels_BCHW) if self.codec else pixels_BCHW

    def shown(self, made_BCHW: Tensor) -> Tensor:
        """What the plain decoder made, as pixels."""
        return self.codec.decode(made_BCHW) if self.codec else made_BCHW

    @torch.inference_mode()
    def paint(self, codes_Bhw: np.ndarray) -> np.ndarray:
        """Codes → (B, H, W, 3) uint8, in one pass of the plain decoder."""
        return to_array(self.decode(torch.from_numpy(codes_Bhw)))

    @property
    def size(self) -> int:
        """Pixels a side of the pictures that it was trained on."""
        return self.config.size

    @property
    def codebook_size(self) -> int:
        """Number of codes."""
        return self.config.codebook_size

    def code_embeddings(self) -> Tensor:
        """The plain decoder's embedding of each code: (depth·K, D)."""
        return self.decoder.embed(self.quantizer.vectors().float())

    def freeze_codes(self) -> None:
        """Freeze the mapping of pictures to codes: from now on only the plain decoder is trained."""
        self.encoder.requires_grad_(False)
        self.quantizer.requires_grad_(False)
        self.quantizer.frozen = True

    def codes_digest(self, first: int | None = None) -> str:
        """The SHA-256 of all that maps pictures to codes; training the plain decoder doesn't change it.

        Args:
            first: as if it had only so many codes: what it was before it was given more. None for all.
        """
        mapping, config = self.quantizer.mapping(), self.config
        if first is not None:
            config = config.model_copy(update={"codebook_size": first})
            mapping = {name: value[:first] if name == "codebook" else value for name, value in mapping.items()}
        digest = hashlib.sha256(config.describe().encode())
        tensors = {**self.encoder.state_dict(), **mapping}
        for name, value in sorted(tensors.items()):
            digest.update(name.encode() + value.detach().to(torch.bfloat16).view(torch.int16).numpy().tobytes())
        return digest.hexdigest()

    def grid(self, pixels_BCHW: Tensor) -> tuple[int, int]:
        """Rows and columns of cells.

        Raises:
            ImageError: a side is not a multiple of the patch.
        """
        H, W = pixels_BCHW.shape[2:]
        if H % self.config.patch or W % self.config.patch:
            raise ImageError(f"a picture of {W}x{H} pixels", f"make each side a multiple of {self.config.patch}")
        return H // self.config.patch, W // self.config.patch

    def save(self, folder: str | Path) -> None:
        """Write config.json, safetensors and the codec."""
        saving.save(self, self.config, folder)
        if self.codec:
            self.codec.save(Path(folder) / FOLDER)

    @classmethod
    def load(cls, folder: str | Path) -> "ImageTokenizer":
        """Read what ``save`` wrote, ready for inference.

        Raises:
            ModelError: it is missing or damaged, or has no codebook yet.
        """
        model = saving.load(lambda config: cls(TokenizerConfig(**config)), "tokenizer", folder)
        if not model.quantizer.is_set:
            raise ModelError(f"the image tokenizer in {folder} has no codebook yet", "train it first")
        if model.config.latents:
            expected = model.config.model_dump(include={"latents", "factor", "codec"})
            model.codec = open_codec(Path(folder) / FOLDER, expected)
        return model
