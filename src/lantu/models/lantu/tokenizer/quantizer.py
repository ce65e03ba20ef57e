"""Vectors to codes and back: one interface to vector-quantize-pytorch's quantisers and to one of our own.

Shapes: B batch, N tokens, M = B·N vectors, U codes in use, E code width, K codebook size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.models.lantu.tokenizer.config import TokenizerConfig

RATE = 0.04  # the share of the distance to each vector assigned to it by which a code moves
INERTIA = 25.0  # how many vectors a code's old position counts for in a refit
UNUSED = 1e-7  # share of recent tokens; a code last used once, some 400 batches of 1,600 tokens ago, has this


class Quantizer(nn.Module):
    """Round each vector to the nearest of K code vectors, and let gradients pass.

    While ``open`` nothing is rounded: vectors are only bounded to the space of the codes. Training can start so, and
    set the codebook later, by k-means on vectors that already mean something.
    """

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.kind, self.size = config.quantizer, config.codebook_size
        self.inner = make(config)
        self.register_buffer("usage", torch.zeros(config.codebook_size))  # share of recent tokens, a moving average
        self.register_buffer("open", torch.tensor(False))
        self.frozen = False  # the codebook is not updated

    def forward(self, z_BNE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise, in float32.

        Returns:
            code vectors (B, N, E), codes (B, N) int64 (-1 while open), and the commitment loss.
        """
        z_BNE = z_BNE.float()
        self.inner.train(self.training and not self.frozen)
        if self.open:
            return self.bound(z_BNE), z_BNE.new_full(z_BNE.shape[:2], -1, dtype=torch.long), z_BNE.new_zeros(())
        with torch.autocast(z_BNE.device.type, enabled=False):  # bfloat16 would change many codes
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
        """Vectors before rounding: inside the cube for a lattice, unbounded for a codebook."""
        return z_BNE.tanh() if self.kind == "fsq" else z_BNE

    def vectors(self) -> Tensor:
        """The code vectors (K, E)."""
        vectors = self.inner.implicit_codebook if self.kind == "fsq" else self.inner.codebook
        assert isinstance(vectors, Tensor)
        return vectors

    @torch.no_grad()
    def set_codebook(self, vectors_ME: Tensor) -> None:
        """Replace a learnt codebook by k-means of some vectors.

        For "simvq" the means become the frozen codebook, and the map the identity.
        """
        if self.kind in ("following", "simvq"):
            tensors = self.inner.state_dict(keep_vars=True)
            tensors["codebook" if self.kind == "following" else "frozen_codebook"].copy_(means(vectors_ME, self.size))
            if self.kind == "simvq":
                tensors["code_transform.weight"].copy_(torch.eye(vectors_ME.shape[1]))
            return
        dict(self.inner.named_buffers())["_codebook.initted"].fill_(False)
        self.inner.train()(vectors_ME[None])

    def mapping(self) -> dict[str, Tensor]:
        """The tensors that determine which vector gets which code."""
        return dict(self.inner.state_dict()) if self.kind == "simvq" else {"codebook": self.vectors()}

    @torch.no_grad()
    def refit(self, vectors_ME: Tensor, training: bool = True) -> None:
        """Move a "following" codebook by one round of k-means on some vectors.

        Args:
            training: each code keeps most of its old position, and codes that have not been used for long restart.
                Otherwise, before training, codes move all the way, and all without a vector restart.
        """
        assert isinstance(self.inner, FollowingCodebook)
        unused_K = self.usage < UNUSED if training else None
        inertia = INERTIA if training else 0.0
        self.inner.codebook.copy_(kmeans_step(vectors_ME, self.inner.codebook, inertia, unused_K))

    @property
    def is_set(self) -> bool:
        """Whether there is a codebook: a learnt one is set by the first batch that is quantised in training."""
        return self.kind != "vq" or bool(dict(self.inner.named_buffers())["_codebook.initted"])

    @property
    def perplexity(self) -> Tensor:
        """exp(entropy) of recent use: the number of evenly used codes that would carry as much."""
        share = self.usage / self.usage.sum().clamp_min(1e-12)
        return torch.special.entr(share).sum().exp()

    @property
    def used(self) -> Tensor:
        """Share of the codebook used in about the last 300 batches."""
        return (self.usage > 1e-9).float().mean()


class FollowingCodebook(nn.Module):
    """A codebook in which each code moves by ``RATE`` of the distance to each vector that is assigned to it.

    With moving averages per step (VQ-VAE, arXiv:1711.00937), and with gradients, rare codes fall behind: of 8,192 codes
    most are used once in many batches of a CPU's size, and the encoder, which moves meanwhile, collapses into the codes
    that are used often. Gradients pass the rounding by the rotation trick (arXiv:2410.06424).

    The codebook is a parameter without gradient, so that the EMA averages it together with encoder and decoder;
    otherwise these would be used with codes that they were not trained with.
    """

    def __init__(self, width: int, size: int, commitment: float = 0.25):
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(size, width) * width**-0.5)
        self.commitment = commitment

    def forward(self, z_BNE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Code vectors (B, N, E), codes (B, N), and the commitment loss."""
        from vector_quantize_pytorch.vector_quantize_pytorch import rotate_to

        z_ME, codebook_KE = z_BNE.detach().flatten(0, 1), self.codebook.detach()
        codes_M = nearest(z_ME, codebook_KE)
        vectors_BNE = F.embedding(codes_M, codebook_KE).view_as(z_BNE)
        if self.training:
            self.update(z_ME, codes_M)
        loss = self.commitment * F.mse_loss(z_BNE, vectors_BNE)
        return rotate_to(z_BNE, vectors_BNE), codes_M.view(z_BNE.shape[:2]), loss

    @torch.no_grad()
    def update(self, z_ME: Tensor, codes_M: Tensor) -> None:
        """Move each code towards the mean of its vectors."""
        used_U, of_M, counts_U = codes_M.unique(return_inverse=True, return_counts=True)
        means_UE = z_ME.new_zeros(len(used_U), z_ME.shape[1]).index_add_(0, of_M, z_ME) / counts_U[:, None]
        rate_U1 = 1 - (1 - RATE) ** counts_U[:, None]
        self.codebook[used_U] = torch.lerp(self.codebook[used_U], means_UE, rate_U1)


def nearest(vectors_ME: Tensor, centres_KE: Tensor) -> Tensor:
    """(M) int64: the nearest centre of each vector."""
    squares_K = centres_KE.square().sum(1)
    parts = vectors_ME.split(4096)
    return torch.cat([torch.addmm(squares_K, part, centres_KE.T, alpha=-2).argmin(1) for part in parts])


@torch.no_grad()
def means(vectors_ME: Tensor, count: int, rounds: int = 12) -> Tensor:
    """K-means: ``count`` centres (K, E)."""
    centres_KE = vectors_ME[torch.randperm(len(vectors_ME))[torch.arange(count) % len(vectors_ME)]].clone()
    for _ in range(rounds):
        centres_KE = kmeans_step(vectors_ME, centres_KE)
    return centres_KE


@torch.no_grad()
def kmeans_step(vectors_ME: Tensor, centres_KE: Tensor, inertia: float = 0.0, unused_K: Tensor | None = None) -> Tensor:
    """One round of k-means: each centre moves to the mean of its vectors.

    Args:
        inertia: how many vectors a centre's old position counts for in that mean.
        unused_K: bool, centres that restart if no vector is assigned to them; None for all. They restart at vectors
            that are far from their centre, chosen in proportion to the squared distance (k-means++).
    """
    nearest_M = nearest(vectors_ME, centres_KE)
    counts_K = torch.bincount(nearest_M, minlength=len(centres_KE))
    sums_KE = torch.zeros_like(centres_KE).index_add_(0, nearest_M, vectors_ME)
    weight_K1 = (counts_K + inertia).clamp_min(1e-9)[:, None]
    moved_KE = torch.where(counts_K[:, None] > 0, (sums_KE + inertia * centres_KE) / weight_K1, centres_KE)
    unused_K = counts_K == 0 if unused_K is None else unused_K & (counts_K == 0)
    if count := int(unused_K.sum()):
        distance_M = (vectors_ME - centres_KE[nearest_M]).square().sum(1)
        moved_KE[unused_K] = vectors_ME[torch.multinomial(distance_M + 1e-9, count, replacement=True)]
    return moved_KE


def make(config: TokenizerConfig) -> nn.Module:
    """The quantiser that the config names."""
    from vector_quantize_pytorch import FSQ, SimVQ, VectorQuantize

    if config.quantizer == "fsq":
        return FSQ(list(config.levels))
    if config.quantizer == "following":
        return FollowingCodebook(config.code_width, config.codebook_size)
    if config.quantizer == "simvq":
        return SimVQ(config.code_width, config.codebook_size, rotation_trick=True)
    return VectorQuantize(
        config.code_width,
        config.codebook_size,
        decay=0.99,
        kmeans_init=True,
        kmeans_iters=10,
        threshold_ema_dead_code=0.001,  # codes unused for some 230 batches restart from vectors of the current one
        commitment_weight=0.25,
        rotation_trick=True,
    )
