"""The blocks of lantu's own networks (``lantu.models.lantu.layers.Block``) on the kernels, and their geometry.

Shapes: B batch, N tokens (= h·w), D width, K head width, C channels, H W pixels, h w grid, P patch.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from lantu.kernels.shapes import Layer, Shape

EPS = 1e-6


def heads_of(width: int) -> int:
    """The heads of a block: 64 wide each, or one as wide as the block if that is narrower."""
    return max(1, width // 64)


def inner_of(width: int) -> int:
    """The inner width of a block's SwiGLU: 8/3 of its width, rounded up to a multiple of 32."""
    return -(-8 * width // 3 // 32) * 32


def layers(state: Mapping[str, np.ndarray], prefix: str, count: int) -> list[Layer]:
    """The weights of ``count`` blocks under names that begin with ``prefix``."""
    found = []
    for number in range(count):
        at = f"{prefix}{number}."
        query, key, value = np.split(state[f"{at}attention.query_key_value.weight"], 3)
        gate, up = np.split(state[f"{at}feed_forward.gate_up.weight"], 2)
        found.append(
            Layer(
                attention_norm=state[f"{at}attention_norm.weight"],
                query_norm=state[f"{at}attention.query_norm.weight"],
                key_norm=state[f"{at}attention.key_norm.weight"],
                query=query,
                key=key,
                value=value,
                out=state[f"{at}attention.out.weight"],
                feed_forward_norm=state[f"{at}feed_forward_norm.weight"],
                gate=gate,
                up=up,
                down=state[f"{at}feed_forward.down.weight"],
            )
        )
    return found


def shape_of(found: list[Layer], width: int, heads: int) -> Shape:
    """The sizes of a stack of these layers."""
    return Shape(len(found), width, heads, heads, width // heads, found[0].gate.shape[0], EPS)


@lru_cache(maxsize=8)
def rotation(height: int, width: int, head_width: int, base: float = 100.0) -> np.ndarray:
    """(2, h·w, K/2) float32: equal to ``lantu.models.lantu.layers.rotation``."""
    rows, columns = np.mgrid[:height, :width].reshape(2, -1)
    return rotation_at(rows, columns, head_width, base)


def rotation_at(rows: np.ndarray, columns: np.ndarray, head_width: int, base: float = 100.0) -> np.ndarray:
    """(2, N, K/2) float32: ``rotation`` for N tokens at any rows and columns."""
    quarter = head_width // 4
    frequencies = np.float32(base) ** (-np.arange(quarter, dtype=np.float32) / quarter)
    rows, columns = (places.astype(np.float32)[:, None] for places in (rows, columns))
    angles = np.concatenate([rows * frequencies, columns * frequencies], -1)
    return np.stack([np.cos(angles), np.sin(angles)])


def to_patches(pixels_BCHW: np.ndarray, patch: int) -> np.ndarray:
    """Cut pictures into patches without overlap: (B, C, H, W) → (B, N, P·P·C)."""
    B, C, H, W = pixels_BCHW.shape
    grid = pixels_BCHW.reshape(B, C, H // patch, patch, W // patch, patch)
    return grid.transpose(0, 2, 4, 3, 5, 1).reshape(B, -1, patch * patch * C)


def to_windows(pixels_BCHW: np.ndarray, patch: int, rim: int) -> np.ndarray:
    """Patches with ``rim`` pixels around them: equal to ``lantu.models.lantu.layers.to_windows``."""
    if not rim:
        return to_patches(pixels_BCHW, patch)
    padded = np.pad(pixels_BCHW, ((0, 0), (0, 0), (rim, rim), (rim, rim)), "edge")
    side = patch + 2 * rim
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (2, 3))[:, :, ::patch, ::patch]
    B, C, h, w, _, _ = windows.shape
    return windows.transpose(0, 2, 3, 4, 5, 1).reshape(B, h * w, side * side * C)


def window(patch: int, channels: int = 3) -> np.ndarray:
    """(4·P·P·C) float32: the weight of each output of ``lantu.models.lantu.layers.OverlapPatches``."""
    ramp = (np.arange(patch, dtype=np.float32) + 0.5) / patch
    triangle = np.concatenate([ramp, ramp[::-1]])
    return np.repeat(triangle[:, None] * triangle, channels)


def add_up(patches: np.ndarray, height: int, width: int, patch: int) -> np.ndarray:
    """Weighted patches of twice the stride (B·h·w, 4·P·P·C) → (B, C, h·P, w·P): see ``OverlapPatches.add_up``."""
    P, half = patch, patch // 2
    patches = patches.reshape(-1, height, width, 2, P, 2, P, patches.shape[-1] // (4 * P * P))
    C = patches.shape[-1]
    pixels_BCHW = np.empty((len(patches), C, height * P, width * P), np.float32)
    canvas = np.empty((height + 1, P, width + 1, P, C), np.float32)
    inside = canvas.reshape((height + 1) * P, (width + 1) * P, C)[half : half + height * P, half : half + width * P]
    for picture, pixels_CHW in zip(patches, pixels_BCHW, strict=True):  # one at a time, which stays in the cache
        canvas[:] = 0
        for row in (0, 1):
            for column in (0, 1):
                part = picture[:, :, row, :, column].transpose(0, 2, 1, 3, 4)
                canvas[row : row + height, :, column : column + width] += part
        pixels_CHW[:] = inside.transpose(2, 0, 1)
    return pixels_BCHW
