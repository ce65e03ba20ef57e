"""Suites of what a model can do beside drawing and captioning: ``lantu eval --suites questions,filling,…``.

Scenes are new ones: of the validation splits' kind, or (filling, half of the instructions) with a pair of things or a
drawing that training never showed. Pictures are judged as all others are; a changed background by the colours of the
rim.
"""

from collections.abc import Callable, Sequence

from lantu.evaluation.results import Suite
from lantu.recipes.abilities import context, editing, filling, questions
from lantu.recipes.abilities.exam import Exam

WAYS: dict[str, Callable[[Exam, int], Suite]] = {
    "questions": questions.suite,
    "filling": filling.suite,
    "editing": editing.suite,
    "context": context.suite,
}
NEEDED = {"questions": "talking", "filling": "filling", "editing": "talking", "context": "talking"}


def learnt(learnt: Sequence[str]) -> list[str]:
    """The suites that a model that has learnt this can take."""
    return [name for name, ability in NEEDED.items() if ability in learnt]
