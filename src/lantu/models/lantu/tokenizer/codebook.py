"""Codebooks of our own, and the k-means that sets them and keeps their codes in use.

Shapes: B batch, N tokens, M = B·N vectors, U codes in use, E code width, K codebook size, L levels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RATE = 0.04  # the share of the distance to each vector assigned to it by which a code moves


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


class ResidualCodebook(nn.Module):
    """Several codes of a vector: each level's codebook stands for what the levels before it have left.

    Residual quantisation as in RQ-VAE (arXiv:2203.01941), of codebooks that follow their vectors.
    """

    def __init__(self, width: int, size: int, depth: int, commitment: float = 0.25):
        super().__init__()
        self.levels = nn.ModuleList(FollowingCodebook(width, size) for _ in range(depth))
        self.commitment = commitment

    @property
    def codebook(self) -> Tensor:
        """(L·K, E): the code vectors, level by level."""
        return torch.cat([self.of(level) for level in range(len(self.levels))])

    def of(self, level: int) -> Tensor:
        """(K, E): the code vectors of a level."""
        codebook = self.levels[level].codebook
        assert isinstance(codebook, Tensor)
        return codebook

    def forward(self, z_BNE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sums of code vectors (B, N, E), codes (B, N·L), those of a vector side by side, and the commitment loss."""
        from vector_quantize_pytorch.vector_quantize_pytorch import rotate_to

        left_ME, codes, loss = z_BNE.detach().flatten(0, 1), [], z_BNE.new_zeros(())
        for index, level in enumerate(self.levels):
            assert isinstance(level, FollowingCodebook)
            codes_M = nearest(left_ME, self.of(index).detach())
            found_ME = F.embedding(codes_M, self.of(index).detach())
            if self.training:
                level.update(left_ME, codes_M)
            left_ME = left_ME - found_ME
            codes.append(codes_M)
            # Each partial sum is to come near, so that later levels have little left to say.
            loss = loss + self.commitment * F.mse_loss(z_BNE, z_BNE.detach() - left_ME.view_as(z_BNE))
        codes_BN = torch.stack(codes, 1).view(len(z_BNE), -1)
        return rotate_to(z_BNE, z_BNE.detach() - left_ME.view_as(z_BNE)), codes_BN, loss / len(self.levels)

    def set(self, vectors_ME: Tensor) -> None:
        """Set each level by k-means of what the levels before it leave of some vectors."""
        for index in range(len(self.levels)):
            self.of(index).data.copy_(means(vectors_ME, len(self.of(index))))
            vectors_ME = vectors_ME - self.of(index)[nearest(vectors_ME, self.of(index))]

    def refit(self, vectors_ME: Tensor, inertia: float, unused: Tensor | None) -> None:
        """One round of k-means of each level.

        Args:
            unused: (L·K) bool, codes that restart if no vector is assigned to them; None for all.
        """
        for index in range(len(self.levels)):
            codebook = self.of(index).data
            some_K = None if unused is None else unused.view(len(self.levels), -1)[index]
            codebook.copy_(kmeans_step(vectors_ME, codebook, inertia, some_K))
            vectors_ME = vectors_ME - codebook[nearest(vectors_ME, codebook)]


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
def more_means(kept_KE: Tensor, vectors_ME: Tensor, count: int, rounds: int = 12) -> Tensor:
    """``count`` further centres, (count, E), by k-means in which the first ones (K, E) stay where they are.

    They begin at vectors that are far from the kept centres, so they stand for what these serve worst.
    """
    kept = len(kept_KE)
    new = strays(vectors_ME, kept_KE, nearest(vectors_ME, kept_KE), count)
    for _ in range(rounds):
        new = kmeans_step(vectors_ME, torch.cat([kept_KE, new]))[kept:]
    return new


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
        moved_KE[unused_K] = strays(vectors_ME, centres_KE, nearest_M, count)
    return moved_KE


def strays(vectors_ME: Tensor, centres_KE: Tensor, nearest_M: Tensor, count: int) -> Tensor:
    """``count`` vectors, chosen in proportion to the squared distance from the centre that each is nearest to."""
    distance_M = (vectors_ME - centres_KE[nearest_M]).square().sum(1)
    return vectors_ME[torch.multinomial(distance_M + 1e-9, count, replacement=True)]
