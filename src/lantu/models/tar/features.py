"""TA-Tok's second half: codes → features that a language-aligned encoder would see in the picture.

The vectors of its codebook go through a Linear layer (SimVQ, arXiv:2411.02038) and another to a small Siglip2 whose
patches they are; a two-layer head follows. TA-Tok's encoder, which reads pictures, is not loaded.

Shapes: B batch, N codes, E code width, D width.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu.errors import ModelError
from lantu.files.untrusted import Fields
from lantu.models.published.modules import build, require
from lantu.weights import manifest, tensors
from lantu.weights.architecture import MAX_WIDTH

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PARTS = ("decoder.", "decode_task_layer.", "bottleneck.out_linear.", "bottleneck.regularizer.")
RENAMED = {"decoder.vision_model.": "decoder.", "bottleneck.out_linear.": "out.", "bottleneck.regularizer.": "codes."}
UNUSED = ("codes.stochastic_temperature_inv",)


class Features:
    """See the module.

    Args:
        folder: with TA-Tok's config.json and model.safetensors.
        config: its settings.
        quantizer: those of its codebook.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], quantizer: Mapping[str, Any], device: str = "cpu"):
        require("Tar")
        import torch

        state = {renamed(name): value for name, value in tensors.load(folder, PARTS).items()}
        state = {name: value for name, value in state.items() if name not in UNUSED}
        if "out.weight" not in state or "decode_task_layer.0.weight" not in state:
            raise ModelError(f"{folder} holds no TA-Tok", "save it again: docs/families.md")
        (code_width, inner), width = state["out.weight"].shape, len(state["decode_task_layer.0.weight"])
        given = {"decoder_depth": 3, **config}
        layers = Fields(given, f"{folder}/config.json").whole("decoder_depth", 1, 100)
        size = quantizer["codebook_size"]

        def make() -> torch.nn.Module:
            return network(size, inner, code_width, width, layers)

        self.unit, self.device = quantizer.get("l2_normalized") is True, device
        if max(code_width, inner, width) > MAX_WIDTH:
            raise ModelError(f"{folder} holds a TA-Tok of width {width}", "save it again: docs/families.md")
        module: Any = build(make, f"{folder}: ", {name: value.float() for name, value in state.items()}, device)
        self.network = module

    def __call__(self, codes_Bhw: np.ndarray) -> "Tensor":
        """Codes → features (B, N, D) float32."""
        import torch
        import torch.nn.functional as F

        net, (height, width) = self.network, codes_Bhw.shape[1:]
        codes_BN = torch.from_numpy(np.ascontiguousarray(codes_Bhw, np.int64)).flatten(1).to(self.device)
        with torch.inference_mode():
            vectors_BNE = net["codes"]["embedding_proj"](net["codes"]["embedding"](codes_BN))
            if self.unit:
                vectors_BNE = F.normalize(vectors_BNE, dim=-1)
            patches_BNE = net["out"](vectors_BNE)
            mask_BN = torch.ones_like(codes_BN, dtype=torch.int32)
            shapes_B2 = torch.tensor([[height, width]] * len(codes_BN), device=self.device)
            found = [
                net["decoder"](patches[None], mask[None], shape[None]).last_hidden_state
                for patches, mask, shape in zip(patches_BNE, mask_BN, shapes_B2, strict=True)
            ]
            features_BND = net["decode_task_layer"](torch.cat(found))
        manifest.check_finite("decoder", features_BND.cpu().numpy())
        return features_BND


def network(size: int, inner: int, code_width: int, width: int, layers: int) -> "torch.nn.Module":
    """The modules, under the names that ``RENAMED`` gives their tensors."""
    from torch import nn
    from transformers import Siglip2VisionConfig, Siglip2VisionModel

    sizes = {"patch_size": 1, "num_hidden_layers": layers, "num_channels": code_width, "hidden_size": width}
    codes = {"embedding": nn.Embedding(size, inner), "embedding_proj": nn.Linear(inner, inner)}
    return nn.ModuleDict(
        {
            "codes": nn.ModuleDict(codes),
            "out": nn.Linear(inner, code_width),
            "decoder": Siglip2VisionModel(Siglip2VisionConfig(**sizes)),
            "decode_task_layer": nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width)),
        }
    )


def renamed(name: str) -> str:
    """The name of a published tensor in ``network``; older transformers put ``vision_model.`` before Siglip2's."""
    for prefix, new in RENAMED.items():
        if name.startswith(prefix):
            return new + name.removeprefix(prefix)
    return name
