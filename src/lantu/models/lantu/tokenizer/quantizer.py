"""Vectors to codes and back: one interface to vector-quantize-pytorch's quantisers and to one of our own.

Shapes: B batch, N tokens, M = B·N vectors, U codes in use, E code width, K codebook size.
"""

import torch
from torch import Tensor, nn

from lantu.models.lantu.tokenizer.codebook import (
    FollowingCodebook,
    ResidualCodebook,
    kmeans_step,
    means,
    more_means,
    nearest,
    strays,
)
from lantu.models.lantu.tokenizer.config import TokenizerConfig

INERTIA = 25.0  # how many vectors a code's old position counts for in a refit
UNUSED = 1e-7  # share of recent tokens; a code last used once, some 400 batches of 1,600 tokens ago, has this


class Quantizer(nn.Module):
    """Round each vector to the nearest of K code vectors, and let gradients pass.

    While ``open`` nothing is rounded: vectors are only bounded to the space of the codes. Training can start so, and
    set the codebook later, by k-means on vectors that already mean something.
    """

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.kind, self.size, self.depth = config.quantizer, config.codebook_size, config.depth
        self.inner = make(config)
        # Share of recent tokens, a moving average; level by level.
        self.register_buffer("usage", torch.zeros(config.depth * config.codebook_size))
        self.register_buffer("open", torch.tensor(False))
        self.frozen = False  # the codebook is not updated

    def forward(self, z_BNE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise, in float32.

        Returns:
            code vectors (B, N, E), codes (B, N·depth) int64 (-1 while open), and the commitment loss.
        """
        z_BNE = z_BNE.float()
        self.inner.train(self.training and not self.frozen)
        if self.open:
            B, N, _ = z_BNE.shape
            return self.bound(z_BNE), z_BNE.new_full((B, N * self.depth), -1, dtype=torch.long), z_BNE.new_zeros(())
        with torch.autocast(z_BNE.device.type, enabled=False):  # bfloat16 would change many codes
            if self.kind == "fsq":
                vectors, codes = self.inner(z_BNE)
                loss = z_BNE.new_zeros(())
            else:
                vectors, codes, loss = self.inner(z_BNE)
        codes = codes.long()
        if self.training:
            with torch.no_grad():
                counts = torch.bincount(self.rows(codes).flatten(), minlength=len(self.usage))
                self.usage.lerp_(counts / codes.numel(), 0.01)
        return vectors, codes, loss.sum()

    def bound(self, z_BNE: Tensor) -> Tensor:
        """Vectors before rounding: inside the cube for a lattice, unbounded for a codebook."""
        return z_BNE.tanh() if self.kind == "fsq" else z_BNE

    def rows(self, codes_BN: Tensor) -> Tensor:
        """The rows of ``vectors`` that codes stand for: each level has K of its own."""
        if self.depth == 1:
            return codes_BN
        levels_N = torch.arange(codes_BN.shape[-1], device=codes_BN.device) % self.depth
        return codes_BN + self.size * levels_N

    def embed(self, codes_BN: Tensor) -> Tensor:
        """Codes (B, N·depth) → the vectors that they stand for (B, N, E)."""
        vectors = self.vectors()[self.rows(codes_BN)]
        return vectors if self.depth == 1 else vectors.unflatten(1, (-1, self.depth)).sum(2)

    def vectors(self) -> Tensor:
        """The code vectors (depth·K, E)."""
        vectors = self.inner.implicit_codebook if self.kind == "fsq" else self.inner.codebook
        assert isinstance(vectors, Tensor)
        return vectors

    @torch.no_grad()
    def set_codebook(self, vectors_ME: Tensor) -> None:
        """Replace a learnt codebook by k-means of some vectors.

        For "simvq" the means become the frozen codebook, and the map the identity.
        """
        if isinstance(self.inner, ResidualCodebook):
            self.inner.set(vectors_ME)
            return
        if self.kind in ("following", "simvq"):
            tensors = self.inner.state_dict(keep_vars=True)
            tensors["codebook" if self.kind == "following" else "frozen_codebook"].copy_(means(vectors_ME, self.size))
            if self.kind == "simvq":
                tensors["code_transform.weight"].copy_(torch.eye(vectors_ME.shape[1]))
            return
        dict(self.inner.named_buffers())["_codebook.initted"].fill_(False)
        self.inner.train()(vectors_ME[None])

    @torch.no_grad()
    def extend(self, first_KE: Tensor, vectors_ME: Tensor) -> None:
        """Keep a smaller codebook as the first codes, and set the others by k-means of what these serve worst.

        Only for "vq" and "following" of one code a cell.
        """
        codebook_KE = torch.cat([first_KE, more_means(first_KE, vectors_ME, self.size - len(first_KE))])
        tensors = self.inner.state_dict(keep_vars=True)
        if self.kind == "following":
            tensors["codebook"].copy_(codebook_KE)
            return
        tensors["_codebook.embed"].copy_(codebook_KE[None])
        tensors["_codebook.embed_avg"].copy_(codebook_KE[None])
        tensors["_codebook.cluster_size"].fill_(1.0)
        tensors["_codebook.initted"].fill_(True)

    def mapping(self) -> dict[str, Tensor]:
        """The tensors that determine which vector gets which code."""
        return dict(self.inner.state_dict()) if self.kind == "simvq" else {"codebook": self.vectors()}

    @torch.no_grad()
    def refit(self, vectors_ME: Tensor, training: bool = True) -> None:
        """Bring unused codes back, by one round of k-means on some vectors.

        A "following" codebook moves as a whole; of the others, which gradients or moving averages move, only unused
        codes restart. A lattice has nothing to move.

        Args:
            training: each code keeps most of its old position, and codes that have not been used for long restart.
                Otherwise, before training, codes move all the way, and all without a vector restart.
        """
        unused = self.usage < UNUSED
        inertia = INERTIA if training else 0.0
        if isinstance(self.inner, ResidualCodebook):
            self.inner.refit(vectors_ME, inertia, unused if training else None)
        elif isinstance(self.inner, FollowingCodebook):
            codebook = self.inner.codebook
            codebook.copy_(kmeans_step(vectors_ME, codebook, inertia, unused if training else None))
        elif self.kind != "fsq":
            self._restart(vectors_ME, unused)

    def _restart(self, vectors_ME: Tensor, unused_K: Tensor) -> None:
        """Move the unused codes that no vector is nearest to next to vectors that are far from their code."""
        old_KE = self.vectors()
        nearest_M = nearest(vectors_ME, old_KE)
        lost_K = unused_K & (torch.bincount(nearest_M, minlength=self.size) == 0)
        new = strays(vectors_ME, old_KE, nearest_M, int(lost_K.sum())) if lost_K.any() else old_KE[:0]
        tensors = self.inner.state_dict(keep_vars=True)
        if self.kind == "simvq":
            # Code vectors are the frozen ones under a learnt map; that a map can't be inverted exactly is no matter.
            tensors["frozen_codebook"][lost_K] = new @ torch.linalg.pinv(tensors["code_transform.weight"]).T
            return
        tensors["_codebook.embed"][0, lost_K] = tensors["_codebook.embed_avg"][0, lost_K] = new
        tensors["_codebook.cluster_size"][0, lost_K] = 1.0

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


def make(config: TokenizerConfig) -> nn.Module:
    """The quantiser that the config names."""
    from vector_quantize_pytorch import FSQ, SimVQ, VectorQuantize

    if config.quantizer == "fsq":
        return FSQ(list(config.levels))
    if config.depth > 1:
        return ResidualCodebook(config.code_width, config.codebook_size, config.depth)
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
