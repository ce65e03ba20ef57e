"""Tensor parallelism: neighbouring ranks compute the same samples, each with its part of a layer's weights.

Applied from outside to any causal language model of transformers: its class says which of its layers are split by
columns and which by rows (``tp_plan``; Shoeybi et al. 2019, arXiv:1909.08053), and torch's own parallel styles do it.
"""

import fnmatch
import logging
from typing import TYPE_CHECKING

from torch import nn

from lantu.errors import RecipeError

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor.parallel import ParallelStyle

HEADS_AXIS = 2  # of queries and keys where they are normalised: (B, N, heads, width of a head)


def split_layers(network: nn.Module, mesh: "DeviceMesh") -> None:
    """Split a language model's layers among the ranks of ``mesh``; call this before FSDP shards what is left.

    Raises:
        RecipeError: the network doesn't say how, or its heads or inner width are no multiple of the number of ranks.
    """
    from torch.distributed.tensor.parallel import parallelize_module

    plan: dict[str, str] | None = getattr(network, "tp_plan", None)  # type: ignore[assignment]
    if not plan:
        raise RecipeError(
            f"the layers of {type(network).__name__} can't be split among processes",
            "only language models can: leave loop.tensor_parallel at 1",
        )
    check_sizes(network, mesh.size())
    # A remark of torch: a mesh of two axes reduces along each.
    logging.getLogger("torch.distributed.tensor._redistribute").setLevel(logging.ERROR)
    styles = torch_styles()
    tied = tied_head(network)
    for name, _ in list(network.named_modules()):
        kind = next((kind for pattern, kind in plan.items() if fnmatch.fnmatchcase(name, pattern)), None)
        if kind is None:
            continue
        if kind not in styles:
            raise RecipeError(
                f"{type(network).__name__} wants {name} split as {kind!r}, which lantu does not do",
                "leave loop.tensor_parallel at 1",
            )
        parallelize_module(network, mesh, {name: styles[kind]})
    if tied:
        network.lm_head.weight = network.model.embed_tokens.weight  # type: ignore[union-attr]


def torch_styles() -> dict[str, "ParallelStyle"]:
    """transformers' name of a way to split a layer → torch's."""
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, SequenceParallel

    return {
        "colwise": ColwiseParallel(),
        "rowwise": RowwiseParallel(),
        "colwise_gather_output": ColwiseParallel(output_layouts=Replicate()),
        "embedding_rowwise": RowwiseParallel(input_layouts=Replicate()),
        # Each rank normalises its own heads, so the weight's gradient is the sum over the ranks.
        "replicated_with_grad_allreduce": SequenceParallel(sequence_dim=HEADS_AXIS, use_local_output=True),
    }


def check_sizes(network: nn.Module, ranks: int) -> None:
    """Refuse a number of ranks by which heads or inner width can't be divided; rows of the vocabulary may be uneven.

    Raises:
        RecipeError: so.
    """
    config = network.config
    for name in ("num_attention_heads", "num_key_value_heads", "intermediate_size"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value % ranks:
            raise RecipeError(
                f"{name} = {value} can't be divided among loop.tensor_parallel={ranks} processes",
                "choose a number that divides it",
            )


def tied_head(network: nn.Module) -> bool:
    """Whether the output layer has the weights of the embeddings; each is split, then they are tied again."""
    weights = dict(network.named_parameters(remove_duplicate=False))
    head = weights.get("lm_head.weight")
    return head is not None and head is weights.get("model.embed_tokens.weight")
