"""Exercises ask for what was told, and nothing else."""

import numpy as np
from fake_gallery import make_gallery

from lantu.data.plans import COMMA
from lantu.data.recall import exercise, word

CONCEPTS = make_gallery().concepts


def test_each_answer_was_told_and_asked_for_in_this_order():
    seen = set()
    for seed in range(60):
        for language in ("en", "zh"):
            told, answer = exercise(CONCEPTS, language, np.random.default_rng(seed))
            lines, asked = (part.split(COMMA[language]) for part in told.split("; "))
            answers = answer.split(COMMA[language])
            assert len(lines) == len(set(lines)) >= len(answers) == len(asked)
            assert set(answers) <= set(lines)
            assert all(piece.startswith(name) and piece != name for piece, name in zip(answers, asked, strict=True))
            seen.add((len(lines), len(answers)))
    assert len(seen) > 5


def test_words_that_mean_nothing_differ():
    rng = np.random.default_rng(0)
    assert len({word(rng) for _ in range(50)}) > 40
