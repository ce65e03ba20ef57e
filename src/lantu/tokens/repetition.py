"""Finding the point where a caption begins to repeat itself."""

import re

SEPARATORS = re.compile(r"[,.;:，。；：、]|\band\b|和")
EMPTY_WORDS = re.compile(r"\b(?:an?|the|there|is|are|some)\b|^有|^[一两三四][^\W\d_]", re.IGNORECASE)
# a word twice in a row; a Chinese character three times; two or more characters twice in a row
STUTTER = re.compile(
    r"\b([^\W\d_\u3400-\u9fff]+)(?:\s+\1\b)+|([\u3400-\u9fff])\2\2|([\u3400-\u9fff]{2,})\3", re.IGNORECASE
)
PLACED = re.compile(r"\s+(?:in|on|at|to|with|above|below|beside|under|next|alone)\b|在|的|排")
DANGLING = re.compile(r"(?:[\s,;:，；：、]|\b(?:and|an?)(?=\s*$)|和)+$")


def first_repeat(text: str) -> int | None:
    """The index at which a caption begins to repeat itself; None if it doesn't.

    "a cat, a cat in the middle" and 猫和猫 repeat; "a red cat and a cat", "a bow and a bow tie" and 大大的猫 don't.
    """
    stutters = [(found, found.group(1) or found.group(2) or found.group(3)) for found in STUTTER.finditer(text)]
    places = [found.start() + len(again) for found, again in stutters]
    clauses: list[str] = []
    start = 0
    for separator in [*SEPARATORS.finditer(text), None]:
        clause = text[start : separator.start() if separator else len(text)]
        bare = " ".join(EMPTY_WORDS.sub(" ", clause.strip()).lower().split())
        if bare and any(repeats(bare, before) for before in clauses):
            places.append(start)
            break
        clauses += [bare] if bare else []
        start = separator.end() if separator else start
    return min(places, default=None)


def repeats(clause: str, before: str) -> bool:
    """Whether a clause is an earlier one, possibly with a position added ("in the middle")."""
    return clause == before or (clause.startswith(before) and PLACED.match(clause, len(before)) is not None)


def without_repeats(text: str) -> str:
    """A caption up to the point where it begins to repeat itself."""
    while (place := first_repeat(text)) is not None:
        text = DANGLING.sub("", text[:place])
    return text
