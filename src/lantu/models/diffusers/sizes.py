"""The size of the pictures that a published pipeline was trained on."""

from pathlib import Path

from lantu.models.diffusers import modules
from lantu.models.diffusers.folder import autoencoder_folder, network_folder
from lantu.models.diffusers.kinds import NAMES, kind_of
from lantu.models.diffusers.vae import codec_sizes

UNSAID = {"FluxTransformer2DModel": 1024, "ZImageTransformer2DModel": 1024}  # their configs have no sample_size


def native_size(folder: Path, vae: Path | None = None) -> int:
    """Pixels a side.

    Args:
        vae: an autoencoder that takes the place of the pipeline's own.

    Raises:
        ModelError: the folder is no pipeline whose network codes can condition.
    """
    place = network_folder(folder)
    about = modules.read_config(place, NAMES, "network")
    kind = kind_of(about, str(place / "config.json"))
    vae = vae or autoencoder_folder(folder, kind.channels(about))
    sample = about.get("sample_size")
    if type(sample) is not int:
        return UNSAID.get(kind.name, 512)
    return sample * (codec_sizes(vae)[1] if vae else 1)
