"""Data of the recipes' tests."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lantu.data.build import build_folder


@pytest.fixture(scope="session")
def captioned_data(tmp_path_factory):
    """A data folder of coloured squares of 32 pixels with captions."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, (name, colour) in enumerate({"cat": "red", "dog": "blue", "fox": "green"}.items()):
        for copy in range(8):
            Image.new("RGB", (32, 32), colour).save(folder / f"{number}-{copy}.png")
            (folder / f"{number}-{copy}.txt").write_text(f"a {name}\n")
    out = tmp_path_factory.mktemp("data") / "data"
    build_folder(folder, out, size=32)
    return out


@pytest.fixture(scope="session")
def scene_data(tmp_path_factory):
    """Scenes and edits of a gallery of coloured squares, 32 pixels, as ``build_emoji`` writes them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
    from fake_gallery import STYLES, THINGS, color, make_gallery

    from lantu.data.build import Pairs, Scenes
    from lantu.data.gallery import SPRITE_SIZE, save_gallery
    from lantu.data.writer import Job, write_data

    place = tmp_path_factory.mktemp("gallery")
    cells = [(key, style) for key in THINGS for style in STYLES]
    sprites = (np.full((SPRITE_SIZE, SPRITE_SIZE, 4), (*color(*cell), 255), np.uint8) for cell in cells)
    save_gallery(place, make_gallery().concepts, STYLES, cells, sprites)
    folder = tmp_path_factory.mktemp("data") / "data"
    counts = {"train": 60, "val": 4, "edits": 60}
    kinds = {"edits": Pairs}
    jobs = [
        Job(folder, split, 0, kinds.get(split, Scenes)(place, 32, 8, 0, STYLES, split, 0, count))
        for split, count in counts.items()
    ]
    settings = {"size": 32, "snap": 8, "styles": STYLES}
    header = {"source": "emoji", "size": 32, "settings": settings, "digest": "", "gallery": str(place)}
    write_data(folder, header, jobs, sum(counts.values()), 1)
    return folder
