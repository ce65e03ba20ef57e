"""Suites of abilities beside drawing and captioning: ``lantu eval --suites questions,filling,…``.

Scenes are new: like those of the validation splits, or (filling, half of the instructions) with a held-out pair of
things or drawing. Pictures are judged as everywhere, a changed background by the colours of the rim.
"""

from collections.abc import Callable, Sequence

from lantu.evaluation.results import SuiteResult
from lantu.recipes.abilities import context, editing, filling, questions
from lantu.recipes.abilities.exam import Exam

WAYS: dict[str, Callable[[Exam, int], SuiteResult]] = {
    "questions": questions.suite,
    "filling": filling.suite,
    "editing": editing.suite,
    "context": context.suite,
}
NEEDED = {"questions": "talking", "filling": "filling", "editing": "talking", "context": "talking"}


def learnt(learnt: Sequence[str]) -> list[str]:
    """The suites that need one of these abilities."""
    return [name for name, ability in NEEDED.items() if ability in learnt]
