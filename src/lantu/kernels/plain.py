"""The blocks in NumPy, in float32: the readable reference of the native code."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lantu.kernels.shapes import Cache, Choice, Layer, Segment, Shape, to_float

QUIET = np.errstate(over="ignore", invalid="ignore")  # damaged weights are detected in the output


def implementation() -> str:
    """The name of this implementation, for people."""
    return "NumPy"


class TransformerStack:
    """Transformer blocks: see ``shapes.TransformerStack``."""

    def __init__(self, shape: Shape, layers: Iterable[Layer], precise: bool = True):
        self.shape = shape
        self.layers = list(map(in_full, layers))

    def cache(self, capacity: int) -> Cache:
        """An empty cache; its memory is (L, 2, G, capacity, K)."""
        shape = self.shape
        return Cache(
            np.zeros((shape.layers, 2, shape.key_value_heads, capacity, shape.head_width), np.float32), capacity
        )

    @QUIET
    def forward(
        self,
        x_TD: np.ndarray,
        rotation_2TK: np.ndarray,
        segments: list[Segment],
        modulation_L6D: np.ndarray | None = None,
    ) -> np.ndarray:
        """See ``shapes.TransformerStack.forward``."""
        shape = self.shape
        x_TD = np.array(x_TD, np.float32)
        for number, layer in enumerate(self.layers):
            shift, scale, gate, shift_f, scale_f, gate_f = (
                np.zeros((6, 1), np.float32) if modulation_L6D is None else modulation_L6D[number]
            )
            inner = rms_norm(x_TD, layer.attention_norm, shape.eps) * (1 + scale) + shift
            query, key, value = (
                project(inner, weight, bias)
                for weight, bias in (
                    (layer.query, layer.query_bias),
                    (layer.key, layer.key_bias),
                    (layer.value, layer.value_bias),
                )
            )
            query_THK = rotate(heads(query, shape.head_width), layer.query_norm, shape.eps, rotation_2TK)
            key_TGK = rotate(heads(key, shape.head_width), layer.key_norm, shape.eps, rotation_2TK)
            value_TGK = heads(value, shape.head_width)
            attended, first = [], 0
            for segment in segments:
                part = slice(first, first + segment.tokens)
                attended.append(attend(segment, number, query_THK[part], key_TGK[part], value_TGK[part]))
                first += segment.tokens
            branch = (1 + gate) * (np.concatenate(attended) @ layer.out.T)
            x_TD = x_TD + maybe_norm(branch, layer.attention_post_norm, shape.eps)
            inner = rms_norm(x_TD, layer.feed_forward_norm, shape.eps) * (1 + scale_f) + shift_f
            hidden = ACTIVATIONS[shape.activation](inner @ layer.gate.T) * (inner @ layer.up.T)
            branch = (1 + gate_f) * (hidden @ layer.down.T)
            x_TD = x_TD + maybe_norm(branch, layer.feed_forward_post_norm, shape.eps)
        for segment in segments:
            segment.cache.used += segment.tokens
        return x_TD


class Linear:
    """One matrix: see ``shapes.Linear``."""

    def __init__(
        self,
        weight: np.ndarray,
        bias: np.ndarray | None = None,
        norm: np.ndarray | None = None,
        eps: float = 0.0,
        precise: bool = True,
    ):
        self.weight = to_float(weight)
        self.bias = None if bias is None else to_float(bias)
        self.norm = None if norm is None else to_float(norm)
        self.eps = eps

    @QUIET
    def __call__(self, x_TD: np.ndarray, into: np.ndarray | None = None) -> np.ndarray:
        if self.norm is not None:
            x_TD = rms_norm(x_TD, self.norm, self.eps)
        out = np.matmul(x_TD, self.weight.T, out=into)
        return out if self.bias is None else np.add(out, self.bias, out=out)


def in_full(layer: Layer) -> Layer:
    """The weights in float32."""
    weights: dict[str, Any] = {name: to_float(value) for name, value in vars(layer).items() if value is not None}
    return replace(layer, **weights)


def attend(
    segment: Segment, layer: int, query_THK: np.ndarray, key_TGK: np.ndarray, value_TGK: np.ndarray
) -> np.ndarray:
    """Append the keys and values of a segment to its cache, then attend: (T, H·K)."""
    start, end = segment.cache.used, segment.cache.used + segment.tokens
    own = segment.cache.memory[layer]
    own[0, :, start:end], own[1, :, start:end] = key_TGK.swapaxes(0, 1), value_TGK.swapaxes(0, 1)
    before = 0 if segment.prefix is None else segment.prefix.used
    keys, values = own[:, :, :end]
    if segment.prefix is not None:
        keys = np.concatenate([segment.prefix.memory[layer, 0, :, :before], keys], 1)
        values = np.concatenate([segment.prefix.memory[layer, 1, :, :before], values], 1)
    shared = query_THK.shape[1] // keys.shape[0]
    keys, values = keys.repeat(shared, 0), values.repeat(shared, 0)
    scores_HTN = query_THK.swapaxes(0, 1) @ keys.swapaxes(1, 2) / np.sqrt(np.float32(keys.shape[-1]))
    if segment.causal:
        hidden = np.arange(before + end) > before + start + np.arange(segment.tokens)[:, None]
        scores_HTN[:, hidden] = -np.inf
    shares = np.exp(scores_HTN - scores_HTN.max(-1, keepdims=True))
    seen_HTK = (shares / shares.sum(-1, keepdims=True)) @ values
    return seen_HTK.swapaxes(0, 1).reshape(segment.tokens, -1)


def heads(x_TD: np.ndarray, width: int) -> np.ndarray:
    """(T, H·K) → (T, H, K)."""
    return x_TD.reshape(len(x_TD), -1, width)


def project(x_TD: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """A matrix product, and a bias if there is one."""
    return x_TD @ weight.T if bias is None else x_TD @ weight.T + bias


def rotate(x_THK: np.ndarray, norm_K: np.ndarray | None, eps: float, rotation_2TK: np.ndarray) -> np.ndarray:
    """Normalise if there is a norm, then apply the rotary embedding to each head."""
    x_THK = maybe_norm(x_THK, norm_K, eps)
    cosine, sine = rotation_2TK[:, :, None]
    first, second = np.split(x_THK, 2, -1)
    return np.concatenate([first * cosine - second * sine, first * sine + second * cosine], -1)


def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    """Root-mean-square norm of the last axis (arXiv:1910.07467)."""
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(eps)) * weight


def maybe_norm(x: np.ndarray, weight: np.ndarray | None, eps: float) -> np.ndarray:
    """``rms_norm`` if there is a weight."""
    return x if weight is None else rms_norm(x, weight, eps)


def silu(x: np.ndarray) -> np.ndarray:
    """x · sigmoid(x)."""
    return x / (1 + np.exp(-np.clip(x, -87, 87)))


def gelu(x: np.ndarray) -> np.ndarray:
    """x/2 · (1 + tanh y) = x · sigmoid(2y), with y = √(2/π) (x + 0.044715 x³)."""
    return x / (1 + np.exp(np.clip(np.float32(-1.5957691) * (x + np.float32(0.044715) * x**3), -87, 87)))


ACTIVATIONS = {"silu": silu, "gelu": gelu}
PLAUSIBLE = np.float32(-2.3025851)  # log 0.1


def choose(logits_RV: np.ndarray, choices: Sequence[Choice]) -> list[int]:
    """Sample one column for each choice: see ``shapes.Choice``."""
    return [choose_one(logits_RV, choice) for choice in choices]


def choose_one(logits_RV: np.ndarray, choice: Choice) -> int:
    """Sample one column of the logits."""
    logits_V = logits_RV[choice.row].astype(np.float32)
    if choice.unconditional >= 0:
        other_V = logits_RV[choice.unconditional]
        apart_V = np.float32(choice.guidance) * (logits_V - other_V)
        if choice.contrast:
            at = min(choice.contrast, len(logits_V))
            plausible = np.partition(logits_V, -at)[-at] + PLAUSIBLE
            logits_V = np.where(logits_V >= plausible, apart_V, -np.float32(np.inf))
        else:
            logits_V = other_V + apart_V
    likeliest = int(logits_V.argmax())
    if choice.temperature <= 0:
        return likeliest
    kept = np.arange(len(logits_V))
    if 0 < choice.top_k < len(logits_V):
        least = np.partition(logits_V, -choice.top_k)[-choice.top_k]
        kept = np.flatnonzero((logits_V >= least) & (logits_V > -np.inf))
    shares = np.exp((logits_V[kept] - logits_V[likeliest]).astype(np.float64) / choice.temperature)
    if choice.top_p < 1:
        order = np.argsort(-shares, kind="stable")
        before = np.cumsum(shares[order]) - shares[order]
        shares[order[before >= choice.top_p * shares.sum()]] = 0
    reached = shares.cumsum()
    place = np.searchsorted(reached, choice.uniform * reached[-1], side="right")
    return int(kept[min(place, np.flatnonzero(shares)[-1])])  # the product may be rounded up to the sum
