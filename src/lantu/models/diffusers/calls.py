"""How each class of diffusers is called with codes in the place of a text, and what its prediction is.

All have one signature, (network, x, timestep, context, pooled, about) → prediction (B, C, H, W). They do what the
class's own pipeline does between its text encoder and its scheduler.

Shapes: B batch, C channels, H W sides of the latents, N tokens of context, D widths.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

TRAIN_STEPS = 1000  # in timesteps of diffusers, whatever a scheduler's own number
PADDED = 32  # Z-Image pads the tokens of a picture to a multiple of this


@dataclass(frozen=True)
class About:
    """What a model wants to be told beside the codes.

    Attributes:
        factor: pixels a side of one latent.
        time_ids: how many numbers an SDXL wants about its picture: 6 (size, crop, target size), 5 for its refiner
            (size, crop, aesthetic score), 0 for none.
        aesthetic_score: the refiner's.
        guidance: the scale that a guidance-distilled model is given (FLUX.1-dev).
    """

    factor: int = 8
    time_ids: int = 0
    aesthetic_score: float = 6.0
    guidance: float = 3.5


def unet(network: Any, x: Tensor, timestep: Tensor, context: Tensor, pooled: Tensor | None, about: About) -> Tensor:
    """SD 1.5, SD 2.1, SDXL and its refiner."""
    added = None if pooled is None else {"text_embeds": pooled, "time_ids": time_ids(x, about)}
    return network(x, timestep, encoder_hidden_states=context, added_cond_kwargs=added, return_dict=False)[0]


def time_ids(x: Tensor, about: About) -> Tensor:
    """The numbers about a picture that SDXL is told (arXiv:2307.01952, section 2.2): (B, 6), or (B, 5)."""
    size = [side * about.factor for side in x.shape[2:]]
    told = [*size, 0, 0, *([about.aesthetic_score] if about.time_ids == 5 else size)]
    return torch.tensor([told], dtype=x.dtype, device=x.device).expand(len(x), -1)


def sana(network: Any, x: Tensor, timestep: Tensor, context: Tensor, pooled: Tensor | None, about: About) -> Tensor:
    """SANA."""
    scaled = timestep * network.config.timestep_scale
    return network(x, encoder_hidden_states=context, timestep=scaled, return_dict=False)[0]


def pixart(network: Any, x: Tensor, timestep: Tensor, context: Tensor, pooled: Tensor | None, about: About) -> Tensor:
    """PixArt-α and -Σ, whose later channels are a variance that no sampler here uses."""
    added: dict[str, Tensor | None] = {"resolution": None, "aspect_ratio": None}
    if network.use_additional_conditions:
        height, width = (side * about.factor for side in x.shape[2:])
        resolution = torch.tensor([[height, width]], dtype=context.dtype, device=x.device)
        ratio = torch.tensor([[height / width]], dtype=context.dtype, device=x.device)
        added = {"resolution": resolution.repeat(len(x), 1), "aspect_ratio": ratio.repeat(len(x), 1)}
    arguments = {"encoder_hidden_states": context, "timestep": timestep, "added_cond_kwargs": added}
    return network(x, **arguments, return_dict=False)[0][:, : x.shape[1]]


def sd3(network: Any, x: Tensor, timestep: Tensor, context: Tensor, pooled: Tensor | None, about: About) -> Tensor:
    """Stable Diffusion 3 and 3.5."""
    arguments = {"encoder_hidden_states": context, "pooled_projections": pooled, "timestep": timestep}
    return network(x, **arguments, return_dict=False)[0]


def flux(network: Any, x: Tensor, timestep: Tensor, context: Tensor, pooled: Tensor | None, about: About) -> Tensor:
    """FLUX.1: a token is 2 × 2 latents."""
    B, C, H, W = x.shape
    packed = x.view(B, C, H // 2, 2, W // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(B, H * W // 4, 4 * C)
    places = torch.zeros(H // 2, W // 2, 3, device=x.device, dtype=x.dtype)
    places[..., 1] = torch.arange(H // 2, device=x.device)[:, None]
    places[..., 2] = torch.arange(W // 2, device=x.device)
    told = torch.full((B,), about.guidance, device=x.device) if network.config.guidance_embeds else None
    predicted = network(
        packed,
        timestep=timestep / TRAIN_STEPS,
        guidance=told,
        pooled_projections=pooled,
        encoder_hidden_states=context,
        txt_ids=torch.zeros(context.shape[1], 3, device=x.device, dtype=x.dtype),
        img_ids=places.view(-1, 3),
        return_dict=False,
    )[0]
    return predicted.view(B, H // 2, W // 2, C, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


def z_image(network: Any, x: Tensor, timestep: Tensor, context: Tensor, pooled: Tensor | None, about: About) -> Tensor:
    """Z-Image, which counts time from noise and predicts the velocity towards the picture."""
    time = (TRAIN_STEPS - timestep) / TRAIN_STEPS
    predicted = network(list(x.unsqueeze(2)), time, list(context), return_dict=False)[0]
    return -torch.stack(list(predicted)).squeeze(2)


Call = Callable[[Any, Tensor, Tensor, Tensor, Tensor | None, About], Tensor]
CALLS: dict[str, Call] = {
    "UNet2DConditionModel": unet,
    "SanaTransformer2DModel": sana,
    "PixArtTransformer2DModel": pixart,
    "SD3Transformer2DModel": sd3,
    "FluxTransformer2DModel": flux,
    "ZImageTransformer2DModel": z_image,
}


def as_inlet(name: str, residual_BCHW: Tensor) -> Tensor:
    """A residual in the form of what the inlet of a class puts out: a grid for a UNet, tokens for a transformer."""
    if name == "UNet2DConditionModel":
        return residual_BCHW
    tokens_BND = residual_BCHW.flatten(2).transpose(1, 2)
    if name != "ZImageTransformer2DModel":
        return tokens_BND
    B, N, D = tokens_BND.shape
    padding = tokens_BND.new_zeros(B, -N % PADDED, D)
    return torch.cat([tokens_BND, padding], 1).reshape(-1, D)
