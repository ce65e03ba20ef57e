"""The start of training: not random weights but the best linear code of patches.

Principal components of patches and k-means reach within seconds what gradient descent takes many minutes for on a CPU.
The transformers start as the identity (their residual branches add zero) and only have to improve on that.

Shapes: M patches, F = 3·P·P values of a patch, D width, E code width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.models.lantu.layers import OverlapPatches, Patches, to_patches, zero_residuals
from lantu.models.lantu.tokenizer.model import ImageTokenizer

MIN_VECTORS, VECTORS_PER_CODE = 30_000, 6  # for k-means: the larger of the first, and the second times the codes
SOME = 32  # pictures that are encoded at a time
WIDE = 1.5  # standard deviations of a component at which a lattice's bound bends most
FLAT = 1e-3  # variance below which a patch counts as flat
LEAST, NARROW = 1e-4, 0.05  # standard deviations of a component, of all: pictures may be all alike


@torch.no_grad()
def start_from_patches(model: ImageTokenizer, pixels_BCHW: Tensor) -> None:
    """Set encoder, decoder and codebook to reconstruct patches as k-means on their principal components does.

    A sequence has no such code: it starts by painting the mean patch everywhere, and its codes by k-means of what
    random queries read.

    Args:
        pixels_BCHW: what the encoder sees of a few hundred pictures.
    """
    config = model.config
    patches_MF = to_patches(pixels_BCHW, config.cell).flatten(0, 1)
    mean_F = patches_MF.mean(0)
    kept = patches_MF if config.latents else varied(patches_MF)
    chosen = torch.randperm(len(kept))[:20_000]
    components_FD = torch.linalg.svd(kept[chosen] - mean_F, full_matrices=False)[2].T
    width, codes = min(config.width, components_FD.shape[1]), config.code_width
    found_MD = (kept - mean_F) @ components_FD[:, :width]
    scale = spread(found_MD).clamp_min(NARROW)

    linear = () if config.queries else (model.encoder.out, model.decoder.embed)
    for layer in (model.encoder.patches, *linear):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    # Where windows reach beyond the cell, the pixels outside start with zero weight.
    P, C, rim = config.cell, config.channels, config.rim
    windows = model.encoder.patches.weight.view(-1, P + 2 * rim, P + 2 * rim, C)
    cell = slice(rim, rim + P)
    windows[:width, cell, cell] = (components_FD[:, :width].T / scale).reshape(width, P, P, C)
    model.encoder.patches.bias[:width] = -(mean_F @ components_FD[:, :width]) / scale
    paint(model.decoder.out, components_FD[:, :width] * scale, mean_F)
    for block in model.decoder.blocks:
        zero_residuals(block)
    if config.queries:
        read = [model.encoder(some).flatten(0, 1) for some in pixels_BCHW.split(SOME)]
        if config.quantizer != "fsq":
            model.quantizer.set_codebook(torch.cat(read))
        return
    model.encoder.out.weight[:, :codes].fill_diagonal_(1)
    model.decoder.embed.weight[:codes].fill_diagonal_(1)
    for block in model.encoder.blocks:
        zero_residuals(block)
    if config.quantizer == "fsq":  # each axis of the lattice is as wide as its component
        wide_E = WIDE * spread(found_MD[:, :codes], 0) / scale
        model.encoder.out.weight[:, :codes] /= wide_E[:, None]
        model.decoder.embed.weight[:codes] *= wide_E[:, None]
    else:
        chosen = kept[torch.randperm(len(kept))[: max(MIN_VECTORS, VECTORS_PER_CODE * config.codebook_size)]]
        embedded = F.linear(chosen, windows[:, cell, cell].flatten(1), model.encoder.patches.bias)
        model.quantizer.set_codebook(model.encoder.out(embedded))


def paint(out: nn.Module, patches_FD: Tensor, mean_F: Tensor) -> None:
    """Set a layer of patches so that each of the first inputs adds its patch (F) to the mean one."""
    assert isinstance(out, Patches | OverlapPatches)
    P, C, width = out.patch, out.channels, patches_FD.shape[1]
    if isinstance(out, Patches):
        nn.init.zeros_(out.linear.weight)
        out.linear.weight[:, :width] = patches_FD
        out.linear.bias.copy_(mean_F)
        return
    inside = slice(P // 2, P // 2 + P)  # the cell, in the middle of the larger patch that its token paints
    weight, bias = torch.zeros(2 * P, 2 * P, C, out.linear.in_features), torch.zeros(2 * P, 2 * P, C)
    window = out.window[inside, inside]
    weight[inside, inside, :, :width] = patches_FD.reshape(P, P, C, width) / window[..., None, None]
    bias[inside, inside] = mean_F.view(P, P, C) / window[..., None]
    out.linear.weight.copy_(weight.reshape(-1, out.linear.in_features))
    out.linear.bias.copy_(bias.flatten())


def spread(values_MD: Tensor, *dims: int) -> Tensor:
    """The standard deviation of values, never 0."""
    return (values_MD if len(values_MD) > 1 else values_MD.repeat(2, 1)).std(*dims).clamp_min(LEAST)


def varied(patches_MF: Tensor) -> Tensor:
    """Drop nineteen of twenty flat patches: most are plain background. Returns the others, shuffled."""
    pixels = patches_MF.view(len(patches_MF), -1, 3)
    flat = (pixels - pixels.mean(1, keepdim=True)).square().mean((1, 2)) < FLAT
    kept = torch.cat([patches_MF[~flat], patches_MF[flat][::20]])
    return kept[torch.randperm(len(kept))]
