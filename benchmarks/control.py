"""Does a drawing follow its control, and is it still what was asked for?

    python benchmarks/control.py --model DIR --data DIR [--limit 64] [--scale 1.0] [--out DIR]

Each trial of "single" and "pairs" is drawn with no control, and with each kind of control taken from a picture in which
its things stand elsewhere, and are of another size, than they ever do in training of anything but the control. The
prompt tells none of that. Printed: the F1 of edges (a pixel's slack), the overlap of what is drawn with the boxes
(IoU), the mean difference of blocks of colour (of 255), the scores of what the prompt tells, and the share of pictures
that have all things in the boxes of the control.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lantu.data.layouts import elsewhere
from lantu.data.trials import trials
from lantu.decoder import controls
from lantu.document import codes_from
from lantu.engine.drafting import draft
from lantu.evaluation.foreground import foreground
from lantu.features.efficientnet import load_efficientnet
from lantu.pipeline import Control, Model
from lantu.recipes.scores import composer_of, scorer_of
from lantu.recipes.sheets import save_sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    model, composer = Model.load(arguments.model, "cpu"), composer_of(None, arguments.data)
    scorer = scorer_of(composer.gallery, load_efficientnet())
    asked = [trial for suite in ("single", "pairs") for trial in trials(composer, suite, arguments.limit, seed=7)]
    settings, grid = model.folder.settings, model.folder.grid
    requests = [model.ask(trial.prompt, seed, grid, settings) for seed, trial in enumerate(asked)]
    drafts = draft(model.parts.company, requests)
    codes = [codes_from(ids, *grid, model.parts.vocabulary) for ids in drafts]
    rng = np.random.default_rng(0)
    moved = [tuple(replace(one, box=elsewhere(one.box, rng)) for one in trial.expected) for trial in asked]
    true = [composer.compose(objects, "white") for objects in moved]
    placed = [
        replace(trial, expected=objects, suite="reconstruction") for trial, objects in zip(asked, moved, strict=True)
    ]
    lines = [controls.edges(image) for image in true]
    areas = [controls.layout([one.box for one in objects], composer.size) for objects in moved]
    blocks = [controls.colour(image) for image in true]
    shown = {"edges": list(map(controls.lit, lines)), "layout": list(map(controls.lit, areas)), "colour": blocks}
    heads = ("control", "edge F1", "IoU with the boxes", "colour difference", "single", "pairs", "in the boxes", "n")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    sheets = [np.stack(true[:5] + true[-5:])]
    for kind in ("", *controls.KINDS):
        pictures = []
        for number, (grid_hw, trial) in enumerate(zip(codes, asked, strict=True)):
            wish = Control(Image.fromarray(shown[kind][number]), kind, arguments.scale) if kind else None
            (drawn,) = model.paint([grid_hw], [trial.prompt], [number], settings, control=wish)
            pictures.append(np.asarray(drawn.image))
        met = np.mean([controls.agreement(controls.edges(p), e) for p, e in zip(pictures, lines, strict=True)])
        over = np.mean([overlap(foreground(p), a) for p, a in zip(pictures, areas, strict=True)])
        apart = np.mean(
            [np.abs(controls.colour(p).astype(float) - b).mean() for p, b in zip(pictures, blocks, strict=True)]
        )
        verdicts = scorer.judge(asked, pictures)
        there = np.mean([verdict["score"] for verdict in scorer.judge(placed, pictures)])
        single, pairs = (
            np.mean([v["score"] for v, trial in zip(verdicts, asked, strict=True) if trial.suite == suite])
            for suite in ("single", "pairs")
        )
        told = (
            f"{met:.3f} | {over:.3f} | {apart:.1f} | {single:.1%} | {pairs:.1%} | {there:.1%} | {2 * arguments.limit}"
        )
        print(f"| {kind or 'none'} | {told} |", flush=True)
        if kind:
            sheets.append(np.stack(shown[kind][:5] + shown[kind][-5:]))
        sheets.append(np.stack(pictures[:5] + pictures[-5:]))
    if arguments.out:
        save_sheet(arguments.out / "control.png", sheets)


def overlap(drawn: np.ndarray, wanted: np.ndarray) -> float:
    """Intersection over union of two areas."""
    return float((drawn & wanted).sum() / max((drawn | wanted).sum(), 1))


if __name__ == "__main__":
    main()
