"""Backgrounds of scenes: plain and graded colours and simple sceneries, with names.

``BACKGROUNDS`` are for scenes in slots; ``FURTHER`` are added where things stand anywhere. Shapes: H W pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

RGB = tuple[int, int, int]
Draw = Callable[[np.ndarray, np.ndarray, np.ndarray], None]
FINER = 3  # supersampling, for smooth edges


@dataclass(frozen=True)
class Background:
    """A colour at the top, one at the bottom, and its names; ``words`` stand before "background" / 背景.

    Attributes:
        drawn: drawn over the two colours: takes (x, y) in [0, 1], (H, W) each, and the picture that it changes.
    """

    top: RGB
    bottom: RGB
    words: Mapping[str, tuple[str, ...]]
    drawn: "Draw | None" = None

    @property
    def graded(self) -> bool:
        """Whether the colour changes from top to bottom."""
        return self.top != self.bottom


def plain(color: RGB, english: tuple[str, ...], chinese: tuple[str, ...]) -> Background:
    """A background of one colour, with its names."""
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


def meadow(x: np.ndarray, y: np.ndarray, picture: np.ndarray) -> None:
    """Two hills."""
    picture[y > 0.62 + 0.06 * np.sin(5 * x)] = (125, 190, 105)
    picture[y > 0.74 + 0.05 * np.sin(4 * x + 2)] = (100, 168, 85)


def beach(x: np.ndarray, y: np.ndarray, picture: np.ndarray) -> None:
    """The sea and a strip of sand."""
    picture[y > 0.5] = (70, 150, 205)
    picture[y > 0.76 + 0.03 * np.sin(6 * x)] = (242, 220, 165)


def stars(x: np.ndarray, y: np.ndarray, picture: np.ndarray) -> None:
    """Stars, the same at every size."""
    for sx, sy, reach in np.random.default_rng(7).random((40, 3)):
        picture[(x - sx) ** 2 + (y - sy) ** 2 < (0.004 + 0.008 * reach) ** 2] = (250, 245, 210)


def room(x: np.ndarray, y: np.ndarray, picture: np.ndarray) -> None:
    """A wall, a skirting board and a floor."""
    picture[y > 0.72] = (255, 255, 250)
    picture[y > 0.75] = (190, 145, 105)


def stripes(x: np.ndarray, y: np.ndarray, picture: np.ndarray) -> None:
    """Vertical stripes."""
    picture[np.floor(x * 10) % 2 == 1] = (235, 150, 150)


def squares(x: np.ndarray, y: np.ndarray, picture: np.ndarray) -> None:
    """A check pattern."""
    picture[(np.floor(x * 8) + np.floor(y * 8)) % 2 == 1] = (165, 200, 235)


def dots(x: np.ndarray, y: np.ndarray, picture: np.ndarray) -> None:
    """Dots in another colour."""
    picture[(x * 7 % 1 - 0.5) ** 2 + (y * 7 % 1 - 0.5) ** 2 < 0.05] = (255, 255, 255)


FURTHER = {
    "orange": plain((250, 180, 105), ("orange",), ("橙色", "橘色")),
    "red": plain((225, 90, 85), ("red",), ("红色",)),
    "brown": plain((150, 110, 80), ("brown",), ("棕色", "褐色")),
    "beige": plain((242, 228, 205), ("beige", "cream"), ("米色", "米黄色")),
    "navy": plain((35, 55, 110), ("navy", "dark blue"), ("深蓝色", "藏青色")),
    "teal": plain((65, 150, 150), ("teal",), ("青色", "蓝绿色")),
    "mint": plain((190, 236, 212), ("mint", "mint green"), ("薄荷绿",)),
    "dark green": plain((45, 100, 60), ("dark green",), ("深绿色", "墨绿色")),
    "pink to purple": Background(
        (250, 185, 210), (165, 140, 230), {"en": ("pink to purple",), "zh": ("粉紫渐变", "粉色到紫色")}
    ),
    "dusk": Background((45, 50, 105), (235, 140, 120), {"en": ("dusk",), "zh": ("黄昏", "暮色")}),
    "meadow": Background((150, 205, 250), (225, 242, 255), {"en": ("meadow", "grassy"), "zh": ("草地",)}, meadow),
    "beach": Background((135, 205, 250), (235, 248, 255), {"en": ("beach", "seaside"), "zh": ("海滩", "海边")}, beach),
    "starry": Background((15, 20, 55), (50, 45, 105), {"en": ("starry night", "starry"), "zh": ("星空",)}, stars),
    "room": Background((232, 220, 200), (232, 220, 200), {"en": ("room", "indoor"), "zh": ("房间", "室内")}, room),
    "striped": Background((250, 225, 220), (250, 225, 220), {"en": ("striped",), "zh": ("条纹",)}, stripes),
    "checked": Background((240, 246, 252), (240, 246, 252), {"en": ("checked",), "zh": ("格子",)}, squares),
    "dotted": Background((245, 195, 110), (245, 195, 110), {"en": ("dotted",), "zh": ("圆点", "波点")}, dots),
}
ALL = BACKGROUNDS | FURTHER


@lru_cache(maxsize=64)
def paint(name: str, size: int) -> np.ndarray:
    """(H, W, 3) float32 in [0, 255], read-only."""
    background = ALL[name]
    fine = size * FINER if background.drawn else size
    share = np.linspace(0, 1, fine, dtype=np.float32)[:, None, None]
    top, bottom = (np.array(color, np.float32) for color in (background.top, background.bottom))
    picture = np.broadcast_to(top + (bottom - top) * share, (fine, fine, 3)).copy()
    if background.drawn:
        y, x = (np.mgrid[:fine, :fine] + 0.5) / fine
        background.drawn(x, y, picture)
        picture = picture.reshape(size, FINER, size, FINER, 3).mean((1, 3))
    picture.flags.writeable = False
    return picture
