"""Sheets of sample pictures, for a person who watches a run."""

from pathlib import Path

import numpy as np

from lantu.data.order import groups
from lantu.data.shards import Shards
from lantu.files import replacing

SHOWN = 8


def shown(shards: Shards) -> np.ndarray:
    """Indices of the pictures of a split that are on its sheets: the first ones of the shape that most have."""
    return next(iter(groups(shards.shapes)), np.empty(0, np.int64))[:SHOWN]


def save_sheet(path: Path, rows: list[np.ndarray], gap: int = 4) -> None:
    """Write rows of pictures, each (B, H, W, 3) uint8 with the same B, one below the other; rows may differ in size."""
    from PIL import Image

    height = max(row.shape[1] for row in rows)
    sheet = []
    for row in rows:
        scale = height // row.shape[1]
        large = row.repeat(scale, 1).repeat(scale, 2)
        rim = (0, height - large.shape[1] + gap)
        sheet.append(np.concatenate(list(np.pad(large, [(0, 0), rim, rim, (0, 0)], constant_values=255)), axis=1))
    with replacing(path) as temporary:
        Image.fromarray(np.concatenate(sheet)).save(temporary)
