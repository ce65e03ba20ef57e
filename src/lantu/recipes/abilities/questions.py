"""Short questions about a picture, each with one right answer in one wording."""

from dataclasses import replace

import numpy as np

from lantu.data.questions import KINDS, ask
from lantu.evaluation.results import SuiteResult
from lantu.recipes.abilities.exam import NEW, Exam
from lantu.tokens.document import LANGUAGES


def suite(exam: Exam, limit: int) -> SuiteResult:
    """Right answers; details by kind and by language, ``limit`` questions of each."""
    asked: list[tuple[str, str, str]] = []
    images, requests, index = [], [], 0
    wanted = {(kind, language): limit for kind in KINDS for language in LANGUAGES}
    rng, settings = np.random.default_rng(exam.seed), replace(exam.settings, temperature=0.0)
    while any(wanted.values()):
        sample, image = exam.composer.sample("val", NEW + index)
        index += 1
        for kind, language in [key for key, left in wanted.items() if left]:
            if made := ask(kind, sample, exam.concepts, language, rng):
                wanted[kind, language] -= 1
                asked.append((kind, language, made.answer))
                images.append(image)
                requests.append(made.text)
    parts = [[text, exam.layout.of_codes(codes)] for text, codes in zip(requests, exam.codes(images), strict=True)]
    replies = exam.draft([exam.layout.answer([each], seed, settings) for seed, each in enumerate(parts)])
    right: dict[str, list[bool]] = {}
    for (kind, language, answer), ids in zip(asked, replies, strict=True):
        for key in ("score", kind, language, f"{kind} {language}"):
            right.setdefault(key, []).append(exam.said(ids) == answer)
    means = {key: float(np.mean(values)) for key, values in right.items()}
    return SuiteResult(len(asked), {"score": means, "round_trip": {"score": 1.0}, "ceiling": {"score": 1.0}})
