"""Exercises ask for what was told, and nothing else."""

import numpy as np
from fake_gallery import make_gallery

from lantu.data.plans import COMMA
from lantu.data.recall import exercise, word

CONCEPTS = make_gallery().concepts
NAMES = {language: [thing.names[language] for thing in CONCEPTS.values()] for language in COMMA}


def test_what_was_asked_for_is_told_behind_its_name_and_no_other():
    seen = set()
    for seed in range(80):
        for language in ("en", "zh"):
            told, answer = exercise(CONCEPTS, language, np.random.default_rng(seed))
            asked, line = told.split("; ", 1)
            if ":" in asked:
                continue
            wanted, pieces, noted = (text.split(COMMA[language]) for text in (asked, line, answer))
            assert len(noted) == len(pieces)
            for piece, short in zip(pieces, noted, strict=True):
                name = max((name for name in NAMES[language] if piece.startswith(name)), key=len)
                assert short == (piece if name in wanted else name)
            seen.add((len(pieces), sum(map(str.__eq__, pieces, noted))))
    assert len(seen) > 5
    assert (2, 0) in seen  # also what is not there


def test_what_is_changed_is_so_in_the_end():
    found = 0
    for seed in range(40):
        told, answer = exercise(CONCEPTS, "en", np.random.default_rng(seed))
        asked, line = told.split("; ", 1)
        if ":" not in asked:
            continue
        found += 1
        old, new = asked.split(": ")
        noted, goal = answer.split("; ")
        pieces = line.split(", ")
        assert noted.replace(f": {new}", "") == line
        assert noted.count(f": {new}") == 1
        changed = [f"{new} {piece.rpartition(' ')[2]}" if piece.startswith(old) else piece for piece in pieces]
        assert goal.split(", ") == changed
    assert found > 5


def test_words_that_mean_nothing_differ():
    rng = np.random.default_rng(0)
    assert len({word(rng) for _ in range(50)}) > 40
