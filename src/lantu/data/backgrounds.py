"""What stands behind the objects of a scene: plain and graded colours, with names. Shapes: H W pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Background:
    """A colour at the top, one at the bottom, and what captions call it; ``words`` stand before "background" / 背景."""

    top: RGB
    bottom: RGB
    words: Mapping[str, tuple[str, ...]]

    @property
    def graded(self) -> bool:
        return self.top != self.bottom


def plain(color: RGB, english: tuple[str, ...], chinese: tuple[str, ...]) -> Background:
    return Background(color, color, {"en": english, "zh": chinese})


BACKGROUNDS = {
    "white": plain((255, 255, 255), ("white",), ("白色", "纯白")),
    "sky blue": plain((150, 205, 250), ("sky blue", "light blue", "blue"), ("天蓝色", "浅蓝色", "蓝色")),
    "pink": plain((250, 190, 205), ("pink",), ("粉色", "粉红色")),
    "yellow": plain((252, 225, 120), ("yellow",), ("黄色",)),
    "green": plain((150, 205, 140), ("green",), ("绿色",)),
    "grey": plain((190, 190, 195), ("grey", "gray"), ("灰色",)),
    "black": plain((25, 25, 30), ("black", "dark"), ("黑色",)),
    "purple": plain((195, 170, 235), ("purple",), ("紫色",)),
    "sunset": Background((250, 150, 90), (255, 235, 190), {"en": ("sunset",), "zh": ("日落", "晚霞")}),
    "blue to white": Background((110, 180, 245), (255, 255, 255), {"en": ("blue to white",), "zh": ("蓝白渐变",)}),
}


@lru_cache(maxsize=64)
def paint(name: str, size: int) -> np.ndarray:
    """(H, W, 3) float32 in [0, 255], read-only."""
    background = BACKGROUNDS[name]
    share = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    top, bottom = (np.array(color, np.float32) for color in (background.top, background.bottom))
    picture = np.broadcast_to(top + (bottom - top) * share, (size, size, 3)).copy()
    picture.flags.writeable = False
    return picture
