"""The card of a model of composed scenes: python scripts/card.py MODEL SCORES_JSON STEPS [MADE] > card.md

MODEL is a model directory, whose index has its data and the cost of its training, with the list of its words;
SCORES_JSON is what `lantu eval` wrote with `--out`; STEPS is the table that `benchmarks/decoder_steps.py` printed; MADE
is a text that says by which steps it was made.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lantu.data.backgrounds import ALL, BACKGROUNDS
from lantu.data.english import NUMBERS
from lantu.data.styles import STYLES
from lantu.evaluation.metrics import interval
from lantu.models.lantu.folder import LantuFolder
from lantu.tokens.document import LANGUAGES

TEXT = """# {name}

Draws small pictures of everyday things from English and Chinese words, alone or two to four in a scene, and captions
pictures.{learnt}{controlled}
A stock Qwen3 causal language model drafts {grid} codes; a diffusion transformer renders them
at {pixels}{enlarged}. {made}

## Data

{train:,} scenes composed by `lantu data build emoji` from {concepts} things in {styles} drawing styles:
{credits}.
Names in two languages from emojibase (MIT) and CLDR (Unicode-3.0). Held out by list: one pair of things in ten never
shares a training scene, one drawing in sixteen is never used. Every "pairs" and "language" trial below
shows a held-out pair.

## Words

{words}

## Budget

| part | parameters | steps | samples | hours on one or two CPU cores |
|---|---|---|---|---|
{budget}

## Scores

`lantu eval --seed 1 --limit {limit}`. Its sampling parameters were chosen on other trials, except the number of
steps: four were preferred to two after seeing these. The ceiling is the true picture under the same judge, the round
trip that picture after tokenizer and decoder; docs/evaluation.md says what the judge gets wrong.

| suite | score, 95 % interval | English | Chinese | round trip | ceiling | of the round trip |
|---|---|---|---|---|---|---|
{scores}
{phrasings}

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

It knows the {concepts} things of its world and nothing else, {places}, on
{backgrounds} backgrounds. It cannot write, count above {most}, or draw people. Names outside the
world give a picture of something else, or an empty page: every command reports words that it was never taught, with
the nearest that it knows.

## Licence

The weights: {licence}. The training drawings keep their licences, see NOTICE in the repository.
"""

MADE = """Made by the steps of `scripts/story.sh emoji`; the first half used earlier captions, and the abilities
besides drawing took a longer way (docs/log.md). Last it learnt guidance
(`train language --recipe guidance_distillation`: scales {strengths} take one sequence){lesson} and few steps
(`train decoder --recipe distribution_matching`)."""
WORDS = """It was taught the names below, their plurals, counts from two to {most}, the styles {styles},
and the backgrounds {backgrounds}. `words.json` lists everything, `related.json` what is near to other words.

<details><summary>{concepts} things, by their usual names</summary>

{names}

</details>
<details><summary>{others} other names of the same things</summary>

{other_names}

</details>"""
PLACES = {
    "slots": "in the places its scenes put them (sides, corners, a row, a triangle, a square)",
    "anywhere": "anywhere in the picture, from a quarter of its side to the whole",
}
LEARNT = """
It answers short questions about a picture, fills boxes and follows instructions to change pictures; docs/abilities.md
says how well."""
CONTROLLED = """
Edges or colours of another picture can say where things should be (`draw --control`)."""


CAPTIONED = ("caption", "own_caption")  # which have a table of their own


def budget(costs: dict[str, dict[str, float]], parameters: dict[str, int]) -> str:
    rows = []
    for part, cost in costs.items():
        cells = (
            f"{parameters[part] / 1e6:.1f}M",
            f"{cost['steps']:,.0f}",
            f"{cost['samples']:,.0f}",
            f"{cost['hours']:.2f}",
        )
        rows.append(f"| {part} | {' | '.join(cells)} |")
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
    rows = []
    for name, one in suites.items():
        if name in CAPTIONED or "round_trip" not in one:
            continue
        low, high = interval(one["score"], one["n"])
        its = one["details"]["score"]
        cells = [f"{one['score']:.1%}, {low:.1%} to {high:.1%}"]
        cells += [f"{its[language]:.1%}" if language in its else "" for language in LANGUAGES]
        cells += [f"{one['round_trip']:.1%}", f"{one['ceiling']:.1%}"]
        rows.append(f"| {name} | {' | '.join(cells)} | {one['score'] / max(one['round_trip'], 1e-9):.0%} |")
    return "\n".join(rows)


def phrasings(suites: dict[str, dict[str, Any]]) -> str:
    """How the same scenes are drawn when they are asked for plainly, and in words that training never used."""
    its = suites.get("language", {}).get("details", {}).get("score", {})
    if not {"template", "free"} <= set(its):
        return ""
    return (
        f'\nOf "language", in a phrase of the training captions {its["template"]:.1%}, in free wording that training '
        f"never has {its['free']:.1%}."
    )


def words(known: dict[str, Any], data: dict[str, Any]) -> str:
    """What it was taught, by the list in the model's directory, and by the styles and backgrounds of its data."""
    things = known["emoji"]
    usual = {name for names in things.values() for name in names[:2]}
    others = {language: [name for name in known["names"][language] if name not in usual] for language in LANGUAGES}
    grounds = ALL if data.get("placement") == "anywhere" else BACKGROUNDS
    return WORDS.format(
        most=NUMBERS[most_of(known)],
        styles=spoken(STYLES[style].words for style in data["styles"]),
        backgrounds=spoken(ground.words for ground in grounds.values()),
        concepts=len(things),
        names=" · ".join(f"{key} {names[0]} {names[1]}" for key, names in things.items()),
        others=sum(map(len, others.values())),
        other_names=" · ".join(name for language in LANGUAGES for name in others[language]),
    )


def most_of(known: dict[str, Any]) -> int:
    """The most things of a kind; directories that don't say it were taught up to four."""
    return known.get("counts", 4)


def spoken(named: Iterable[Mapping[str, Sequence[str]]]) -> str:
    """The words for some styles or backgrounds, in both languages."""
    return ", ".join(f"{' or '.join(words['en'])} ({'、'.join(words['zh'])})" for words in named)


def credited(styles: Sequence[str]) -> str:
    """Whose drawings they are, and under which licence."""
    return ",\n".join(f"{STYLES[style].attribution} ({STYLES[style].licence})" for style in styles)


def main() -> None:
    model, suites = LantuFolder(Path(sys.argv[1])), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    data, facts, known = model.index["data"], model.describe(), model.read("words.json")
    taught = {"filling", "talking"} <= set(facts["learnt"])
    strengths = ", ".join(f"{strength:g}" for strength in facts["guidance_learnt"])
    made = MADE.format(strengths=strengths, lesson=", all else (`--recipe multitask`)" if taught else "")
    free, side = data.get("placement", "slots"), model.patch * model.canvas[0]
    painted = side // model.factor
    print(
        TEXT.format(
            name=model.name,
            grid=facts["grid"],
            pixels=f"{painted}x{painted}",
            enlarged=f", and convolutions make {side}x{side} of these" if side > painted else "",
            made=Path(sys.argv[4]).read_text(encoding="utf-8").strip() if len(sys.argv) > 4 else made,
            train=data["counts"]["train"],
            concepts=len(known["emoji"]),
            styles=len(data["styles"]),
            credits=credited(data["styles"]),
            words=words(known, data),
            budget=budget(model.index["budget"], facts["parameters"]),
            limit=min(one["n"] for one in suites.values()),
            scores=scores(suites),
            phrasings=phrasings(suites),
            captions=captions(suites),
            licence=model.index["license"],
            learnt=LEARNT if taught else "",
            controlled=CONTROLLED if model.controlled else "",
            places=PLACES[free],
            backgrounds=len(ALL if free == "anywhere" else BACKGROUNDS),
            most=NUMBERS[most_of(known)],
            steps=Path(sys.argv[3]).read_text(encoding="utf-8").strip(),
        ),
        end="",
    )


if __name__ == "__main__":
    main()
