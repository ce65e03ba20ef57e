"""Numbers in prompts: their words, and digits, which captions of composed scenes never have."""

import re

WORDS = {
    "en": (
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    ),
    "zh": ("零", "一", "两", "三", "四", "五", "六", "七", "八", "九", "十"),
}  # fmt: skip
VALUES = {word: number for words in WORDS.values() for number, word in enumerate(words)} | {"二": 2, "dozen": 12}
# A number of its own: not that of "3D" or "64x64", nor a box as in "a cat (6 25 44 75)".
DIGITS = re.compile(r"(?<![A-Za-z0-9_.,/:-])\d{1,6}(?![A-Za-z0-9_/:-]|[.,]\d)")
BOXES = re.compile(r"\([^)]*\)")


def digits(text: str) -> list[str]:
    """Numbers that stand in a text as digits."""
    return DIGITS.findall(BOXES.sub(" ", text))


def value(word: str) -> int | None:
    """The number that a word or digits mean; None if none."""
    return int(word) if word.isdecimal() else VALUES.get(word)


def nearest(number: int, most: int, language: str) -> str:
    """The word for a number, or for the highest that is known."""
    return WORDS[language][min(number, most)]
