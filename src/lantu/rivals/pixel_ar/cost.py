"""What a picture of S by S pixels costs, drafted pixel by pixel: ids, operations, memory, seconds.

With a KV cache the id at place i takes 2 operations a weight and 4·L·D·i of attention in L layers of width D (the
products of queries with keys, and of weights with values), so a picture of N = S² ids takes

    2 · P · N + 4 · L · D · N (N + 1) / 2        P weights, those of the ids that can't be drawn left out

and a step of measured seconds ``a + b · i`` adds up to ``a · N + b · N (N + 1) / 2``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Cost:
    """A picture's cost.

    Attributes:
        side: pixels a side of the draft.
        ids: drafted.
        flops: of one sequence; guidance takes two.
        cache_bytes: of its keys and values.
        seconds: by measured steps; None where none were measured.
    """

    side: int
    ids: int
    flops: float
    cache_bytes: int
    seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def weights_of(config: Mapping[str, Any], codes: int) -> int:
    """Weights that a step multiplies: all layers, and the head of the codes alone.

    Args:
        config: of a Qwen3, as transformers writes it.
        codes: ids that may be drawn.
    """
    width, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    return config["num_hidden_layers"] * (width * (2 * queries + 2 * keys) + 3 * width * inner) + width * codes


def cost(config: Mapping[str, Any], codes: int, side: int, steps: "tuple[float, float] | None" = None) -> Cost:
    """The cost of a picture of ``side`` by ``side`` pixels.

    Args:
        steps: seconds of a step, ``a`` and ``b`` above.
    """
    ids, layers = side * side, config["num_hidden_layers"]
    pairs = ids * (ids + 1) / 2
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    flops = 2.0 * weights_of(config, codes) * ids + 4.0 * layers * queries * pairs
    seconds = None if steps is None else steps[0] * ids + steps[1] * pairs
    return Cost(side, ids, flops, 2 * layers * keys * ids * 2, seconds)


def fitted(places: Sequence[int], step_s: Sequence[float]) -> tuple[float, float]:
    """``a`` and ``b`` of a step's seconds, from measured steps at some places; neither is negative."""
    slope, start = np.polyfit(np.asarray(places, float), np.asarray(step_s, float), 1)
    slope = max(0.0, float(slope))
    return max(0.0, float(np.mean(step_s) - slope * np.mean(places)) if slope == 0 else float(start)), slope
