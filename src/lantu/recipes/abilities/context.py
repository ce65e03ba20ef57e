"""Learning from examples: tasks that only the examples in the prompt define, with an increasing number of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lantu.data import context
from lantu.data.edits import edit
from lantu.engine.request import Request
from lantu.evaluation.results import SuiteResult
from lantu.evaluation.trial import Trial
from lantu.models.lantu.requests import any_code, plan_of_examples, planning, reading, sampling
from lantu.recipes.abilities.exam import NEW, Exam, can_be_judged
from lantu.recipes.abilities.filling import single
from lantu.tokens.document import LANGUAGES, draw_prefix
from lantu.types import CodeGrid, Document, Sample

SHOTS = (0, 1, 2, 4)


def suite(exam: Exam, limit: int) -> SuiteResult:
    """Right answers after the most examples; details by task and number of examples."""
    details = {
        f"{name}, {shots} shots": float(np.mean(way(exam, shots, limit)))
        for name, way in TASKS.items()
        for shots in SHOTS
    }
    score = float(np.mean([details[f"{name}, {SHOTS[-1]} shots"] for name in TASKS]))
    ideal = {"score": 1.0}
    return SuiteResult(limit * len(TASKS), {"score": {"score": score} | details, "round_trip": ideal, "ceiling": ideal})


def style(exam: Exam, shots: int, limit: int) -> list[float]:
    """The last thing in the style of the examples, which no word mentions."""
    rng, requests, wanted = np.random.default_rng((exam.seed, 2)), [], []
    for number in range(limit):
        samples = singles(exam, shots + 1, rng, exam.composer.styles[number % len(exam.composer.styles)])
        pictures = [exam.composer.compose(sample.objects, "white") for sample in samples]
        language = LANGUAGES[number % 2]
        made = context.style_document(samples, exam.codes(pictures), exam.concepts, language)
        requests.append(drawing(exam, exam.layout.prefix_of(Document(made.parts[:-1], language)), number))
        wanted.append(Trial("style", "", "en", samples[-1].objects, pictures[-1], "style"))
    images = exam.paint([exam.picture(ids) for ids in exam.draft(requests)])
    return [verdict["score"] for verdict in exam.scorer.judge(wanted, images)]


def name_drawn(exam: Exam, shots: int, limit: int) -> list[float]:
    """The thing that a made-up name stands for, drawn."""
    prefixes, scenes, _ = naming(exam, shots, limit, drawn=True)
    plans = [plan_of_examples(prefix, exam.vocabulary) for prefix in prefixes] if exam.layout.plans else []
    drafted_plans = [ids[:-1] for ids in exam.draft(plans)] or [[] for _ in prefixes]
    numbered = enumerate(zip(prefixes, drafted_plans, strict=True))
    requests = [drawing(exam, [*prefix, *plan], number) for number, (prefix, plan) in numbered]
    images = exam.paint([exam.picture(ids) for ids in exam.draft(requests)])
    return [verdict["score"] for verdict in exam.judge(scenes, images)]


def name_given(exam: Exam, shots: int, limit: int) -> list[float]:
    """The made-up name of a thing."""
    prefixes, scenes, words = naming(exam, shots, limit, drawn=False)
    codes = exam.codes([exam.composer.compose(scene.objects, "white") for scene in scenes])
    requests = [
        reading(grid, "en", exam.vocabulary, before=prefix[1:], plans=exam.layout.plans)
        for grid, prefix in zip(codes, prefixes, strict=True)
    ]
    said = [exam.layout.words(ids) for ids in exam.draft(requests)]
    return [float(text == word) for text, word in zip(said, words, strict=True)]


def naming(exam: Exam, shots: int, limit: int, drawn: bool) -> tuple[list[list[int]], list[Sample], list[str]]:
    """Two things under made-up names in alternation; then one of them in another style, and its name.

    Returns:
        ids of the examples, and of the name where it is to be drawn; the thing that it stands for; the name.
    """
    rng, prefixes, scenes, words = np.random.default_rng((exam.seed, 3)), [], [], []
    for _ in range(limit):
        pair = singles(exam, 2, rng)
        query = elsewhere(exam, pair[0], rng)
        samples = [pair[at % 2] for at in range(shots)] + [query]
        grids = exam.codes([exam.composer.compose(sample.objects, "white") for sample in samples])
        parts = context.naming_document(samples, grids, exam.concepts, rng, drawn).parts
        prefixes.append(exam.layout.prefix_of(Document(parts[: 2 * shots + drawn], "en")))
        scenes.append(query)
        words.append("" if drawn else str(parts[-1]))
    return prefixes, scenes, words


def swap(exam: Exam, shots: int, limit: int) -> list[float]:
    """Two things change places, as in the examples."""
    return change(exam, "swap", shots, limit)


def recolour(exam: Exam, shots: int, limit: int) -> list[float]:
    """The background becomes what it became in the examples."""
    return change(exam, "background", shots, limit)


def change(exam: Exam, kind: str, shots: int, limit: int) -> list[float]:
    """A change that examples show without words, to be applied to the last picture."""
    prefixes, wholes, afters, index = [], [], [], 0
    while len(prefixes) < limit:
        found: list[tuple[np.ndarray, Sample, np.ndarray]] = []
        while len(found) < shots + 1:
            (_, before), (after, target) = edit(exam.composer, "edits-val", 2 * NEW + index)
            index += 1
            alike = not found or kind != "background" or after.background == found[0][1].background
            if after.kind == kind and alike and can_be_judged(after):
                found.append((before, after, target))
        flat = exam.codes([image for before, _, target in found for image in (before, target)])
        prefixes.append(exam.layout.prefix_of(Document(tuple(CodeGrid(grid) for grid in flat[:-1]))))
        wholes.append(flat[-2])
        afters.append(found[-1][1])
    if exam.layout.plans:
        goals = map(exam.layout.goal, exam.draft([planning(prefix, exam.vocabulary) for prefix in prefixes]))
        numbered = enumerate(zip(wholes, goals, strict=True))
        requests = [
            exam.layout.change([[exam.layout.of_codes(whole)]], seed, exam.settings, goal)
            for seed, (whole, goal) in numbered
        ]
    else:
        requests = [drawing(exam, prefix, number) for number, prefix in enumerate(prefixes)]
    images = exam.paint([exam.picture(ids) for ids in exam.draft(requests)])
    return [verdict["score"] for verdict in exam.judge(afters, images)]


def singles(exam: Exam, count: int, rng: np.random.Generator, style: str = "") -> list[Sample]:
    """Single things, large, all different."""
    found: dict[str, Sample] = {}
    while len(found) < count:
        placed = single(exam.composer, rng, style)
        found.setdefault(placed.concept, Sample(placed.concept, "single", {}, (placed,), "white"))
    return list(found.values())


def elsewhere(exam: Exam, sample: Sample, rng: np.random.Generator) -> Sample:
    """The same thing in another style, if there is one."""
    (placed,) = sample.objects
    styles = [style for style in exam.composer.styles if exam.composer.gallery.has(placed.concept, style)]
    others = [style for style in styles if style != placed.style] or styles
    return replace(sample, objects=(replace(placed, style=others[rng.integers(len(others))]),))


def drawing(exam: Exam, prefix: Sequence[int], seed: int) -> Request:
    """A request for a picture after a prefix, without guidance."""
    start, settings = draw_prefix([], *exam.grid, exam.vocabulary)[1:], sampling(exam.settings)
    return Request(
        [*prefix, *start], any_code(exam.vocabulary), limit=exam.grid[0] * exam.grid[1], seed=seed, **settings
    )


TASKS: dict[str, Callable[[Exam, int, int], list[float]]] = {
    "style": style,
    "made-up name drawn": name_drawn,
    "made-up name told": name_given,
    "swap": swap,
    "recolour": recolour,
}
