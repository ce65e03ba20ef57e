"""The card of a model, with its scores: python scripts/card.py MODEL SCORES_JSON STEPS > card.md

MODEL is a model directory, whose index tells its data and what training cost; SCORES_JSON is what `lantu eval --out`
wrote; STEPS is the table that `benchmarks/decoder_steps.py` printed.
"""

import json
import sys
from pathlib import Path
from typing import Any

from lantu.data.gallery import load_gallery
from lantu.evaluation.metrics import interval
from lantu.files import cache_dir
from lantu.models.lantu.folder import LantuFolder

TEXT = """# {name}

Draws small pictures of everyday things from English and Chinese words, alone or two to four in a scene, and names what
is on a picture.{learnt}{controlled}
A stock Qwen3 causal language model drafts {grid} codes; a diffusion transformer renders them
at {pixels}. Made by the steps of `scripts/story.sh emoji`; the first half of them saw earlier captions, and what came
behind drawing took a longer way (docs/log.md). Its last lessons were guidance
(`train language --recipe guidance_distillation`: strengths {strengths} take one row){lesson} and few steps
(`train decoder --recipe distribution_matching`).

## Data

{train:,} scenes composed by `lantu data build emoji` from {concepts} things in {styles} drawing styles: Noto Emoji
(Google, Apache-2.0), Fluent Emoji 3D and flat (Microsoft, MIT), Twemoji (Twitter and other contributors, CC-BY-4.0).
Names in two languages from emojibase (MIT) and CLDR (Unicode-3.0). Held out by list: one pair of things in ten never
shares a training scene, one drawing in sixteen is never shown. Every "pairs" and "language" trial below
shows a held-out pair.

## Budget

| part | parameters | steps | samples | hours on one or two CPU cores |
|---|---|---|---|---|
{budget}

## Scores

`lantu eval --seed 1`, {limit} trials a suite, other ones than those by which its dials were chosen, but for the number
of steps: four were preferred to two with these in sight. The ceiling is the true picture under the same judge, the
round trip that picture after tokenizer and decoder; what the judge gets wrong is told in docs/evaluation.md.

| suite | score | round trip | ceiling | of the round trip |
|---|---|---|---|---|
{scores}

## Captions

Right is a caption that names all that is there in the language that was asked for and nothing else, says nothing twice,
and ends by itself. True pictures show pairs that training never showed; of its own drawings half do.

| caption of | English | Chinese | both, 95 % interval |
|---|---|---|---|
{captions}

## Steps of the decoder

96 pictures rendered from the codes of true ones; the Fréchet distance is of EfficientNet-Lite0's features, milliseconds
of one thread. "The model's own" is the decoder before it was taught to need few steps.

{steps}

## Limits

It knows the {concepts} things of its world and nothing else, in the places its scenes put them (sides, corners, a row,
a triangle, a square), on a dozen backgrounds. It can't write, count above four, or draw people. Names outside the
world give a picture of something else, or an empty page: `words.json` lists those that it was taught, and every command
says which of a prompt's it doesn't know.

## Licence

The weights: {licence}. The drawings they learnt from keep their licences, see NOTICE in the repository.
"""

LEARNT = """
It answers short questions about a picture, fills boxes and changes pictures as it is told; what of that it does well
and badly is in docs/abilities.md."""
CONTROLLED = """
Edges or colours of another picture can say where things are to be (`draw --control`)."""


CAPTIONED = ("caption", "own_caption")  # which have a table of their own


def budget(costs: dict[str, dict[str, float]], parameters: dict[str, int]) -> str:
    rows = []
    for part, cost in costs.items():
        told = (
            f"{parameters[part] / 1e6:.1f}M",
            f"{cost['steps']:,.0f}",
            f"{cost['samples']:,.0f}",
            f"{cost['hours']:.2f}",
        )
        rows.append(f"| {part} | {' | '.join(told)} |")
    return "\n".join(rows)


def captions(suites: dict[str, dict[str, Any]]) -> str:
    """Captions of true pictures and of the model's own, from all that it knows of them and from pixels alone."""
    kinds = (
        ("true pictures", "caption", "score"),
        ("true pictures after picture → codes → picture", "caption", "round_trip"),
        ("its own drawings, from their files", "own_caption", "score"),
        ("its own drawings, from their pixels alone", "own_caption", "round_trip"),
    )
    rows = []
    for name, suite, kind in kinds:
        if suite in suites:
            its = suites[suite]["details"][kind]
            low, high = interval(its["score"], suites[suite]["n"])
            rows.append(f"| {name} | {its['en']:.1%} | {its['zh']:.1%} | {its['score']:.1%}, {low:.1%} to {high:.1%} |")
    return "\n".join(rows)


def scores(suites: dict[str, dict[str, Any]]) -> str:
    return "\n".join(
        f"| {name} | {one['score']:.1%} | {one['round_trip']:.1%} | {one['ceiling']:.1%} "
        f"| {one['score'] / max(one['round_trip'], 1e-9):.0%} |"
        for name, one in suites.items()
        if name not in CAPTIONED
    )


def main() -> None:
    model, suites = LantuFolder(Path(sys.argv[1])), json.loads(Path(sys.argv[2]).read_text())
    data, facts = model.index["data"], model.describe()
    taught = {"filling", "talking"} <= set(facts["learnt"])
    print(
        TEXT.format(
            name=model.name,
            grid=facts["grid"],
            pixels=facts["pixels"],
            train=data["counts"]["train"],
            concepts=len(load_gallery(cache_dir() / "galleries" / data["world"]).concepts),
            styles=len(data["styles"]),
            budget=budget(model.index["budget"], facts["parameters"]),
            limit=min(one["n"] for one in suites.values()),
            scores=scores(suites),
            captions=captions(suites),
            licence=model.index["license"],
            learnt=LEARNT if taught else "",
            controlled=CONTROLLED if model.controlled else "",
            lesson=", all else (`--recipe multitask`)" if taught else "",
            strengths=", ".join(f"{strength:g}" for strength in facts["guidance_learnt"]),
            steps=Path(sys.argv[3]).read_text().strip(),
        ),
        end="",
    )


if __name__ == "__main__":
    main()
