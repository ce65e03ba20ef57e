"""The size of the pictures that a published pipeline was trained on."""

from pathlib import Path

from lantu.models.diffusers import modules
from lantu.models.diffusers.folder import VAE, network_folder
from lantu.models.diffusers.kinds import NAMES, kind_of
from lantu.models.diffusers.vae import codec_sizes

UNSAID = {"FluxTransformer2DModel": 1024, "ZImageTransformer2DModel": 1024}  # their configs have no sample_size


def native_size(folder: Path) -> int:
    """Pixels a side.

    Raises:
        ModelError: the folder is no pipeline whose network codes can condition.
    """
    place = network_folder(folder)
    about = modules.read_config(place, NAMES, "network")
    kind = kind_of(about, str(place / "config.json"))
    sample = about.get("sample_size")
    if type(sample) is not int:
        return UNSAID.get(kind.name, 512)
    factor = codec_sizes(folder / VAE)[1] if (folder / VAE).is_dir() else 1
    return sample * factor
