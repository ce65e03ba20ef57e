"""A pretrained diffusion model as decoder: its folder, and the decoder that it makes. Files: ``folder``.

Shapes: B batch, C channels, H W sides of the latents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from lantu import files
from lantu.diffusion.decoder import Conditioning, DiffusionDecoder, LatentCodec
from lantu.diffusion.schedules import NoiseSchedule
from lantu.errors import ModelError
from lantu.files.untrusted import read_json
from lantu.models.diffusers import lora, modules
from lantu.models.diffusers.calls import About
from lantu.models.diffusers.conditioning import Adapter
from lantu.models.diffusers.folder import ADAPTER, LORA, SCHEDULER, VAE, network_folder
from lantu.models.diffusers.kinds import NAMES, NetworkKind, kind_of
from lantu.models.diffusers.network import Encoded, PretrainedNetwork
from lantu.models.diffusers.scheduler import read_scheduler
from lantu.models.diffusers.vae import load_codec
from lantu.training.device import has_bf16
from lantu.weights import manifest
from lantu.weights.names import PRETRAINED

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
HINT = "adopt the decoder again"


class PretrainedConfig(BaseModel):
    """The config.json of a pretrained decoder.

    Attributes:
        patch: pixels a side painted for one code.
        codebook_size: of the tokenizer whose codes it renders.
        tokenizer: that tokenizer's codes digest (``ImageTokenizer.codes_digest``); "" if unknown.
        network: class of the denoiser.
        codec: class of the autoencoder; "" for a model of pixels.
        origin, license: where it comes from, and the licence of its weights.
        time_ids, aesthetic_score, guidance: see ``lantu.models.diffusers.calls.About``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    class_name: str = Field(PRETRAINED, alias="_class_name")
    patch: int
    codebook_size: int
    tokenizer: str = ""
    network: str
    codec: str = ""
    origin: str = ""
    license: str = ""
    time_ids: int = 0
    aesthetic_score: float = 6.0
    guidance: float = 3.5

    def save(self, folder: Path) -> None:
        """Write config.json."""
        files.write_json(folder / "config.json", self.model_dump(by_alias=True))


@dataclass(frozen=True)
class Pretrained:
    """A pretrained diffusion model with its adapter, as it is used in inference and in training alike.

    Attributes:
        network: (noisy latents, timesteps, codes) → prediction.
        codec: pixels to latents and back; None for a model of pixels.
        schedule, parameterisation: those that it was trained with.
    """

    config: PretrainedConfig
    network: PretrainedNetwork
    codec: LatentCodec | None
    schedule: NoiseSchedule
    parameterisation: str

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        merged: bool = True,
    ) -> Self:
        """Read a decoder's folder, once every tensor of it is checked.

        Args:
            dtype: of the network's weights; None takes the file's where the device multiplies it fast.
            merged: fold the decoder's LoRA, if it has one, into the network's weights; False leaves it beside them.

        Raises:
            ModelError: something is missing, damaged, or does not fit.
            LantuError: torch or diffusers is not installed.
        """
        folder = Path(folder)
        modules.require()
        config = PretrainedConfig(**manifest.read_decoder(folder))
        place = network_folder(folder)
        about = modules.read_config(place, NAMES, "network")
        kind = kind_of(about, str(place / "config.json"))
        stored = modules.check(place, about)
        adapter = Adapter.load(folder / ADAPTER)
        schedule, parameterisation = read_schedule(folder)
        codec = load_codec(folder / VAE, device) if config.codec else None
        network = modules.load(place, about, dtype or dtype_on(torch.device(device), stored), device)
        if (folder / LORA).is_dir():
            lora.read(network, folder / LORA)
            network.requires_grad_(False)
            if merged:
                lora.merge(network)
        told = About(codec.factor if codec else 1, config.time_ids, config.aesthetic_score, config.guidance)
        made = PretrainedNetwork(adapter.to(device), network, told)
        check_fit(kind, about, adapter, codec, folder)
        return cls(config, made, codec, schedule, parameterisation)

    def decoder(self) -> DiffusionDecoder:
        """What renders codes."""
        denoiser = PretrainedDenoiser(self.network)
        return DiffusionDecoder(denoiser, self.config.patch, self.parameterisation, self.schedule, self.codec)


class PretrainedDenoiser:
    """A ``lantu.diffusion.decoder.Denoiser``; what the adapter makes of the codes is kept for all steps."""

    def __init__(self, network: PretrainedNetwork):
        self.network = network
        self.last: tuple[Conditioning, Encoded] | None = None

    def to_device(self, array: np.ndarray) -> Tensor:
        """The array on the network's device."""
        return torch.from_numpy(array).to(self.network.adapter.codes.weight.device)

    @torch.inference_mode()
    def __call__(self, x_t_BCHW: Tensor, timestep: float, conditioning: Conditioning) -> Tensor:
        """The prediction (B, C, H, W) float32."""
        times_B = x_t_BCHW.new_full((len(x_t_BCHW),), timestep)
        return self.network.predict(x_t_BCHW, times_B, self.encoded(conditioning))

    def encoded(self, conditioning: Conditioning) -> Encoded:
        """What the adapter makes of the codes."""
        last = self.last
        if last is None or last[0] is not conditioning:
            last = self.last = conditioning, self.network.adapter(conditioning.codes_Bhw)
        return last[1]


def read_schedule(folder: Path) -> tuple[NoiseSchedule, str]:
    """The schedule and the parameterisation of a decoder's or a pipeline's folder. Raises ModelError."""
    path = folder / SCHEDULER / "scheduler_config.json"
    try:
        return read_scheduler(read_json(path))
    except (OSError, ValueError) as problem:
        raise ModelError(f"{path} can't be read as JSON ({problem})", HINT) from problem


def dtype_on(device: torch.device, stored: str) -> torch.dtype:
    """The type to compute in: the file's, but float32 where the device multiplies halves slowly."""
    return torch.float32 if device.type == "cpu" and not has_bf16(device) else DTYPES[stored]


def check_fit(
    kind: NetworkKind, about: Mapping[str, Any], adapter: Adapter, codec: LatentCodec | None, folder: Path
) -> None:
    """Refuse an adapter of other widths than the network's, and a codec of other latents. Raises ModelError."""
    wanted = {"context_width": about[kind.context], "spatial_width": kind.inner(about)}
    if kind.pooled:
        wanted["pooled_width"] = about[kind.pooled]
    for name, width in wanted.items():
        if getattr(adapter.config, name) != width:
            found = getattr(adapter.config, name)
            raise ModelError(f"the adapter in {folder} has {name} {found}, its {kind.name} wants {width}", HINT)
    channels, found = kind.channels(about), codec.channels if codec else 3
    if found != channels:
        raise ModelError(f"the {kind.name} in {folder} denoises {channels} channels, its codec has {found}", HINT)
