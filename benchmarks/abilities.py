"""What a model can do beside drawing and captioning: questions, filling, instructions, learning from context.

    python benchmarks/abilities.py --model DIR --data DIR [--limit 64] [--only questions filling editing context]
        [--out DIR]

Scenes are new ones: of the validation split's kind, or (filling, half of the instructions) with a pair of things or a
drawing that training never showed. Pictures are judged as ``lantu eval`` judges them; a changed background by the
colours of the rim. With --out it also writes sheets of what was asked and what came.
"""

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lantu.data import context
from lantu.data.backgrounds import paint
from lantu.data.captions import say
from lantu.data.edits import KINDS, edit
from lantu.data.phrases import PHRASES
from lantu.data.questions import KINDS as QUESTIONS
from lantu.data.questions import listed, question
from lantu.data.scenes import Composer
from lantu.data.trials import trials
from lantu.document import codes_from, draw_prefix, to_ids
from lantu.editing import cells_of_box
from lantu.engine.drafting import draft
from lantu.engine.request import Request
from lantu.evaluation.trial import Trial
from lantu.features.efficientnet import load_efficientnet
from lantu.grammar import codes as any_code
from lantu.grammar import text as any_text
from lantu.pipeline import MAX_CAPTION, Model, filling
from lantu.recipes.scores import composer_of, scorer_of
from lantu.recipes.sheets import save_sheet
from lantu.types import Document, Placed, Sample

LANGUAGES = ("en", "zh")
SHOTS = (0, 1, 2, 4)
NEW = 900_000  # scenes of the validation split that no training or other evaluation looks at
RIM_RIGHT = 32  # a rim's colour may be so far from the background's, of 255


class Abilities:
    """A model, its world and its judge."""

    def __init__(self, model: Model, composer: Composer, out: Path | None):
        self.model, self.composer, self.out = model, composer, out
        self.concepts = composer.gallery.concepts
        self.scorer = scorer_of(composer.gallery, load_efficientnet())
        self.settings = model.folder.settings
        self.vocabulary, self.grid = model.parts.vocabulary, model.folder.grid

    def codes(self, images: list[np.ndarray]) -> list[np.ndarray]:
        return list(self.model.parts.encode(np.stack(images)))

    def draft(self, requests: list[Request]) -> list[list[int]]:
        return draft(self.model.parts.company, requests)

    def paint(self, grids: list[np.ndarray]) -> list[np.ndarray]:
        seeds = list(range(len(grids)))
        drawn = self.model.paint(grids, [""] * len(grids), seeds, self.settings, batched=True)
        return [np.asarray(picture.image) for picture in drawn]

    def shown(self, objects: tuple[Placed, ...], image: np.ndarray, key: str) -> Trial:
        return Trial("pairs" if len(objects) > 1 else "single", "", "en", objects, image, key)

    def sheet(self, name: str, *rows: list[np.ndarray]) -> None:
        if self.out:
            save_sheet(self.out / f"{name}.png", [np.stack(row[:10]) for row in rows])

    def questions(self, limit: int) -> None:
        """Right answers, by kind and language."""
        asked: list[tuple[str, str, str]] = []
        images, texts, index = [], [], 0
        wanted = {(kind, language): limit for kind in QUESTIONS for language in LANGUAGES}
        rng = np.random.default_rng(0)
        while any(wanted.values()):
            sample, image = self.composer.sample("val", NEW + index)
            index += 1
            for kind, language in [key for key, left in wanted.items() if left]:
                if made := question(sample, self.concepts, language, rng, kind):
                    wanted[kind, language] -= 1
                    asked.append((kind, language, made.answer))
                    images.append(image)
                    texts.append(made.text)
        requests = [
            self.model.asking([shown(codes), text], (), seed, replace(self.settings, temperature=0.0))
            for seed, (codes, text) in enumerate(zip(self.codes(images), texts, strict=True))
        ]
        answers = [self.model.parts.text.decode(ids).strip() for ids in self.draft(requests)]
        right: dict[tuple[str, str], list[bool]] = defaultdict(list)
        for (kind, language, wanted_answer), answer in zip(asked, answers, strict=True):
            right[kind, language].append(answer == wanted_answer)
        print("| question | English | Chinese | n |\n|---|---|---|---|")
        for kind in QUESTIONS:
            shares = " | ".join(f"{np.mean(right[kind, language]):.1%}" for language in LANGUAGES)
            print(f"| {kind} | {shares} | {limit} each |")
        for at in (0, 7, 19, 31, 43):
            if at < len(texts):
                print(f"    {texts[at]} → {answers[at]!r}, right: {asked[at][2]!r}")

    def filling(self, limit: int) -> None:
        """A thing of a pair replaced by another in its cells: is the new one there, and the old one still?"""
        asked = trials(self.composer, "pairs", limit, seed=5)
        rng = np.random.default_rng(1)
        befores, requests, wanted, whole = [], [], [], self.codes([trial.image for trial in asked])
        for number, trial in enumerate(asked):
            gone = int(rng.integers(2))
            kept = trial.expected[1 - gone]
            new = other(self.composer, rng, {placed.concept for placed in trial.expected}, kept.style)
            objects = list(trial.expected)
            objects[gone] = Placed(new, kept.style, trial.expected[gone].box)
            box = tuple(edge * self.model.size[0] for edge in objects[gone].box)
            holes = cells_of_box(box, self.model.size, self.model.patch)
            words = listed([self.concepts[new]], trial.language)
            text = self.model.parts.text.encode(words)
            requests.append(filling(text, whole[number], holes, self.vocabulary, number, self.settings))
            wanted.append(tuple(objects))
            befores.append((trial.image, holes))
        grids, same = [], []
        for ids, codes, (_, holes) in zip(self.draft(requests), whole, befores, strict=True):
            filled = codes.copy()
            filled[holes] = np.array(ids) - self.vocabulary.first_code
            same.append(bool((filled[~holes] == codes[~holes]).all()))
            grids.append(filled)
        images = self.paint(grids)
        judged = [self.shown(objects, image, "fill") for objects, image in zip(wanted, images, strict=True)]
        verdicts = self.scorer.judge(judged, images)
        fresh = [
            say(PHRASES["en"]["beside"][0] if beside(objects) else PHRASES["en"]["above"][0], self.named(objects), "en")
            for objects in wanted
        ]
        drawn = self.scorer.judge(judged, self.fresh(fresh))
        print(
            "| filling a box of a pair | both right | things right | other cells the same | n |\n|---|---|---|---|---|"
        )
        both, some = (np.mean([verdict[key] for verdict in verdicts]) for key in ("score", "some"))
        print(f"| filled | {both:.1%} | {some:.1%} | {np.mean(same):.0%} | {limit} |")
        both, some = (np.mean([verdict[key] for verdict in drawn]) for key in ("score", "some"))
        print(f"| the same pair drawn afresh | {both:.1%} | {some:.1%} | | {limit} |")
        self.sheet("filling", [before for before, _ in befores], images)

    def fresh(self, prompts: list[str]) -> list[np.ndarray]:
        requests = [self.model.ask(prompt, seed, self.grid, self.settings) for seed, prompt in enumerate(prompts)]
        return self.paint([codes_from(ids, *self.grid, self.vocabulary) for ids in self.draft(requests)])

    def named(self, objects: tuple[Placed, ...]) -> tuple[Any, ...]:
        return tuple(self.concepts[placed.concept] for placed in objects)

    def editing(self, limit: int) -> None:
        """Instructions, by kind: is what was asked for there, and the rest kept?"""
        made: dict[str, list[tuple[np.ndarray, Sample, np.ndarray]]] = {kind: [] for kind in KINDS}
        index = 0
        while any(len(some) < limit for some in made.values()):
            split = ("edits-val", "edits-heldout")[index % 2]
            (_, image), (after, target) = edit(self.composer, split, NEW + index // 2)
            index += 1
            if len(made[after.kind]) < limit:
                made[after.kind].append((image, after, target))
        print("| instruction | right | answered with a picture | target drawn afresh | n |\n|---|---|---|---|---|")
        for kind, some in made.items():
            codes = self.codes([image for image, _, _ in some])
            requests = []
            for number, (grid, (_, after, _)) in enumerate(zip(codes, some, strict=True)):
                texts = after.captions[LANGUAGES[number % 2]]
                parts = [shown(grid), texts[number % len(texts)]]
                requests.append(self.model.asking(parts, (), number, self.settings))
            grids = [self.picture_in(ids) for ids in self.draft(requests)]
            blank = np.zeros(self.grid, np.int64)
            images = self.paint([blank if grid is None else grid for grid in grids])
            score = self.judged(some, images, [grid is not None for grid in grids])
            prompts = [self.told(after) for _, after, _ in some]
            afresh = self.judged(some, self.fresh(prompts), [True] * len(some))
            answered = np.mean([grid is not None for grid in grids])
            print(f"| {kind} | {score:.1%} | {answered:.0%} | {afresh:.1%} | {len(some)} |", flush=True)
            self.sheet(f"edit-{kind}", [image for image, _, _ in some], images, [target for _, _, target in some])

    def told(self, after: Sample) -> str:
        """A plain caption of a scene."""
        relation = "one" if len(after.objects) == 1 else "beside" if beside(after.objects) else "above"
        text = say(PHRASES["en"][relation][0], self.named(after.objects), "en")
        return text if after.background == "white" else f"{text} on a {ground_words(after.background)} background"

    def judged(
        self, some: list[tuple[np.ndarray, Sample, np.ndarray]], images: list[np.ndarray], there: list[bool]
    ) -> float:
        """Share of pictures with the right things in their halves, and the right background."""
        asked = [self.shown(after.objects, image, "edit") for (_, after, _), image in zip(some, images, strict=True)]
        verdicts = self.scorer.judge(asked, images)
        return float(
            np.mean(
                [
                    present and verdict["score"] > 0 and ground_right(after.background, image)
                    for present, verdict, (_, after, _), image in zip(there, verdicts, some, images, strict=True)
                ]
            )
        )

    def picture_in(self, ids: list[int]) -> np.ndarray | None:
        """The first picture of an answer."""
        boi, count = self.vocabulary.mark("boi"), self.grid[0] * self.grid[1]
        if boi not in ids:
            return None
        start = ids.index(boi) + 3
        try:
            return codes_from(ids[start : start + count], *self.grid, self.vocabulary)
        except ValueError:
            return None

    def context(self, limit: int) -> None:
        """Tasks that only the examples define, by the number of examples."""
        print(f"| task | {' | '.join(f'{shots} shots' for shots in SHOTS)} | n |\n|---|{'---|' * len(SHOTS)}---|")
        ways = {
            "the examples' style": self.style_task,
            "a made-up name drawn": lambda shots, limit: self.naming_task(shots, limit, True),
            "a made-up name told": lambda shots, limit: self.naming_task(shots, limit, False),
            "swap": lambda shots, limit: self.pairs_task("swap", shots, limit),
            "recolour": lambda shots, limit: self.pairs_task("background", shots, limit),
        }
        for name, way in ways.items():
            shares = " | ".join(f"{way(shots, limit):.1%}" for shots in SHOTS)
            print(f"| {name} | {shares} | {limit} |", flush=True)

    def singles(self, count: int, rng: np.random.Generator, style: str = "") -> list[tuple[Sample, np.ndarray]]:
        """Single things of the world, large, each another; all of one style if one is named."""
        found: list[tuple[Sample, np.ndarray]] = []
        while len(found) < count:
            key = self.composer.concepts[rng.integers(len(self.composer.concepts))]
            own = style or self.composer.styles[rng.integers(len(self.composer.styles))]
            taken = any(sample.objects[0].concept == key for sample, _ in found)
            if not taken and self.composer.gallery.has(key, own):
                objects = (Placed(key, own, (1 / 8, 1 / 8, 7 / 8, 7 / 8)),)
                sample = Sample(key, "single", {}, objects, "white")
                found.append((sample, self.composer.compose(objects, "white")))
        return found

    def style_task(self, shots: int, limit: int) -> float:
        rng, requests, wanted = np.random.default_rng(2), [], []
        for number in range(limit):
            style = self.composer.styles[number % len(self.composer.styles)]
            scenes = self.singles(shots + 1, rng, style)
            grids = self.codes([image for _, image in scenes])
            language = LANGUAGES[number % 2]
            made = context.style_document([sample for sample, _ in scenes], grids, self.concepts, language)
            requests.append(self.ahead(made.parts[:-1], language, number))
            wanted.append(Trial("style", "", "en", scenes[-1][0].objects, scenes[-1][1], "style"))
        images = self.paint([codes_from(ids, *self.grid, self.vocabulary) for ids in self.draft(requests)])
        return float(np.mean([verdict["score"] for verdict in self.scorer.judge(wanted, images)]))

    def naming_task(self, shots: int, limit: int, drawn: bool) -> float:
        """Of two made-up names, both told if there are examples enough, the one that is asked for."""
        rng, requests, wanted, words = np.random.default_rng(3), [], [], []
        for number in range(limit):
            scenes = self.singles(2, rng)
            query = scenes[0]
            order = [scenes[at % 2] for at in range(shots)]
            again = self.again(query[0], rng)
            samples = [sample for sample, _ in order] + [again[0]]
            grids = self.codes([image for _, image in order] + [again[1]])
            made = context.naming_document(samples, grids, rng, drawn)
            requests.append(self.ahead(made.parts[:-1], "en", number))
            wanted.append(self.shown(query[0].objects, query[1], "naming"))
            words.append(made.parts[-1] if isinstance(made.parts[-1], str) else "")
        ids = self.draft(requests)
        if not drawn:
            told = [self.model.parts.text.decode(each).strip() for each in ids]
            return float(np.mean([one == word for one, word in zip(told, words, strict=True)]))
        images = self.paint([codes_from(each, *self.grid, self.vocabulary) for each in ids])
        return float(np.mean([verdict["score"] for verdict in self.scorer.judge(wanted, images)]))

    def again(self, sample: Sample, rng: np.random.Generator) -> tuple[Sample, np.ndarray]:
        """The same thing in another style, if there is one."""
        placed = sample.objects[0]
        styles = [style for style in self.composer.styles if self.composer.gallery.has(placed.concept, style)]
        others = [style for style in styles if style != placed.style] or styles
        objects = (replace(placed, style=others[rng.integers(len(others))]),)
        return replace(sample, objects=objects), self.composer.compose(objects, "white")

    def pairs_task(self, kind: str, shots: int, limit: int) -> float:
        """A change shown by examples without a word, the last one to be made."""
        requests, some, index = [], [], 0
        while len(requests) < limit:
            found = []
            while len(found) < shots + 1:
                (_, before), (after, target) = edit(self.composer, "edits-val", 2 * NEW + index)
                index += 1
                alike = not found or kind != "background" or after.background == found[0][1].background
                if after.kind == kind and alike:
                    found.append((before, after, target))
            flat = self.codes([image for before, _, target in found for image in (before, target)])
            pairs = list(zip(flat[::2], flat[1::2], strict=True))
            requests.append(self.ahead(context.pairs_document(pairs).parts[:-1], "", len(requests)))
            some.append(found[-1])
        images = self.paint([codes_from(ids, *self.grid, self.vocabulary) for ids in self.draft(requests)])
        return self.judged(some, images, [True] * len(images))

    def ahead(self, parts: tuple[Any, ...], language: str, seed: int) -> Request:
        """What comes after some parts: a picture after words or another picture, else words."""
        ids = to_ids(Document(parts, language), self.vocabulary, self.model.parts.text.encode)[0][:-1].tolist()
        if isinstance(parts[-1], str) or not language:
            start = draw_prefix([], *self.grid, self.vocabulary)[1:]
            dials = {name: getattr(self.settings, name) for name in ("temperature", "top_k", "top_p")}
            count = self.grid[0] * self.grid[1]
            return Request([*ids, *start], any_code(self.vocabulary), limit=count, seed=seed, **dials)
        stop = self.vocabulary.mark("eos")
        boi = self.vocabulary.mark("boi")
        ranges = (*any_text(self.vocabulary), range(boi, boi + 1))
        prefix = [*ids, self.vocabulary.mark(language)]
        return Request(prefix, ranges, limit=MAX_CAPTION, stop=stop, seed=seed, temperature=0.0)


def shown(codes: np.ndarray) -> Any:
    """Codes as a picture that the model is shown."""
    from PIL import Image

    from lantu.types import Picture

    return Picture(Image.new("RGB", (1, 1)), codes)


def other(composer: Composer, rng: np.random.Generator, shown: set[str], style: str) -> str:
    """A thing that is not shown, in a style that draws it."""
    while True:
        key = composer.concepts[rng.integers(len(composer.concepts))]
        if key not in shown and composer.gallery.has(key, style):
            return key


def beside(objects: tuple[Placed, ...]) -> bool:
    return abs(objects[0].box[1] - objects[-1].box[1]) < 0.1


def ground_words(background: str) -> str:
    from lantu.data.backgrounds import BACKGROUNDS

    return BACKGROUNDS[background].words["en"][0]


def ground_right(background: str, image: np.ndarray) -> bool:
    """Whether the rim of a picture has the colours of a background."""
    true = paint(background, image.shape[0])
    rim = np.ones(image.shape[:2], bool)
    rim[3:-3, 3:-3] = False
    return float(np.abs(np.median(image[rim].astype(np.float32) - true[rim], axis=0)).max()) < RIM_RIGHT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--only", nargs="+", default=["questions", "filling", "editing", "context"])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    model = Model.load(arguments.model, "cpu")
    abilities = Abilities(model, composer_of(None, arguments.data), arguments.out)
    for name in arguments.only:
        getattr(abilities, name)(arguments.limit)
        print(flush=True)


if __name__ == "__main__":
    main()
