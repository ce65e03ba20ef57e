"""Writes a pretrained decoder that was trained: the same folder as an adopted one."""

from pathlib import Path
from typing import Any

from lantu import files
from lantu.models.diffusers import folder as folders
from lantu.models.diffusers import lora, modules
from lantu.models.diffusers.adopt import copy
from lantu.models.diffusers.pretrained import DTYPES, Pretrained
from lantu.weights import arrays

SHARD = "5GB"


def save(pretrained: Pretrained, start: Path, out: Path, trained: str) -> None:
    """Write a decoder's folder; what was not trained is copied from the folder that training started from.

    Args:
        start: that folder.
        out: a folder that exists and is empty.
        trained: "adapter", "lora" or "all".

    Raises:
        ModelError: ``start`` is no longer there.
        DiskError: it can't be written.
    """
    network = pretrained.network.network
    place = folders.network_folder(start)
    kept = [folders.VAE, folders.SCHEDULER, *([place.name] if trained != "all" else [])]
    kept += [folders.LORA] if trained == "adapter" else []
    for name in kept:
        if (start / name).is_dir():
            for path in sorted((start / name).iterdir()):
                if folders.KIND.has(Path(name) / path.name):
                    copy(path, out / name)
    if trained == "lora":
        lora.save(network, out / folders.LORA)
    if trained == "all":
        save_network(network, place, out / place.name)
    pretrained.network.adapter.save(out / folders.ADAPTER)
    pretrained.config.save(out)


def save_network(network: Any, start: Path, out: Path) -> None:
    """Write a network that was trained whole, in the type and with the config.json of the one that it started from."""
    from huggingface_hub import save_torch_state_dict

    copy(start / "config.json", out)
    stored = DTYPES[modules.check(start, arrays.read_config(start))]
    state = {name: value.detach().to("cpu", stored).contiguous() for name, value in network.state_dict().items()}
    with files.writing(out):
        save_torch_state_dict(
            state, out, filename_pattern=f"{folders.STEM}{{suffix}}.safetensors", max_shard_size=SHARD
        )
