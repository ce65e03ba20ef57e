"""Doubles of a language model, and a tiny real one with random weights."""

from typing import Any

import numpy as np

from lantu.engine.request import id_at

CONFIG = {
    "model_type": "qwen3",
    "hidden_act": "silu",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 48,
    "vocab_size": 70,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_theta": 1e4},
    "tie_word_embeddings": True,
}


def weights() -> dict[str, np.ndarray]:
    """For ``CONFIG``: 70 ids. A small last norm leaves several of them likely."""
    random = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    sizes = {**dict.fromkeys(["q_proj", "k_proj", "v_proj", "o_proj"], (32, 32)), "q_norm": (16,), "k_norm": (16,)}
    state = {"model.embed_tokens.weight": draw(70, 32), "model.norm.weight": np.full(32, 0.3, np.float32)}
    for layer in range(2):
        at = f"model.layers.{layer}"
        for name, size in sizes.items():
            state[f"{at}.self_attn.{name}.weight"] = draw(*size) / 4
        for name, size in {"gate_proj": (48, 32), "up_proj": (48, 32), "down_proj": (32, 48)}.items():
            state[f"{at}.mlp.{name}.weight"] = draw(*size) / 4
        for name in ("input_layernorm", "post_attention_layernorm"):
            state[f"{at}.{name}.weight"] = np.ones(32, np.float32)
    return state


class Seen:
    """A row of ``Counter``."""

    def __init__(self, capacity: int, prefix: "Seen | None"):
        self.capacity, self.prefix, self.ids = capacity, prefix, []

    @property
    def length(self) -> int:
        return len(self.ids) + (self.prefix.length if self.prefix else 0)

    def total(self, back: int = 0) -> int:
        """Of all ids but so many at the end."""
        return sum(self.ids[: len(self.ids) - back]) + (self.prefix.total() if self.prefix else 0)


class Counter:
    """A backend: after some ids the likeliest is their sum. It counts what it is asked for and what it holds.

    Attributes:
        passes: rows and ids of each forward pass.
        open_rows: rows that were opened and not closed.
    """

    exact, vocabulary_size, tokens_per_pass = True, 61, 64

    def __init__(self, exact: bool = True):
        self.exact = exact
        self.passes: list[tuple[int, int]] = []
        self.open_rows: set[int] = set()
        self.kept: list[Any] = []

    def open(self, capacity: int, prefix: Seen | None = None) -> Seen:
        row = Seen(capacity, prefix)
        self.kept.append(row)
        self.open_rows.add(id(row))
        return row

    def close(self, row: Seen) -> None:
        self.open_rows.remove(id(row))

    def read(self, rows, ids) -> None:
        self.passes.append((len(rows), sum(map(len, ids))))
        for row, each in zip(rows, ids, strict=True):
            assert id(row) in self.open_rows
            row.ids += each
            assert len(row.ids) <= row.capacity

    def rewind(self, row: Seen, length: int) -> None:
        assert 0 <= row.length - length < len(row.ids)
        del row.ids[len(row.ids) - (row.length - length) :]

    def vectors(self, ids) -> np.ndarray:
        raise NotImplementedError("a double has no embeddings")

    def choose(self, draws) -> list[int]:
        return [self.one(draw) for draw in draws]

    def one(self, draw) -> int:
        size = sum(map(len, draw.ranges))
        total = draw.row.total(draw.back)
        if draw.unconditional:
            total += 7 * draw.unconditional.total(draw.back) * (draw.guidance != 1)
        column = total % size if draw.temperature == 0 else int(draw.uniform * size + total) % size
        return id_at(draw.ranges, column)
