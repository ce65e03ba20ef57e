"""The card of a model, with its scores: python scripts/card.py MODEL SCORES_JSON STEPS > card.md

MODEL is a model directory, whose index has its data and the cost of its training; SCORES_JSON is what `lantu eval`
wrote with `--out`; STEPS is the table that `benchmarks/decoder_steps.py` printed.
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

Draws small pictures of everyday things from English and Chinese words, alone or two to four in a scene, and captions
pictures.{learnt}{controlled}
A stock Qwen3 causal language model drafts {grid} codes; a diffusion transformer renders them
at {pixels}. Made by the steps of `scripts/story.sh emoji`; the first half used earlier captions, and the abilities
besides drawing took a longer way (docs/log.md). Last it learnt guidance
(`train language --recipe guidance_distillation`: scales {strengths} take one sequence){lesson} and few steps
(`train decoder --recipe distribution_matching`).

## Data

{train:,} scenes composed by `lantu data build emoji` from {concepts} things in {styles} drawing styles: Noto Emoji
(Google, Apache-2.0), Fluent Emoji 3D and flat (Microsoft, MIT), Twemoji (Twitter and other contributors, CC-BY-4.0).
Names in two languages from emojibase (MIT) and CLDR (Unicode-3.0). Held out by list: one pair of things in ten never
shares a training scene, one drawing in sixteen is never used. Every "pairs" and "language" trial below
shows a held-out pair.

## Budget

| part | parameters | steps | samples | hours on one or two CPU cores |
|---|---|---|---|---|
{budget}

## Scores

`lantu eval --seed 1`, {limit} trials a suite. Its sampling parameters were chosen on other trials, except the number of
steps: four were preferred to two after seeing these. The ceiling is the true picture under the same judge, the round
trip that picture after tokenizer and decoder; docs/evaluation.md says what the judge gets wrong.

| suite | score | round trip | ceiling | of the round trip |
|---|---|---|---|---|
{scores}

## Captions

A caption is right if it names everything in the picture in the requested language and nothing else, repeats nothing and
ends by itself. True pictures show pairs that training never showed; half of its own drawings do.

| caption of | English | Chinese | both, 95 % interval |
|---|---|---|---|
{captions}

## Steps of the decoder

96 pictures rendered from true pictures' codes; Fréchet distance of EfficientNet-Lite0's features, milliseconds of one
thread. "The model's own" is the decoder before its training for few steps.

{steps}

## Limits

It knows the {concepts} things of its world and nothing else, in the places its scenes put them (sides, corners, a row,
a triangle, a square), on a dozen backgrounds. It cannot write, count above four, or draw people. Names outside the
world give a picture of something else, or an empty page: `words.json` lists the words that it was taught, and every
command reports unknown ones.

## Licence

The weights: {licence}. The training drawings keep their licences, see NOTICE in the repository.
"""

LEARNT = """
It answers short questions about a picture, fills boxes and follows instructions to change pictures; docs/abilities.md
says how well."""
CONTROLLED = """
Edges or colours of another picture can say where things should be (`draw --control`)."""


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
