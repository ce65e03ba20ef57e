"""Does a drawing follow its control, and is it still what was asked for?

    python benchmarks/control.py --model DIR --data DIR [--limit 64] [--scale 1.0] [--seed 0]
        [--kinds edges layout colour] [--out DIR]

Each control is taken from a picture of what the prompt names, one thing ("single") or an unseen pair ("pairs"), in any
style and any layout that the model was trained on; the prompt tells neither ("a cat", "猫和狗"). Drawn are the prompt
alone, and with each kind of control; beside them stands what decoder and codes make of the true picture, the most that
can be had. Printed: the F1 of edges (a pixel's slack), the overlap of what is drawn with the boxes (IoU), the mean
difference of blocks of colour (of 255), the shares of pictures that show what the prompt names, wherever it is, and of
those that have all of it in the boxes of the control; and milliseconds a picture.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lantu.data.layouts import LAYOUTS
from lantu.data.phrases import PHRASES
from lantu.data.scenes import Composer
from lantu.data.trials import ABOVE, BESIDE, LANGUAGES, choose, trial
from lantu.evaluation.foreground import foreground
from lantu.evaluation.scorer import Scorer
from lantu.evaluation.trial import Trial
from lantu.features.efficientnet import load_efficientnet
from lantu.models.lantu import controls
from lantu.pipeline import Control, Model
from lantu.recipes.scores import composer_of, scorer_of
from lantu.recipes.sheets import save_sheet

BOTH = {"en": "{a} and {b}", "zh": "{a}和{b}"}
HEADS = ("control", "edge F1", "IoU with the boxes", "colour difference", "single", "pairs", "in the boxes", "ms", "n")


def asked(composer: Composer, suite: str, number: int, rng: np.random.Generator) -> Trial:
    """A prompt that tells no layout, and a picture in one."""
    count, language = {"single": 1, "pairs": 2}[suite], LANGUAGES[number % 2]
    concepts, style = choose(composer, count, rng, held_out=count == 2)
    layouts = [layout for _, layout in LAYOUTS if len(layout.slots) == count and not layout.same]
    layout = layouts[rng.integers(len(layouts))]
    if rng.random() < 0.5:
        layout = replace(layout, slots=layout.slots[::-1])
    phrase = BOTH[language] if count == 2 else PHRASES[language]["one"][0]
    return trial(composer, suite, layout, concepts, style, language, f"{suite}-{number}", phrase)


def shown(scorer: Scorer, trials: list[Trial], pictures: list[np.ndarray]) -> list[bool]:
    """Whether each picture shows all that its prompt names, wherever it is: one half beside or above the other."""
    found = [False] * len(trials)
    for layout in (BESIDE, ABOVE):
        anywhere = [
            replace(
                one, expected=tuple(replace(it, box=box) for it, box in zip(one.expected, layout.slots, strict=False))
            )
            for one in trials
        ]
        verdicts = scorer.judge(anywhere, pictures)
        found = [before or verdict["there"] == 1 for before, verdict in zip(found, verdicts, strict=True)]
    return found


def overlap(drawn: np.ndarray, wanted: np.ndarray) -> float:
    """Intersection over union of two areas."""
    return float((drawn & wanted).sum() / max((drawn | wanted).sum(), 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=list(controls.KINDS), choices=controls.KINDS)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    model = Model.load(arguments.model, "cpu")
    composer = composer_of(model, arguments.data)
    scorer, rng = scorer_of(composer.gallery, load_efficientnet()), np.random.default_rng(arguments.seed)
    trials = [asked(composer, suite, n, rng) for suite in ("single", "pairs") for n in range(arguments.limit)]
    true = [one.image for one in trials]
    lines = [controls.edges(image) for image in true]
    areas = [controls.layout([it.box for it in one.expected], len(one.image)) for one in trials]
    blocks = [controls.colour(image) for image in true]
    kinds = {"edges": list(map(controls.lit, lines)), "layout": list(map(controls.lit, areas)), "colour": blocks}
    placed = [replace(one, suite="reconstruction") for one in trials]

    def tell(name: str, pictures: list[np.ndarray], seconds: float) -> None:
        met = np.mean([controls.agreement(controls.edges(p), e) for p, e in zip(pictures, lines, strict=True)])
        over = np.mean([overlap(foreground(p), a) for p, a in zip(pictures, areas, strict=True)])
        apart = np.mean(
            [np.abs(controls.colour(p).astype(float) - b).mean() for p, b in zip(pictures, blocks, strict=True)]
        )
        right, inside = shown(scorer, trials, pictures), scorer.judge(placed, pictures)
        single, pairs = (
            np.mean([it for it, one in zip(right, trials, strict=True) if one.suite == suite])
            for suite in ("single", "pairs")
        )
        there = np.mean([verdict["score"] for verdict in inside])
        numbers = f"{met:.3f} | {over:.3f} | {apart:.1f} | {single:.1%} | {pairs:.1%} | {there:.1%}"
        print(f"| {name} | {numbers} | {1000 * seconds / len(pictures):.0f} | {len(pictures)} |", flush=True)

    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    few = min(5, arguments.limit)
    some = [*range(few), *range(arguments.limit, arguments.limit + few)]
    sheets = [np.stack([true[at] for at in some])]
    for kind in ("none", *arguments.kinds):
        started = time.perf_counter()
        pictures = []
        for number, one in enumerate(trials):
            picture = None if kind == "none" else Control(Image.fromarray(kinds[kind][number]), kind, arguments.scale)
            pictures.append(np.asarray(model.draw(one.prompt, seed=number, control=picture).image))
        tell(kind, pictures, time.perf_counter() - started)
        if kind != "none":
            sheets.append(np.stack([kinds[kind][at] for at in some]))
        sheets.append(np.stack([pictures[at] for at in some]))
    started = time.perf_counter()
    tell(
        "its true codes",
        [np.asarray(model.render(model.tokenize(Image.fromarray(image)), seed=0).image) for image in true],
        time.perf_counter() - started,
    )
    if arguments.out:
        save_sheet(arguments.out / "control.png", sheets)


if __name__ == "__main__":
    main()
