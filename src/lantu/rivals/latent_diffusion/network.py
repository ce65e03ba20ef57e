"""Text encoder and denoiser on torch, read from the published folders once every tensor is checked.

Shapes: B batch, N tokens of a prompt, D width of the text encoder, C channels, H W positions of the latents.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lantu.diffusion.parameterisations import PARAMETERISATIONS
from lantu.diffusion.schedules import NoiseSchedule
from lantu.errors import ModelError
from lantu.files.untrusted import read_json
from lantu.models.diffusers import modules
from lantu.models.diffusers.scheduler import read_scheduler
from lantu.models.diffusers.vae import TINY, codec_class, codec_config
from lantu.models.published import modules as published
from lantu.rivals.latent_diffusion.names import SCHEDULER, STEMS
from lantu.weights import arrays, checksums, tensors

UNET = ("UNet2DConditionModel",)
PREFIX = "text_model."  # of the names in files that other versions of transformers wrote
COMPUTED = "embeddings.position_ids"  # which they wrote, too
KEPT = 256  # prompts whose encodings are remembered


class LatentDenoiser:
    """Prompts and noisy latents → clean estimates.

    Attributes:
        unet, text_encoder: of diffusers and transformers.
        schedule, parameterisation: that the UNet was trained with.
    """

    def __init__(self, unet: Any, text_encoder: Any, schedule: NoiseSchedule, parameterisation: str):
        self.unet, self.text_encoder = unet, text_encoder
        self.schedule, self.parameterisation = schedule, parameterisation
        self.known: dict[tuple[int, ...], Tensor] = {}

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.unet.parameters()).device

    @torch.inference_mode()
    def context(self, prompt: Sequence[int]) -> Tensor:
        """A prompt's ids, padded → what the denoiser attends to, (N, D)."""
        key = tuple(prompt)
        if key not in self.known:
            if len(self.known) >= KEPT:
                self.known.clear()
            ids_1N = torch.tensor([key], device=self.device)
            self.known[key] = self.text_encoder(input_ids=ids_1N).last_hidden_state[0]
        return self.known[key]

    def times(self, steps: int, positions: int) -> list[float]:
        """The times of a sampler's steps, from noise to 1, as ``DiffusionDecoder.times`` has them."""
        first, *others = self.schedule.times(steps, positions)
        return [max(first, PARAMETERISATIONS[self.parameterisation].min_signal), *others]

    @torch.inference_mode()
    def clean(self, x_BCHW: Tensor, t: float, context_BND: Tensor) -> Tensor:
        """The clean estimate of ``x = t · latents + (1 - t) · noise``."""
        scale = self.schedule.scale(t)
        x_t_BCHW = scale * x_BCHW
        timestep_B = torch.full((len(x_BCHW),), self.schedule.timestep(t), device=self.device)
        predicted = self.unet(x_t_BCHW, timestep_B, encoder_hidden_states=context_BND, return_dict=False)[0]
        return PARAMETERISATIONS[self.parameterisation].clean(predicted.float(), x_t_BCHW, scale * t, scale * (1 - t))

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "LatentDenoiser":
        """Read a model directory's unet/, text_encoder/ and scheduler/. Raises ModelError."""
        check(folder)
        unet = modules.load(folder / "unet", unet_config(folder), torch.float32, device)
        state = plain_names(tensors.load(folder / "text_encoder"))
        encoder = published.build(text_encoder_of(folder), f"{folder}/text_encoder: ", state, device)
        return cls(unet, encoder.float(), *scheduler_of(folder))


def check(folder: Path) -> None:
    """Hold the headers of all parts against their configs. Raises ModelError."""
    modules.require()
    config = unet_config(folder)
    modules.check(folder / "unet", config, STEMS["unet"])
    if codec_class(folder / "vae") != TINY:
        modules.check(folder / "vae", codec_config(folder / "vae"), STEMS["vae"])
    found = plain_names(arrays.entries(folder / "text_encoder"))
    encoder: Any = published.check(text_encoder_of(folder), folder / "text_encoder", "", found)
    if encoder.config.hidden_size != config.get("cross_attention_dim"):
        what = f"the UNet in {folder} reads {config.get('cross_attention_dim')} numbers a token"
        raise ModelError(f"{what}, the text encoder writes {encoder.config.hidden_size}", "fetch it again")
    scheduler_of(folder)
    for part in (*STEMS, "tokenizer", "scheduler"):
        checksums.verify(folder / part)


def unet_config(folder: Path) -> dict[str, Any]:
    """The config of the denoiser. Raises ModelError."""
    config = modules.read_config(folder / "unet", UNET, "denoiser")
    if config.get("addition_embed_type") or config.get("class_embed_type"):
        raise ModelError(f"the UNet in {folder} reads more than a prompt", "give a Stable Diffusion 1 or 2")
    return config


def text_encoder_of(folder: Path) -> Any:
    """What builds the text encoder from its config. Raises ModelError."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = arrays.read_config(folder / "text_encoder")
    if config.get("model_type") != CLIPTextConfig.model_type:
        raise ModelError(f"the text encoder in {folder} is no {CLIPTextConfig.model_type}", "give a Stable Diffusion")
    return lambda: CLIPTextModel(CLIPTextConfig(**config))


def plain_names(found: dict[str, Any]) -> dict[str, Any]:
    """Tensors of a text encoder by the names of today's transformers."""
    names = {name.removeprefix(PREFIX): value for name, value in found.items()}
    return {name: value for name, value in names.items() if name != COMPUTED}


def scheduler_of(folder: Path) -> tuple[NoiseSchedule, str]:
    """The noise schedule and the parameterisation. Raises ModelError."""
    try:
        return read_scheduler(read_json(folder / SCHEDULER))
    except (OSError, ValueError) as problem:
        raise ModelError(f"{folder / SCHEDULER} can't be read ({problem})", "fetch it again") from problem
