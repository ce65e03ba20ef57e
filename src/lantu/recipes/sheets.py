"""Sheets of sample pictures, for a person who watches a run."""

from pathlib import Path

import numpy as np

from lantu.data.order import groups
from lantu.data.shards import Shards
from lantu.files import replacing, write_text
from lantu.images import fitted, to_array, to_tensor
from lantu.recipes.captions import caption_of

SHOWN = 8


def shown(shards: Shards) -> np.ndarray:
    """Indices of the pictures of a split that are on its sheets: the first ones of the shape that most have."""
    return next(iter(groups(shards.shapes)), np.empty(0, np.int64))[:SHOWN]


def shown_captions(shards: Shards) -> dict[int, str]:
    """Index → a caption of each picture on a split's sheets that has one, in alternating languages."""
    captions = {index: caption_of(shards.sample(index).captions, index) for index in shown(shards).tolist()}
    return {index: caption for index, caption in captions.items() if caption}


def save_captioned(folder: Path, step: int, shards: Shards, captions: dict[int, str], drawn: np.ndarray) -> None:
    """Write the sheet of a step, pictures of a split above what was drawn of their captions, and these captions.

    Args:
        captions: index of a picture → its caption.
        drawn: (B, H, W, 3) uint8, as many.
    """
    real = fitted(to_tensor(shards.images(list(captions))), *drawn.shape[1:3])
    save_sheet(folder / f"{step:06d}.png", [to_array(real), drawn])
    write_text(folder / f"{step:06d}.txt", "\n".join(captions.values()) + "\n")


def save_sheet(path: Path, rows: list[np.ndarray], gap: int = 4) -> None:
    """Write rows of pictures, each (B, H, W, 3) uint8 with the same B, one below the other; rows may differ in size."""
    height = max(row.shape[1] for row in rows)
    sheet = []
    for row in rows:
        scale = height // row.shape[1]
        large = row.repeat(scale, 1).repeat(scale, 2)
        rim = (0, height - large.shape[1] + gap)
        sheet.append(np.concatenate(list(np.pad(large, [(0, 0), rim, rim, (0, 0)], constant_values=255)), axis=1))
    save_png(path, np.concatenate(sheet))


def save_png(path: Path, picture_HW3: np.ndarray) -> None:
    """Write a picture as PNG."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(picture_HW3).save(temporary, format="PNG")
