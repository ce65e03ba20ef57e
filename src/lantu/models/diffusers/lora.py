"""LoRA (arXiv:2106.09685) on a pretrained denoiser, in a file that diffusers' own loaders read.

Names are those of the network's modules with ``.lora_A.weight`` (rank, inputs) and ``.lora_B.weight`` (outputs, rank),
after ``unet.`` or ``transformer.``: ``load_lora_adapter`` of a network opens the file, and ``load_lora_weights`` of its
pipeline. The scale is 1: alpha equals the rank.
"""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lantu import files
from lantu.errors import TRAINING, LantuError, ModelError
from lantu.files.untrusted import check_regular
from lantu.models.diffusers.folder import LORA_FILE
from lantu.models.diffusers.kinds import KINDS
from lantu.weights import arrays, tensors

# Queries, keys, values and outputs of attention; the last four are those of the context in SD 3 and FLUX.1.
TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
IN_BLOCK = re.compile(r"(\w+\.\d+|mid_block)\.\w+(\.\w+)*")  # names of modules inside a network's blocks
ENDS = (".lora_A.weight", ".lora_B.weight")
HINT = "train the decoder's LoRA again, or take lora/ out of its folder"


def add(network: Any, rank: int, targets: list[str] | None = None, name: str = "default") -> list[nn.Parameter]:
    """Put a fresh LoRA on a network, which predicts as before until it is trained; returns its weights, float32.

    Args:
        targets: names of modules; by default those of all attention.
        name: of the LoRA, where a network has several; the newest takes effect.

    Raises:
        LantuError: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as problem:
        raise LantuError("LoRA needs peft, which is not installed", TRAINING) from problem
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=targets or list(TARGETS), init_lora_weights=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft warns of a second LoRA on a network, which is wanted here
        inject_adapter_in_model(config, network, adapter_name=name)
    for value in weights(network):
        value.data = value.data.float()
    return weights(network)


def layers(network: nn.Module) -> list[str]:
    """The names of all linear layers inside a network's blocks."""
    named = network.named_modules()
    return [name for name, module in named if isinstance(module, nn.Linear) and IN_BLOCK.fullmatch(name)]


def weights(network: Any) -> list[nn.Parameter]:
    """The weights of a network's LoRA; none if it has none."""
    return [value for name, value in network.named_parameters() if ".lora_" in name]


def state(network: Any, name: str = "default") -> dict[str, Tensor]:
    """One LoRA of a network: "module.lora_A.weight" → tensor."""
    from peft import get_peft_model_state_dict

    return get_peft_model_state_dict(network, adapter_name=name)


def save(network: Any, folder: Path, state_of: Mapping[str, Tensor] | None = None) -> None:
    """Write the LoRA of a network.

    Args:
        state_of: another than ``state(network)``.
    """
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    named = state(network) if state_of is None else state_of
    place = place_of(network)
    tensors.write(
        {f"{place}.{name}": value.detach().cpu().contiguous() for name, value in named.items()}, folder / LORA_FILE
    )


def place_of(network: Any) -> str:
    """What a pipeline calls this network: "unet" or "transformer"."""
    return next(kind.folder for kind in KINDS if kind.name == type(network).__name__)


def joined(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One LoRA that does what two do: their ranks beside one another, zeros where a layer has only one of them."""
    halves = [each for each in (first, second) if each]
    ranks = [next(value.shape[0] for name, value in each.items() if name.endswith(ENDS[0])) for each in halves]
    both = {}
    for name in dict.fromkeys(name for each in halves for name in each):
        along = 0 if name.endswith(ENDS[0]) else 1
        like = next(each[name] for each in halves if name in each)
        parts = []
        for each, rank in zip(halves, ranks, strict=True):
            shape = list(like.shape)
            shape[along] = rank
            parts.append(each.get(name, like.new_zeros(shape)).to(like))
        both[name] = torch.cat(parts, along)
    return both


def read(network: Any, folder: Path) -> None:
    """Put the LoRA in a folder on a network.

    Raises:
        ModelError: it is damaged, or was trained on another network.
    """
    from safetensors.torch import load_file

    path = folder / LORA_FILE
    check_regular([path])
    try:
        prefix = f"{place_of(network)}."
        entries = {name.removeprefix(prefix): entry for name, entry in arrays.read_header(path)[1].items()}
    except (OSError, ValueError) as problem:
        raise ModelError(f"{path} can't be read ({problem})", HINT) from problem
    names = {name.removesuffix(end) for name in entries for end in ENDS if name.endswith(end)}
    linear = {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    rank = next((entry.shape[0] for name, entry in entries.items() if name.endswith(ENDS[0]) and entry.shape), 0)
    wanted: dict[str, tuple[int, ...]] = {}
    for name in sorted(names & linear.keys()):
        module = linear[name]
        wanted |= {name + ENDS[0]: (rank, module.in_features), name + ENDS[1]: (module.out_features, rank)}
    for name in wanted.keys() ^ entries.keys():
        raise ModelError(f"{path} doesn't belong to this network: {name} has no place in it", HINT)
    for name, shape in wanted.items():
        if entries[name].shape != shape or entries[name].dtype not in ("F32", "BF16", "F16"):
            raise ModelError(f"{name} in {path} is {entries[name].dtype} {list(entries[name].shape)}", HINT)
    add(network, rank, sorted(names))
    from peft import set_peft_model_state_dict

    stored = {name.removeprefix(prefix): value for name, value in load_file(path).items()}
    set_peft_model_state_dict(network, stored)


@torch.no_grad()
def merge(network: Any) -> None:
    """Fold the LoRA into the network's own weights, and take it off."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, BaseTunerLayer)]
    for name, module in layers:
        module.merge(safe_merge=False)
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, module.get_base_layer())
    if hasattr(network, "peft_config"):
        del network.peft_config
