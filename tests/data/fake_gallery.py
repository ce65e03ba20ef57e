"""A gallery of coloured squares."""

import numpy as np

from lantu.data.gallery import Concept, Gallery

STYLES = ("noto", "twemoji", "fluent-3d", "fluent-flat")
THINGS = {
    "1F431": ("cat", "猫", "animal-mammal"),
    "1F436": ("dog", "狗", "animal-mammal"),
    "1F43A": ("wolf", "狼", "animal-mammal"),
    "1F42D": ("mouse", "老鼠", "animal-mammal"),
    "1F984": ("unicorn", "独角兽", "animal-mammal"),
    "1F989": ("owl", "猫头鹰", "animal-bird"),
    "1F41F": ("fish", "鱼", "animal-marine"),
    "1F34E": ("apple", "苹果", "food-fruit"),
    "1F353": ("strawberry", "草莓", "food-fruit"),
    "1F347": ("grapes", "葡萄", "food-fruit"),
    "1F352": ("cherries", "樱桃", "food-fruit"),
    "1F95B": ("milk", "牛奶", "drink"),
    "1F337": ("tulip", "郁金香", "plant-flower"),
    "1F333": ("tree", "树", "plant-other"),
    "1F697": ("car", "汽车", "transport-ground"),
    "1F68C": ("bus", "公交车", "transport-ground"),
    "2708": ("airplane", "飞机", "transport-air"),
    "2602": ("umbrella", "雨伞", "sky-weather"),
    "2702": ("scissors", "剪刀", "office"),
    "231B": ("hourglass", "沙漏", "time"),
    "1F4D6": ("book", "书", "book-paper"),
    "1F52A": ("knife", "菜刀", "dishware"),
    "1F388": ("balloon", "气球", "event"),
    "1F457": ("dress", "连衣裙", "clothing"),
}
OTHERS = {"1F388": ("toy balloon", "大气球")}


def concept(key: str) -> Concept:
    """A concept by its key, or by its English name."""
    key = next(its for its, (english, *_) in THINGS.items() if key in (its, english))
    english, chinese, subgroup = THINGS[key]
    keywords = {language: (word,) for language, word in zip(("en", "zh"), OTHERS.get(key, ()), strict=False)}
    return Concept(key, {"en": english, "zh": chinese}, {"en": (), "zh": (), **keywords}, "things", subgroup)


def color(key: str, style: str) -> tuple[int, int, int]:
    """The colour of a drawing; no background has one like it."""
    return 5 + 5 * list(THINGS).index(key), 5 + 50 * STYLES.index(style), 77


def make_gallery() -> Gallery:
    """Every thing in every style, an opaque square each."""
    cells = [(key, style) for key in THINGS for style in STYLES]
    sprites = np.zeros((len(cells), 32, 32, 4), np.uint8)
    for row, cell in enumerate(cells):
        sprites[row] = (*color(*cell), 255)
    return Gallery(
        {key: concept(key) for key in THINGS}, STYLES, {cell: row for row, cell in enumerate(cells)}, sprites
    )
