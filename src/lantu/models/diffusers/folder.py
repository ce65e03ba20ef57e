"""The folder of a pretrained decoder, without torch: which files it may have, and where its parts lie.

decoder/
  config.json          "_class_name": "PretrainedDecoder", see ``pretrained.PretrainedConfig``
  adapter/             ours: codes → conditions, see ``conditioning``
  unet/, transformer/  one of them, as published
  vae/                 as published, or a tiny autoencoder's two files; none for a model of pixels
  scheduler/           scheduler_config.json, as published
  lora/                what was trained beside the network's own weights, if it was trained so

diffusers' own loaders open each published folder.
"""

from pathlib import Path

from lantu.errors import ModelError
from lantu.files import WEIGHTS, FolderKind
from lantu.weights.names import PRETRAINED, PRETRAINED_CONTROL

CONTROLNET = "controlnet"  # in the folder of a control
ADAPTER, VAE, SCHEDULER, LORA = "adapter", "vae", "scheduler", "lora"
NETWORKS = ("unet", "transformer")
PIXEL_CHANNELS = 3
STEM = "diffusion_pytorch_model"
LORA_FILE = "pytorch_lora_weights.safetensors"
PUBLISHED = (
    "config.json",
    f"{STEM}.safetensors",
    f"{STEM}.safetensors.index.json",
    f"{STEM}-?????-of-?????.safetensors",
)
KIND = FolderKind(
    "a pretrained decoder",
    ("config.json",),
    (
        "config.json",
        *WEIGHTS.within(ADAPTER),
        *(f"{part}/{name}" for part in (*NETWORKS, VAE) for name in PUBLISHED),
        *(f"{VAE}/{half}.safetensors" for half in ("encoder", "decoder")),
        f"{SCHEDULER}/scheduler_config.json",
        f"{LORA}/{LORA_FILE}",
    ),
    ("_class_name", PRETRAINED),
)

CONTROL_KIND = FolderKind(
    "a control",
    ("config.json",),
    ("config.json", *(f"{CONTROLNET}/{name}" for name in PUBLISHED)),
    ("_class_name", PRETRAINED_CONTROL),
)


def autoencoder_folder(folder: Path, channels: int) -> Path | None:
    """Where a published pipeline keeps its autoencoder; None for a model of pixels.

    Args:
        channels: of what its network denoises.

    Raises:
        ModelError: it has none, though the network denoises latents.
    """
    if (folder / VAE).is_dir():
        return folder / VAE
    if channels == PIXEL_CHANNELS:
        return None
    what = f"{folder} has no {VAE}/, and its network denoises latents ({channels} channels)"
    raise ModelError(what, "fetch the pipeline whole, or give an autoencoder: --vae DIR")


def network_folder(folder: Path) -> Path:
    """Where a decoder, or a published pipeline, keeps its denoiser. Raises ModelError where it has none."""
    there = [folder / name for name in NETWORKS if (folder / name / "config.json").is_file()]
    if len(there) != 1:
        what = f"no unet/ and no transformer/ in {folder}" if not there else f"{folder} has a unet/ and a transformer/"
        raise ModelError(what, "give a published pipeline of diffusers with one of them, or adopt the decoder again")
    return there[0]
