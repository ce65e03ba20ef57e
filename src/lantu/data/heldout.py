"""What is held out from training: the same on every machine, since it depends on the keys alone."""

import hashlib
from collections.abc import Sequence

PAIRS = 10  # one pair of concepts in ten is never together in a training scene
STYLES = 16  # one drawing (concept in a style) in sixteen is never in training


def held_out_pair(first: str, second: str) -> bool:
    """Whether two concepts, in either order, are never together in a training scene."""
    return first != second and draw("pair", *sorted((first, second))) % PAIRS == 0


def held_out_style(concept: str, style: str) -> bool:
    """Whether a concept is never drawn in a style in training."""
    return draw("style", concept, style) % STYLES == 0


def held_out(concepts: Sequence[str], style: str) -> bool:
    """Whether a scene of these things in a style is held out from training."""
    drawings = any(held_out_style(concept, style) for concept in concepts)
    return drawings or any(held_out_pair(one, other) for one in concepts for other in concepts)


def draw(*words: str) -> int:
    """A number that depends on some words alone."""
    return int.from_bytes(hashlib.sha256("|".join(words).encode()).digest()[:8], "big")
