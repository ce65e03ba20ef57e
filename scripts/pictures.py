"""The pictures of README and docs: python scripts/pictures.py [MODEL] (default: the shipped one).

Writes docs/pictures/drawn.png and, of a model that has learnt it, edited.png (before and after) and asked.png (what was
asked and answered). Seeds are 0, 1, 2, … and nothing is picked by hand.
"""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import lantu
from lantu.evaluation.report import find_font
from lantu.files import replacing
from lantu.types import Picture

PROMPTS = (
    "a cat on the left and a dog on the right",
    "左边一只猫，右边一只狗",
    "three apples",
    "a rocket, 3D style",
    "一只熊猫，黄色背景",
    "a pizza above a guitar",
    "左边一座房子，右边一棵树",
    "a robot",
    "四朵玫瑰",
    "a car on the left and a bicycle on the right",
    "向日葵",
    "a penguin on a sky blue background",
)
RIGHT = (0.5, 0.25, 1.0, 0.75)  # of width and height
EDITS = (  # a prompt, what is to be changed of its picture, in which box
    ("a cat on the left and a dog on the right", "replace the dog with a car", None),
    ("左边一座房子，右边一棵树", "交换两样东西的位置", None),
    ("a pizza above a guitar", "remove the pizza", None),
    ("a penguin", "把背景换成黄色", None),
    ("a robot on the left and a rose on the right", "a pineapple", RIGHT),
    ("左边一只熊猫，右边一个苹果", "一辆汽车", RIGHT),
)
QUESTIONS = (  # a prompt, what is asked about its picture
    ("three apples", "how many apples are there?"),
    ("左边一只猫，右边一只狗", "左边是什么？"),
    ("a car on the left and a bicycle on the right", "what is on the right?"),
    ("a penguin on a sky blue background", "what colour is the background?"),
)
COLUMNS, GAP, LINE = 4, 12, 22
SHOWN = 256  # pixels a side that a picture has at the least on a sheet
OUT = Path(__file__).parents[1] / "docs" / "pictures"

Labelled = tuple[Picture, str]


def drawn(model: lantu.Model) -> list[Labelled]:
    return list(zip(model.draw_all(PROMPTS, range(len(PROMPTS))), PROMPTS, strict=True))


def edited(model: lantu.Model) -> list[Labelled]:
    """Each picture, and what became of it."""
    shown: list[Labelled] = []
    for seed, (prompt, change, box) in enumerate(EDITS):
        before = model.draw(prompt, seed=seed)
        place = (
            tuple(round(edge * side) for edge, side in zip(box, 2 * before.image.size, strict=True)) if box else None
        )
        shown += [(before, prompt), (model.edit(before, change, box=place, seed=seed), f"→ {change}")]
    return shown


def asked(model: lantu.Model) -> list[Labelled]:
    shown: list[Labelled] = []
    for seed, (prompt, question) in enumerate(QUESTIONS):
        picture = model.draw(prompt, seed=seed)
        answer = " ".join(part for part in model.chat([question, picture], temperature=0) if isinstance(part, str))
        shown.append((picture, f"{question} {answer}"))
    return shown


def save(shown: Sequence[Labelled], path: Path) -> None:
    """A sheet of pictures, small ones enlarged, each above its words."""
    times = max(1, SHOWN // max(shown[0][0].image.size))
    width, height = (times * side for side in shown[0][0].image.size)
    rows = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (width + GAP) + GAP, rows * (height + LINE + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), find_font()
    places = itertools.product(range(rows), range(COLUMNS))
    for (row, column), (picture, label) in zip(places, shown, strict=False):
        x, y = GAP + column * (width + GAP), GAP + row * (height + LINE + GAP)
        large = np.asarray(picture.image).repeat(times, 0).repeat(times, 1)
        sheet.paste(Image.fromarray(large), (x, y))
        draw.rectangle((x - 1, y - 1, x + width, y + height), outline="#dddddd")
        draw.text((x, y + height + 4), label, fill="black", font=font)
    with replacing(path) as temporary:
        sheet.save(temporary, optimize=True)
    print(path)


def main() -> None:
    model = lantu.load(sys.argv[1] if len(sys.argv) > 1 else None)
    save(drawn(model), OUT / "drawn.png")
    if {"talking", "filling"} <= set(model.info()["learnt"]):
        save(edited(model), OUT / "edited.png")
        save(asked(model), OUT / "asked.png")


if __name__ == "__main__":
    main()
