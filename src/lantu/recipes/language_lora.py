"""What of an adopted language model is trained: its new rows, low-rank adapters (LoRA, arXiv:2106.09685) too, or all.

In all three the new rows are parameters of their own (``new_rows``). ``merged`` gives the weights back under the names
of the stock model.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lantu import files
from lantu.errors import TRAINING, LantuError
from lantu.recipes import new_rows
from lantu.weights import tensors

Trained = Literal["rows", "lora", "all"]
PREFIX = "base_model.model."  # of the names in a file of peft's
ADAPTER_KIND = files.FolderKind(
    "an adapter", ("adapter_config.json",), ("adapter_config.json", "adapter_model.safetensors"), ("peft_type", "LORA")
)


def adapt(model: Any, first: int, trained: Trained, rank: int, alpha: int, seed: int) -> list[nn.Parameter]:
    """Prepare a transformers causal language model for training, in place; returns the new rows.

    Args:
        first: the first new id.
        rank, alpha: of the adapters, which every linear layer but the head gets.
        seed: for the adapters' first values.

    Raises:
        LantuError: peft is not installed.
    """
    names = linear_layers(model)
    rows = new_rows.split(model, first)
    if trained == "all":
        return rows
    model.requires_grad_(False)
    if trained == "lora":
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as problem:
            raise LantuError("trained=lora needs peft, which is not installed", TRAINING) from problem
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=names), model)
    for row in rows:
        row.requires_grad_()
    return rows


def freeze_in(model: nn.Module, dtype: torch.dtype) -> None:
    """Keep the weights that do not learn in another dtype; buffers, such as rotary frequencies, stay exact."""
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)


def recompute(model: Any) -> None:
    """Keep no activations of the layers for the backward pass."""
    # transformers below 5.24 knows only the second name, which those from 6 on do not.
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def linear_layers(model: Any) -> list[str]:
    """The names of all linear layers but the head."""
    head = model.get_output_embeddings()
    kinds = (nn.Linear, *((Conv1D,) if (Conv1D := conv1d()) else ()))
    return [name for name, module in model.named_modules() if isinstance(module, kinds) and module is not head]


def conv1d() -> type[nn.Module]:
    """transformers' other linear layer (GPT-2's)."""
    from transformers.pytorch_utils import Conv1D

    return Conv1D


@torch.no_grad()
def merged(model: nn.Module) -> dict[str, Tensor]:
    """The weights under the names of the stock model, with the adapters added to what they adapt."""
    state = dict(model.state_dict())
    deltas: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        delta: Any = getattr(module, "get_delta_weight", None)  # of peft's layers
        if delta is not None:
            deltas[f"{name}.weight"] = delta("default")
    found = {}
    for name, value in state.items():
        if ".lora_" in name or name.endswith((".old.weight", ".new")):
            continue
        plain = name.replace(".base_layer.", ".").replace(".old.bias", ".bias")
        found[plain] = (value.float() + deltas[plain].float()).to(value.dtype) if plain in deltas else value
    return found | dict(new_rows.joined(model))


def save_adapter(model: nn.Module, first: int, base: str, folder: Path, rank: int, alpha: int) -> None:
    """Write the adapters and the new rows as peft keeps them: ``PeftModel.from_pretrained(base, folder)`` opens them.

    Args:
        base: the folder of the model that was adapted.

    Raises:
        DiskError: they can't be written.
    """
    from peft import LoraConfig

    state: dict[str, Tensor] = {}
    tables: dict[str, list[int]] = {}
    for name, value in model.state_dict().items():
        if ".lora_" in name:
            state[PREFIX + name.replace(".default.", ".")] = value
    seen: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, new_rows.SplitEmbedding | new_rows.SplitHead) and id(module.new) not in seen:
            seen.add(id(module.new))
            tables[name.rpartition(".")[2]] = list(range(first, first + len(module.new)))
            state[f"{PREFIX}{name}.token_adapter.trainable_tokens_delta"] = module.new
    layers = sorted({name.removeprefix(PREFIX).partition(".lora_")[0] for name in state if ".lora_" in name})
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=layers, trainable_token_indices=tables)
    fields: Mapping[str, Any] = config.to_dict() | {"target_modules": layers, "base_model_name_or_path": base}
    with files.replacing_folder(folder, ADAPTER_KIND) as temporary:
        temporary.mkdir()
        plain = {name: tensors.plain(value, torch.float32) for name, value in state.items()}
        tensors.write(plain, temporary / "adapter_model.safetensors")
        files.write_json(
            temporary / "adapter_config.json", {**fields, "inference_mode": True, "task_type": "CAUSAL_LM"}
        )
