"""Saving and loading of a network, as config.json and safetensors: all of lantu's own parts alike."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from torch import nn

from lantu import files
from lantu.weights import manifest, tensors

Network = TypeVar("Network", bound=nn.Module)


def save(network: nn.Module, config: BaseModel, folder: str | Path) -> None:
    """Write the weights, then config.json.

    Raises:
        DiskError: a file can't be written.
    """
    tensors.save(network.state_dict(), Path(folder))
    files.write_json(Path(folder) / "config.json", config.model_dump())


def load(make: Callable[[dict[str, Any]], Network], part: str, folder: str | Path) -> Network:
    """Read what ``save`` wrote, in float32, without gradients, ready for inference.

    Args:
        make: builds the network from its checked config.
        part: "tokenizer", "decoder", "control" or "upscaler".

    Raises:
        ModelError: it is missing or damaged.
    """
    network = make(manifest.read(part, folder))
    network.load_state_dict({name: value.float() for name, value in tensors.load(Path(folder)).items()})
    return network.eval().requires_grad_(False)
