"""Sizes of EfficientNet-Lite0 (arXiv:1905.11946), and the tensors of its layers up to a feature map at stride 16."""

from lantu.weights.wanted import Wanted, floats

# (repeats, kernel, stride, expansion, channels) of each stage
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32
STRIDE_16 = 11  # number of blocks before the feature map's side falls to a 32nd of the picture's
PIXELS, CHANNELS = 16, 112  # a side of a cell of that map, and numbers of its vector


def maps() -> Wanted:
    """The tensors of ``lantu.features.efficientnet.FeatureMaps``."""
    wanted, into, number = convolution("stem", STEM, 3, 3), STEM, 0
    for repeats, kernel, _, expansion, out in STAGES:
        for _ in range(repeats):
            if number < STRIDE_16:
                name, inner = f"blocks.{number}.", into * expansion
                if expansion > 1:
                    wanted |= convolution(f"{name}expand", inner, into, 1)
                wanted |= convolution(f"{name}depthwise", inner, 1, kernel)
                wanted |= convolution(f"{name}project", out, inner, 1)
            into, number = out, number + 1
    return wanted


def convolution(name: str, out: int, into: int, kernel: int) -> Wanted:
    """Weight and bias of a convolution."""
    return floats(f"{name}.", {"weight": (out, into, kernel, kernel), "bias": (out,)})
