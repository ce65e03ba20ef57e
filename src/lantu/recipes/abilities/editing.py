"""Instructions: is what was asked for there, and the rest kept?"""

import numpy as np

from lantu.data.edits import KINDS, edit
from lantu.document import LANGUAGES, read_reply
from lantu.evaluation.results import Suite
from lantu.recipes.abilities.exam import NEW, Exam, shown
from lantu.types import CodeGrid, Sample


def suite(exam: Exam, limit: int) -> Suite:
    """Right pictures; details by kind, ``limit`` of each, beside the target drawn afresh from a caption."""
    right: dict[str, list[float]] = {"score": [], "answered": [], "afresh": []}
    ideal: dict[str, list[float]] = {"round_trip": [], "ceiling": []}
    for kind, some in instructions(exam, limit).items():
        befores, afters, targets = zip(*some, strict=True)
        drawn = answers(exam, exam.codes(befores), afters)
        answered = [grid is not None for grid in drawn]
        blank = np.zeros(exam.grid, np.int64)
        images = exam.paint([blank if grid is None else grid for grid in drawn])
        scores = [verdict["score"] * there for verdict, there in zip(exam.judge(afters, images), answered, strict=True)]
        afresh = [verdict["score"] for verdict in exam.judge(afters, exam.afresh([exam.caption(it) for it in afters]))]
        right[kind], right[f"{kind} afresh"] = scores, afresh
        right["score"] += scores
        right["answered"] += [float(there) for there in answered]
        right["afresh"] += afresh
        for name, true in (("round_trip", exam.paint(exam.codes(targets))), ("ceiling", targets)):
            ideal[name] += [verdict["score"] for verdict in exam.judge(afters, true)]
        exam.sheet(f"edit-{kind}", befores, images, targets)
    details = {"score": {key: float(np.mean(values)) for key, values in right.items()}}
    details |= {name: {"score": float(np.mean(values))} for name, values in ideal.items()}
    return Suite(len(right["score"]), details)


def instructions(exam: Exam, limit: int) -> dict[str, list[tuple[np.ndarray, Sample, np.ndarray]]]:
    """Picture before, sample and picture after, of each kind: by turns of a seen kind and of an unseen one."""
    made: dict[str, list[tuple[np.ndarray, Sample, np.ndarray]]] = {kind: [] for kind in KINDS}
    index = 0
    while any(len(some) < limit for some in made.values()):
        split = ("edits-val", "edits-heldout")[index % 2]
        (_, before), (after, target) = edit(exam.composer, split, NEW + index // 2)
        index += 1
        if len(made[after.kind]) < limit:
            made[after.kind].append((before, after, target))
    return made


def answers(exam: Exam, codes: list[np.ndarray], afters: tuple[Sample, ...]) -> list[np.ndarray | None]:
    """What the model makes of pictures when told to change them; None where it answers without one of that size."""
    requests = []
    for number, (grid, after) in enumerate(zip(codes, afters, strict=True)):
        texts = after.captions[LANGUAGES[number % 2]]
        requests.append(exam.model.asking([texts[number % len(texts)], shown(grid)], (), number, exam.settings))
    replies = [read_reply(ids, exam.vocabulary, exam.model.parts.text.decode) for ids in exam.draft(requests)]
    found = [[part.codes for part in reply if isinstance(part, CodeGrid)] for reply in replies]
    return [next((grid for grid in grids if grid.shape == exam.grid), None) for grids in found]
