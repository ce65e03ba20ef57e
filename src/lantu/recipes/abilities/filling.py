"""A thing of a pair is replaced in its cells by another: is the new one there, and the other one still?"""

from dataclasses import replace

import numpy as np

from lantu.data.questions import listed
from lantu.data.scenes import Composer
from lantu.data.trials import trials
from lantu.evaluation.results import SuiteResult
from lantu.recipes.abilities.exam import Exam
from lantu.tasks.masks import cells_of_box
from lantu.types import Placed, Sample


def suite(exam: Exam, limit: int) -> SuiteResult:
    """Both things right; details: their share, unchanged cells elsewhere, and the same pair drawn from its caption."""
    rng, model = np.random.default_rng((exam.seed, 1)), exam.model
    asked = trials(exam.composer, "pairs", limit, seed=exam.seed + 5)
    wholes = exam.codes([trial.image for trial in asked])
    requests, scenes, places = [], [], []
    for number, (trial, whole) in enumerate(zip(asked, wholes, strict=True)):
        gone = int(rng.integers(2))
        old, kept = trial.expected[gone], trial.expected[1 - gone]
        new = other(exam.composer, rng, {old.concept, kept.concept}, kept.style)
        x0, y0, x1, y1 = (edge * model.size[0] for edge in old.box)
        holes = cells_of_box((x0, y0, x1, y1), model.size, model.folder.patch)
        text = listed([exam.concepts[new]], trial.language)
        requests.append(model.parts.layout.fill(text, whole, holes, number, exam.settings))
        objects = [replace(old, concept=new), kept]
        scenes.append(Sample(trial.key, "scene", {}, tuple(objects[::-1] if gone else objects), "white"))
        places.append(model.parts.layout.codes_of_cells(holes))
    grids, same = [], []
    for ids, whole, holes in zip(exam.draft(requests), wholes, places, strict=True):
        filled = model.parts.layout.fill_codes(whole, holes[:, :: model.folder.depth], ids)
        same.append(bool((filled[~holes] == whole[~holes]).all()))
        grids.append(filled)
    true = [exam.composer.compose(scene.objects, "white") for scene in scenes]
    images = exam.paint(grids)
    answers = {
        "score": images,
        "round_trip": exam.paint(exam.codes(true)),
        "ceiling": true,
        "afresh": exam.afresh([exam.caption(scene) for scene in scenes]),
    }
    details = {}
    for name, drawn in answers.items():
        verdicts = exam.judge(scenes, drawn)
        details[name] = {key: float(np.mean([verdict[key] for verdict in verdicts])) for key in ("score", "some")}
    details["score"] |= {"others the same": float(np.mean(same)), "afresh": details.pop("afresh")["score"]}
    exam.sheet("filling", [trial.image for trial in asked], images)
    return SuiteResult(limit, details)


def other(composer: Composer, rng: np.random.Generator, shown: set[str], style: str) -> str:
    """A thing that is not shown, in a style that draws it."""
    while True:
        key = composer.concepts[rng.integers(len(composer.concepts))]
        if key not in shown and composer.gallery.has(key, style):
            return key


def single(composer: Composer, rng: np.random.Generator, style: str = "") -> Placed:
    """A single thing, large, in a random style if none is named."""
    own = style or composer.styles[rng.integers(len(composer.styles))]
    return Placed(other(composer, rng, set(), own), own, (1 / 8, 1 / 8, 7 / 8, 7 / 8))
