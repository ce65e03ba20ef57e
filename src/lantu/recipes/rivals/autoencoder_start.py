"""How an autoencoder begins: as a mosaic of mean colours, with little noise in its latents."""

from collections.abc import Sequence
from typing import Any

import torch

LOG_VARIANCE = -6.0  # of the latents at the start
COLOURS = 3
CARRIED = [(c, c, 1) for c in range(2 * COLOURS)]  # each colour and its negative


@torch.no_grad()
def narrow(moments: Any, channels: int) -> None:
    """Let an encoder begin with little noise in its latents: with the usual start it first has to outgrow it."""
    moments.weight[channels:].zero_()
    moments.bias[channels:].fill_(LOG_VARIANCE)


@torch.no_grad()
def start_as_means(model: Any, channels: int) -> None:
    """Let an untrained autoencoder be a mosaic: latents begin as the mean colours of their cells.

    From random weights Adam drives all channels of a latent to the same few features: after 4,600 updates four of them
    were two, and colours were lost. So residual branches begin at nothing (as in arXiv:1901.09321), and what is left
    carries each colour and its negative, since silu(x) - silu(-x) = x. Other channels begin as usual. Needs three
    channels of a latent and levels of six or more; else nothing is changed.
    """
    encoder, decoder = model.encoder, model.decoder
    if channels < COLOURS or min(model.config.block_out_channels) < 2 * COLOURS:
        return
    for module in model.modules():
        kind = type(module).__name__
        if kind == "ResnetBlock2D":
            zero(module.conv2)
            if module.conv_shortcut is not None:
                tap(module.conv_shortcut, CARRIED)
        elif kind == "Attention":
            zero(module.to_out[0])
        elif kind == "Downsample2D":  # a window begins at its cell
            tap(module.conv, CARRIED, [(y, x) for y in (0, 1) for x in (0, 1)])
        elif kind == "Upsample2D":
            tap(module.conv, CARRIED)
    both = [(c + sign * COLOURS, c, 1 - 2 * sign) for c in range(COLOURS) for sign in (0, 1)]
    joined = [(to, come, weight) for come, to, weight in both]
    for wide in (encoder.conv_in, decoder.conv_in):
        tap(wide, both)
    for narrowed in (encoder.conv_out, decoder.conv_out):
        tap(narrowed, joined)
    for plain in (model.quant_conv, model.post_quant_conv):
        tap(plain, [(c, c, 1) for c in range(channels)])


def zero(layer: Any) -> None:
    """Let a layer give nothing."""
    layer.weight.zero_()
    layer.bias.zero_()


def tap(conv: Any, pairs: Sequence[tuple[int, int, int]], places: Sequence[tuple[int, int]] = ()) -> None:
    """Let some outputs of a convolution be inputs, by (output, input, weight), averaged over places of the kernel.

    Args:
        places: (row, column); the middle by default.
    """
    taps = places or [(conv.kernel_size[0] // 2, conv.kernel_size[1] // 2)]
    for output in {output for output, _, _ in pairs}:
        conv.weight[output].zero_()
        conv.bias[output] = 0
    for output, come, weight in pairs:
        for row, column in taps:
            conv.weight[output, come, row, column] = weight / len(taps)
