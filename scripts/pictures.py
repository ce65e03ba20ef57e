"""The pictures of the README: python scripts/pictures.py [MODEL] (default: the shipped one).

Writes docs/pictures/drawn.png. Seeds are 0, 1, 2, … and nothing is picked by hand.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import lantu
from lantu.evaluation.report import find_font
from lantu.files import replacing

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
COLUMNS, GAP, LINE = 4, 12, 22
OUT = Path(__file__).parents[1] / "docs" / "pictures" / "drawn.png"


def main() -> None:
    model = lantu.load(sys.argv[1] if len(sys.argv) > 1 else None)
    pictures = model.draw_all(PROMPTS, range(len(PROMPTS)))
    width, height = (2 * side for side in model.size)
    rows = -(-len(PROMPTS) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (width + GAP) + GAP, rows * (height + LINE + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), find_font()
    for index, (prompt, picture) in enumerate(zip(PROMPTS, pictures, strict=True)):
        row, column = divmod(index, COLUMNS)
        x, y = GAP + column * (width + GAP), GAP + row * (height + LINE + GAP)
        large = np.asarray(picture.image).repeat(2, 0).repeat(2, 1)
        sheet.paste(Image.fromarray(large), (x, y))
        draw.rectangle((x - 1, y - 1, x + width, y + height), outline="#dddddd")
        draw.text((x, y + height + 4), prompt, fill="black", font=font)
    with replacing(OUT) as temporary:
        sheet.save(temporary, optimize=True)
    print(OUT)


if __name__ == "__main__":
    main()
