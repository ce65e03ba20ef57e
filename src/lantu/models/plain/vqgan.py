"""VQ-GANs (arXiv:2012.09841): codes → pixels. One network under four sets of names.

    taming-transformers   decoder.up.0.block.0 …      up.0 is the highest resolution; Chameleon's, so Liquid's
    transformers          decoder.up.0.block.0 …      up.0 is the lowest; ``JanusVQVAE``
    LlamaGen              decoder.conv_blocks.0.res.0 …
    diffusers             decoder.up_blocks.0.resnets.0 …   ``VQModel``, whose decoder computes all of them

The sizes follow from the tensors, so that no config is needed. The vectors of LlamaGen's and Janus's codebooks have
length 1. The encoder's tensors are left alone.

Shapes: B batch, h w grid, C channels, E code width.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu import images
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ModelError
from lantu.files.untrusted import read_json
from lantu.models.published.modules import build, require
from lantu.weights import arrays, manifest

if TYPE_CHECKING:
    from torch import Tensor

CODEBOOK, BEHIND = "quantize.embedding.weight", "post_quant_conv"
HINT = "give a VQ-GAN of taming-transformers, LlamaGen, transformers (Janus) or diffusers, as safetensors"
MIDDLE = {"block_1": "resnets.0", "attn_1": "attentions.0", "block_2": "resnets.1"}
LLAMAGEN_MIDDLE = {"0": "block_1", "1": "attn_1", "2": "block_2"}
LAYERS = {"nin_shortcut": "conv_shortcut", "norm_out": "conv_norm_out"}
ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


class VqGan:
    """A VQ-GAN's decoder.

    Args:
        folder: with one safetensors file.

    Attributes:
        patch: pixels a side of a code.
        codebook_size: number of codes.

    Raises:
        ModelError: it is missing or damaged, or its tensors are not those of a VQ-GAN.
    """

    partial = False

    def __init__(self, folder: Path, device: str = "cpu"):
        require("a VQ-GAN")
        import torch
        import torch.nn.functional as F
        from safetensors.torch import load_file

        where = one_file(folder)
        state = {name: value for name, value in load_file(where).items() if is_decoders(name)}
        names = Names.of(state, folder)
        try:
            state = {names.translated(name): value for name, value in state.items()}
        except (ValueError, IndexError) as problem:  # too few parts in a name
            raise ModelError(f"{folder} holds no VQ-GAN that is known here", HINT) from problem
        self.device, sizes = device, sizes_of(state, where)
        self.patch, self.codebook_size = 2 ** (len(sizes["block_out_channels"]) - 1), len(state[CODEBOOK])
        codes_KE = state.pop(CODEBOOK)
        self.codes_KE = (F.normalize(codes_KE.float(), dim=-1).to(codes_KE) if names.unit else codes_KE).to(device)
        state = {name: squeezed(name, value) for name, value in state.items()}

        def make() -> torch.nn.Module:
            from diffusers.models.autoencoders.vae import Decoder

            channels = sizes["in_channels"]
            behind = torch.nn.Conv2d(self.codes_KE.shape[1], channels, 1)
            return torch.nn.ModuleDict({BEHIND: behind, "decoder": Decoder(**sizes)})

        self.network: Any = build(make, f"{where}: ", state, device)

    def paint(self, codes_Bhw: np.ndarray, seeds: object, params: SamplingParams) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8."""
        return images.to_bytes(self.pixels(codes_Bhw))

    def pixels(self, codes_Bhw: np.ndarray) -> np.ndarray:
        """Codes → (B, 3, H, W) float32, about [-1, 1]."""
        import torch

        with torch.inference_mode():  # one by one: a picture must not depend on those that are decoded with it
            ids_Bhw = torch.from_numpy(np.ascontiguousarray(codes_Bhw, np.int64)).to(self.device)
            vectors = (self.codes_KE[ids_hw].permute(2, 0, 1)[None] for ids_hw in ids_Bhw)
            pixels = [self.network["decoder"](self.network[BEHIND](each_1Ehw)) for each_1Ehw in vectors]
        found = torch.cat(pixels).float().cpu().numpy()
        manifest.check_finite("decoder", found)
        return found


class Names:
    """The names of one publisher's tensors.

    Attributes:
        levels: number of resolutions.
        unit: the codebook's vectors are scaled to length 1 before use.
        upwards: the first level is the highest resolution.
    """

    def __init__(self, levels: int, unit: bool, upwards: bool):
        self.levels, self.unit, self.upwards = levels, unit, upwards

    @classmethod
    def of(cls, state: "Mapping[str, Tensor]", folder: Path) -> "Names":
        """Which names a VQ-GAN has. Raises ModelError for none of those known."""
        levels: dict[str, set[int]] = {}
        for match in filter(None, (re.match(r"decoder\.(conv_blocks|up_blocks|up)\.(\d+)\.", name) for name in state)):
            levels.setdefault(match[1], set()).add(int(match[2]))
        if len(levels) != 1 or CODEBOOK not in state:
            raise ModelError(f"{folder} holds no VQ-GAN that is known here", HINT)
        ((block, found),) = levels.items()
        first = f"decoder.{block}.0.upsample.conv.weight"
        upwards = block == "up" and len(found) > 1 and first not in state  # no upsampling behind the last level
        return cls(len(found), block == "conv_blocks" or is_janus(folder), upwards)

    def translated(self, name: str) -> str:
        """A tensor's name in diffusers."""
        if name == CODEBOOK or name.startswith(BEHIND) or re.match(r"decoder\.(up_blocks|mid_block)\.", name):
            return name
        part, *rest = name.removeprefix("decoder.").split(".")
        if part == "mid":
            block, *rest = rest
            block = LLAMAGEN_MIDDLE.get(block, block)
            layers = ATTENTION if block.startswith("attn") else LAYERS
            return ".".join(["decoder.mid_block", MIDDLE.get(block, block), layers.get(rest[0], rest[0]), *rest[1:]])
        if part in ("up", "conv_blocks"):
            level, kind, *rest = rest
            place = self.levels - 1 - int(level) if self.upwards and level.isdigit() else level
            if kind == "upsample":
                return ".".join([f"decoder.up_blocks.{place}.upsamplers.0", *rest])
            number, layer, *rest = rest
            kinds = {"block": "resnets", "res": "resnets", "attn": "attentions"}
            layers = ATTENTION if kind == "attn" else LAYERS
            block = f"decoder.up_blocks.{place}.{kinds.get(kind, kind)}.{number}"
            return ".".join([block, layers.get(layer, layer), *rest])
        return ".".join(["decoder", LAYERS.get(part, part), *rest])


def sizes_of(state: "Mapping[str, Tensor]", where: Path) -> dict[str, Any]:
    """The sizes of diffusers' decoder, which follow from the shapes of its tensors. Raises ModelError."""
    levels = 1 + max(int(match[1]) for name in state if (match := re.match(r"decoder\.up_blocks\.(\d+)\.", name)))
    try:
        channels = [state[f"decoder.up_blocks.{level}.resnets.0.conv1.weight"].shape[0] for level in range(levels)]
        latent, painted = state[f"{BEHIND}.weight"].shape[0], state["decoder.conv_out.weight"].shape[0]
    except (KeyError, IndexError) as problem:
        raise ModelError(f"{where}: {problem.args[0]} is missing", HINT) from problem
    if state[CODEBOOK].ndim != 2 or painted != 3 or levels > 9:
        raise ModelError(f"{where} holds no VQ-GAN of pictures", HINT)
    attends = [f"decoder.up_blocks.{level}.attentions.0.to_q.weight" in state for level in range(levels)]
    counted = re.compile(r"decoder\.up_blocks\.0\.resnets\.\d+\.conv1\.weight")
    layers = len([name for name in state if counted.fullmatch(name)])
    return {
        "in_channels": latent,
        "out_channels": painted,
        "block_out_channels": tuple(reversed(channels)),
        "up_block_types": tuple("AttnUpDecoderBlock2D" if attend else "UpDecoderBlock2D" for attend in attends),
        "layers_per_block": layers - 1,
        "mid_block_add_attention": "decoder.mid_block.attentions.0.to_q.weight" in state,
    }


def is_decoders(name: str) -> bool:
    """Whether a tensor takes part in decoding."""
    return name == CODEBOOK or name.startswith((f"{BEHIND}.", "decoder."))


def is_janus(folder: Path) -> bool:
    """Whether a folder's config.json is that of transformers' ``JanusVQVAE``."""
    try:
        return read_json(folder / "config.json").get("model_type") == "janus_vqgan"
    except (OSError, ValueError):
        return False


def squeezed(name: str, value: "Tensor") -> "Tensor":
    """The weight of an attention's projection, a convolution of one pixel, as a matrix."""
    if ".attentions." in name and value.ndim == 4 and value.shape[2:] == (1, 1):
        return value[:, :, 0, 0]
    return value


def one_file(folder: Path) -> Path:
    """The only safetensors file of a folder, its header checked. Raises ModelError."""
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        raise ModelError(f"{folder} holds {len(found)} safetensors files, not one", HINT)
    try:
        arrays.read_header(found[0])
    except (OSError, ValueError) as problem:
        raise ModelError(f"can't read the weights in {folder} ({problem})", arrays.HINT) from problem
    return found[0]
