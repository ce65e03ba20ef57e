"""Instructions: is the requested change there, and the rest unchanged?"""

from collections.abc import Sequence

import numpy as np

from lantu.data.edits import KINDS, edit
from lantu.evaluation.results import SuiteResult
from lantu.recipes.abilities.exam import NEW, Exam, can_be_judged
from lantu.tokens.document import LANGUAGES
from lantu.types import Sample


def suite(exam: Exam, limit: int) -> SuiteResult:
    """Right pictures; details by kind, ``limit`` of each, beside the target drawn from its caption."""
    right: dict[str, list[float]] = {"score": [], "answered": [], "afresh": []}
    ideal: dict[str, list[float]] = {"round_trip": [], "ceiling": []}
    for kind, some in instructions(exam, limit).items():
        befores, afters, targets = zip(*some, strict=True)
        codes = exam.codes(befores)
        images = exam.paint(changed(exam, codes, afters))
        scores = [verdict["score"] for verdict in exam.judge(afters, images)]
        afresh = [verdict["score"] for verdict in exam.judge(afters, exam.afresh([exam.caption(it) for it in afters]))]
        right[kind], right[f"{kind} afresh"] = scores, afresh
        right["score"] += scores
        right["answered"] += answered(exam, codes, afters)
        right["afresh"] += afresh
        for name, true in (("round_trip", exam.paint(exam.codes(targets))), ("ceiling", targets)):
            ideal[name] += [verdict["score"] for verdict in exam.judge(afters, true)]
        exam.sheet(f"edit-{kind}", befores, images, targets)
    details = {"score": {key: float(np.mean(values)) for key, values in right.items()}}
    details |= {name: {"score": float(np.mean(values))} for name, values in ideal.items()}
    return SuiteResult(len(right["score"]), details)


def instructions(exam: Exam, limit: int) -> dict[str, list[tuple[np.ndarray, Sample, np.ndarray]]]:
    """Picture before, sample and picture after, of each kind, from the validation and the held-out split by turns."""
    made: dict[str, list[tuple[np.ndarray, Sample, np.ndarray]]] = {kind: [] for kind in KINDS}
    index = 0
    while any(len(some) < limit for some in made.values()):
        split = ("edits-val", "edits-heldout")[index % 2]
        (_, before), (after, target) = edit(exam.composer, split, NEW + index // 2)
        index += 1
        if len(made[after.kind]) < limit and can_be_judged(after):
            made[after.kind].append((before, after, target))
    return made


def changed(exam: Exam, codes: Sequence[np.ndarray], afters: Sequence[Sample]) -> list[np.ndarray]:
    """The codes of pictures after an instruction."""
    layout, settings = exam.layout, exam.settings
    asked = [[[text, exam.layout.of_codes(grid)]] for grid, text in zip(codes, instructed(afters), strict=True)]
    plans = [request for turns in asked if (request := layout.plan_change(turns))]
    goals = [layout.goal(ids) for ids in exam.draft(plans)] or [""] * len(asked)
    numbered = enumerate(zip(asked, goals, strict=True))
    return [
        exam.picture(ids)
        for ids in exam.draft([layout.change(turns, seed, settings, goal) for seed, (turns, goal) in numbered])
    ]


def answered(exam: Exam, codes: Sequence[np.ndarray], afters: Sequence[Sample]) -> list[float]:
    """Whether the model, in a conversation, would draw of its own accord: start a picture, or plan one."""
    numbered = enumerate(zip(codes, instructed(afters), strict=True))
    asked = [
        exam.layout.answer([[text, exam.layout.of_codes(grid)]], seed, exam.settings) for seed, (grid, text) in numbered
    ]
    begins = exam.vocabulary.special("boi")
    replies = exam.draft(asked)
    said = [exam.layout.read_reply(ids) for ids in replies]
    return [float(reply.draws or begins in ids) for ids, reply in zip(replies, said, strict=True)]


def instructed(afters: Sequence[Sample]) -> list[str]:
    """One instruction for each, in alternating languages."""
    texts = [after.captions[LANGUAGES[number % 2]] for number, after in enumerate(afters)]
    return [some[number % len(some)] for number, some in enumerate(texts)]
