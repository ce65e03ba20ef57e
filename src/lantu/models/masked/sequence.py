"""Prompt and codes as one sequence of a bidirectional transformer: where each id stands.

The codes come first, each at its cell of the grid; the prompt's ids follow, side by side in the row above the grid.
Rotary angles in two dimensions see only differences of positions, so a prompt is as far from the codes of any grid.

Shapes: N ids of codes and prompt, K head width, h w grid.
"""

from collections.abc import Sequence

import numpy as np

from lantu.kernels import blocks
from lantu.tokens.vocabulary import Vocabulary


def grid_of(prompt: Sequence[int], vocabulary: Vocabulary) -> tuple[int, int]:
    """Height and width in codes of the picture that a prompt asks for: its last two ids (``document.draw_prefix``).

    Raises:
        ValueError: the prompt asks for no picture.
    """
    height, width = (vocabulary.side_length(id_) for id_ in prompt[-2:]) if len(prompt) > 1 else (None, None)
    if height is None or width is None:
        raise ValueError("the prompt does not end with the size of a picture")
    return height, width


def ids_of(prompt: Sequence[int], codes: Sequence[int], vocabulary: Vocabulary) -> np.ndarray:
    """(N,) int64: the ids of the codes, the hole id where one is negative, then the prompt."""
    codes_n = np.array(codes, np.int64)
    return np.concatenate([np.where(codes_n < 0, vocabulary.special("hole"), codes_n), np.array(prompt, np.int64)])


def rotation(height: int, width: int, prompt_length: int, head_width: int) -> np.ndarray:
    """(2, N, K/2) float32: cosine and sine of the rotary angles of h·w codes and a prompt."""
    rows, columns = np.mgrid[:height, :width].reshape(2, -1)
    rows = np.concatenate([rows, np.full(prompt_length, -1)])
    columns = np.concatenate([columns, np.arange(prompt_length)])
    return blocks.rotation_at(rows, columns, head_width)
