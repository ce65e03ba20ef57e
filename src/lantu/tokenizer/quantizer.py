"""Vectors to codes and back: one interface over vector-quantize-pytorch's quantisers.

Shapes: B batch, N tokens, E code width, K codebook size.
"""

import torch
from torch import Tensor, nn

from lantu.tokenizer.config import TokenizerConfig


class Quantizer(nn.Module):
    """Round each vector to the nearest of K code vectors, letting gradients through.

    While ``open`` nothing is rounded: vectors are only brought into the space where the codes live. Training starts so,
    and the codebook is then set by k-means on vectors that already mean something.
    """

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.kind, self.size = config.quantizer, config.codebook_size
        self.inner = make(config)
        self.register_buffer("usage", torch.zeros(config.codebook_size))  # share of recent tokens, moving average
        self.register_buffer("open", torch.tensor(False))
        self.frozen = False  # the codebook stays as it is, and nothing pulls vectors to it

    def forward(self, z_BNE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise, in float32.

        Returns:
            code vectors (B, N, E), codes (B, N) int64 (-1 while open), and the loss that ties vectors to codes.
        """
        z_BNE = z_BNE.float()
        self.inner.train(self.training and not self.frozen)
        if self.open:
            return self.bound(z_BNE), z_BNE.new_full(z_BNE.shape[:2], -1, dtype=torch.long), z_BNE.new_zeros(())
        if self.kind == "fsq":
            vectors, codes = self.inner(z_BNE)
            loss = z_BNE.new_zeros(())
        else:
            vectors, codes, loss = self.inner(z_BNE)
        codes = codes.long()
        if self.training:
            with torch.no_grad():
                counts = torch.bincount(codes.flatten(), minlength=self.size)
                self.usage.lerp_(counts / codes.numel(), 0.01)
        return vectors, codes, loss.sum()

    def bound(self, z_BNE: Tensor) -> Tensor:
        """Where vectors live before rounding: in the cube for the lattice, anywhere for codebooks."""
        return z_BNE.tanh() if self.kind == "fsq" else z_BNE

    def vectors(self) -> Tensor:
        """The code vectors (K, E)."""
        vectors = self.inner.implicit_codebook if self.kind == "fsq" else self.inner.codebook
        assert isinstance(vectors, Tensor)
        return vectors

    @torch.no_grad()
    def set_codebook(self, vectors_ME: Tensor) -> None:
        """Set a learnt codebook ("vq") by k-means on some vectors, whatever it was before."""
        dict(self.inner.named_buffers())["_codebook.initted"].fill_(False)
        self.inner.train()(vectors_ME[None])

    def mapping(self) -> dict[str, Tensor]:
        """The tensors that decide which vector gets which code."""
        return dict(self.inner.state_dict()) if self.kind == "simvq" else {"codebook": self.vectors()}

    @property
    def is_set(self) -> bool:
        """Whether there is a codebook: a learnt one is set by the first batch that is quantised in training."""
        return self.kind != "vq" or bool(dict(self.inner.named_buffers())["_codebook.initted"])

    @property
    def perplexity(self) -> Tensor:
        """exp(entropy) of recent use: as many codes as this, evenly used, would carry as much."""
        share = self.usage / self.usage.sum().clamp_min(1e-12)
        return torch.special.entr(share).sum().exp()

    @property
    def used(self) -> Tensor:
        """Share of the codebook in recent use (seen in about the last 300 batches)."""
        return (self.usage > 1e-9).float().mean()


def make(config: TokenizerConfig) -> nn.Module:
    """The library's quantiser that the configuration names."""
    from vector_quantize_pytorch import FSQ, SimVQ, VectorQuantize

    if config.quantizer == "fsq":
        return FSQ(list(config.levels))
    if config.quantizer == "simvq":
        return SimVQ(config.code_width, config.codebook_size, rotation_trick=True)
    return VectorQuantize(
        config.code_width,
        config.codebook_size,
        decay=0.99,
        kmeans_init=True,
        kmeans_iters=10,
        threshold_ema_dead_code=0.001,  # codes unused for some 230 batches restart from vectors of the batch at hand
        commitment_weight=0.25,
        rotation_trick=True,
    )
