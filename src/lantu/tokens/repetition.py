"""Where a caption begins to repeat itself."""

import re

SEPARATORS = re.compile(r"[,.;:，。；：、]|\band\b|和")
EMPTY_WORDS = re.compile(r"\b(?:an?|the|there|is|are|some)\b|^有|^[一两三四][^\W\d_]", re.IGNORECASE)
# a word again at once; a Chinese character three times; two of them or more again at once
STUTTER = re.compile(
    r"\b([^\W\d_\u3400-\u9fff]+)(?:\s+\1\b)+|([\u3400-\u9fff])\2\2|([\u3400-\u9fff]{2,})\3", re.IGNORECASE
)
PLACED = re.compile(r"\s+(?:in|on|at|to|with|above|below|beside|under|next|alone)\b|在|的|排")
DANGLING = re.compile(r"(?:[\s,;:，；：、]|\b(?:and|an?)(?=\s*$)|和)+$")


def first_repeat(text: str) -> int | None:
    """The place from which on a caption says again what it has said; None where it doesn't.

    "a cat, a cat in the middle" and 猫和猫 repeat; "a red cat and a cat", "a bow and a bow tie" and 大大的猫 don't.
    """
    stutters = [(found, found.group(1) or found.group(2) or found.group(3)) for found in STUTTER.finditer(text)]
    places = [found.start() + len(again) for found, again in stutters]
    seen: list[str] = []
    start = 0
    for separator in [*SEPARATORS.finditer(text), None]:
        clause = text[start : separator.start() if separator else len(text)]
        bare = " ".join(EMPTY_WORDS.sub(" ", clause.strip()).lower().split())
        if bare and any(says_again(bare, before) for before in seen):
            places.append(start)
            break
        seen += [bare] if bare else []
        start = separator.end() if separator else start
    return min(places, default=None)


def says_again(clause: str, before: str) -> bool:
    """Whether a clause is an earlier one, perhaps with a place added to it."""
    return clause == before or (clause.startswith(before) and PLACED.match(clause, len(before)) is not None)


def without_repeats(text: str) -> str:
    """A caption up to where it begins to repeat itself."""
    while (place := first_repeat(text)) is not None:
        text = DANGLING.sub("", text[:place])
    return text
