"""What a trained model is scored on: its drawings, their variety, captions, edits, speed and memory.

One evaluator for all: the scorer of scenes (``lantu.evaluation.scorer``) and the features that it compares by.
Shapes: B pictures, C channels, H W pixels, S features.
"""

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from lantu.data.questions import listed
from lantu.data.scenes import Composer
from lantu.data.trials import trials
from lantu.errors import DataError, LantuError, PromptError
from lantu.evaluation.likeness import Eye, NetworkEye, PlainEye
from lantu.evaluation.metrics import frechet, interval, mentions
from lantu.evaluation.results import WIDE
from lantu.evaluation.retrieval import BATCH, SIDE, Network, Retrieval, scale
from lantu.evaluation.scorer import Scorer
from lantu.evaluation.suites import Examiner, judge_captions
from lantu.evaluation.trial import Trial
from lantu.features.efficientnet import load_efficientnet
from lantu.pipeline import Model
from lantu.recipes import own
from lantu.recipes.abilities import filling
from lantu.recipes.assemble import assemble
from lantu.recipes.compare import planning
from lantu.recipes.compare.generators import KeptGenerator, digest
from lantu.recipes.compare.operations import operations
from lantu.recipes.compare.systems import SYSTEMS
from lantu.recipes.compare.training import RUNS, diverged
from lantu.recipes.pictures import Album
from lantu.recipes.rivals.assembling import assemble_rival
from lantu.recipes.scores import composer_of, lexicon_of, scorer_of
from lantu.recipes.sheets import save_png
from lantu.recipes.variety import variety
from lantu.training.device import choose_device
from lantu.training.measure import peak_bytes
from lantu.types import Picture

MODELS, DRAWN = "models", "drawn"
BATCH_SIZE = 16  # pictures that are drawn and judged together
NUM_RESAMPLES = 12  # half samples by which the interval of a Fréchet distance is estimated
OTHERS = 1  # seed of the prompts by which settings are chosen; figures are of seed 0
NUM_TIMED = 3  # pictures drawn one by one, whose median time is reported
NUM_VARIETY_CAPTIONS = 16  # of each of which several pictures are drawn
NUM_VARIETY_CAPTIONS_DEBUG = 4
NUM_SHOWN = 12  # drawings in the report
QUESTION = {"en": "what is in the picture?", "zh": "图里有什么？"}
PLAIN_EVALUATOR = "colours (the vision network is missing)"


class PlainNetwork:
    """Colours in the place of a vision network, where it can't be had: enough to try a comparison."""

    def maps(self, pixels_BCHW: Tensor) -> Tensor:
        """Means of 16 × 16 pixels."""
        return avg_pool2d(pixels_BCHW, 16)

    def deep(self, maps: Tensor) -> Tensor:
        """Means of these."""
        return avg_pool2d(maps, 2)


@dataclass
class Exam:
    """One model and what it is asked."""

    model: Model
    generator: KeptGenerator
    asked: planning.Asked

    @cached_property
    def composer(self) -> Composer:
        """Of scenes like those of the data."""
        return composer_of(None, self.asked.data)

    @cached_property
    def network(self) -> Network:
        """The vision network. Raises DataError where it can't be had and figures are wanted."""
        try:
            return load_efficientnet()
        except (DataError, ImportError):
            if not self.asked.debug:
                raise
            return PlainNetwork()

    @cached_property
    def scorer(self) -> Scorer:
        """The judge."""
        gallery = self.composer.gallery
        if not isinstance(self.network, PlainNetwork):
            return scorer_of(gallery, self.network)
        labels = [(concept, style) for concept in gallery.concepts for style in gallery.styles_of(concept)]
        return Scorer(Retrieval.from_sprites(self.network, labels, gallery.sprite))

    @cached_property
    def eye(self) -> Eye:
        """Features of the Fréchet distance."""
        return PlainEye() if isinstance(self.network, PlainNetwork) else NetworkEye(self.network)

    @property
    def evaluator(self) -> str:
        """The name of what judges."""
        return PLAIN_EVALUATOR if isinstance(self.network, PlainNetwork) else self.eye.name

    @cached_property
    def examiner(self) -> Examiner:
        """Asks and judges."""
        lexicon = lexicon_of(self.composer.gallery)
        return Examiner(self.generator, self.scorer, None, None, lexicon, 0, BATCH_SIZE)

    def trials(self, suite: str, count: int, seed: int = 0) -> list[Trial]:
        """Prompts with known answers, the same for every model."""
        return trials(self.composer, suite, count, seed)

    def features(self, pictures: np.ndarray) -> np.ndarray:
        """(B, S) of pictures (B, H, W, 3) uint8."""
        parts = [
            np.stack([scale(one, SIDE) for one in pictures[i : i + BATCH]]) for i in range(0, len(pictures), BATCH)
        ]
        return np.concatenate([self.eye.pooled(self.eye.describe(some)) for some in parts])


def build(work: Path, trial: planning.Trial, data: str, draw: Mapping[str, float]) -> Path:
    """The model directory of a trained system, which draws by these settings."""
    runs = {name: work / RUNS / training.key for name, training in trial.parts.items()}
    system, out = SYSTEMS[trial.system], work / MODELS / trial.key
    if system.assembled:
        drafter = runs[system.drafter.name]
        assemble(runs["tokenizer"], drafter, runs["decoder"], out, trial.system, data=data, draw=draw)
    else:
        assemble_rival(runs[system.drafter.name], out, trial.system, data=data, draw=draw)
    return out


def opened(work: Path, key: str, folder: Path, asked: planning.Asked) -> Exam:
    """A model directory under examination."""
    model = Model.load(folder, asked.device)
    drawn_by = digest(json.dumps(model.folder.settings.as_dict(), sort_keys=True))
    return Exam(model, KeptGenerator(model, work / DRAWN / key / drawn_by), asked)


def score(work: Path, key: str, folder: Path, asked: planning.Asked, count: int, seed: int = 0) -> dict[str, Any]:
    """The scene score and the Fréchet distance of ``count`` drawings, half of single things, half of pairs.

    Args:
        seed: of the prompts.
    """
    one = opened(work, key, folder, asked)
    wanted = [*one.trials("single", count - count // 2, seed), *one.trials("pairs", count // 2, seed)]
    drawn = one.examiner.drawn(wanted)
    right = np.array([verdict["score"] for verdict in one.scorer.judge(wanted, drawn)])
    true = np.stack([trial.image for trial in wanted])
    single = count - count // 2
    halves = {"all": slice(None), "single": slice(single), "pairs": slice(single, None)}
    scores = {name: share(right[half], wanted[half]) for name, half in halves.items()}
    pictures = [
        {"prompt": trial.prompt, "file": str(one.generator.drawing(trial.prompt, place)), "right": bool(right[place])}
        for place, trial in enumerate(wanted)
    ]
    places = [place for pair in zip(range(single), range(single, count), strict=False) for place in pair][:NUM_SHOWN]
    shown = [pictures[place] | {"true": str(kept_true(work, wanted[place], seed))} for place in places]
    distance = distances(one.features(true), one.features(np.stack(drawn)))
    ceiling = one.scorer.judge(wanted, list(true))
    return {
        "score": scores,
        "ceiling": share(np.array([verdict["score"] for verdict in ceiling]), wanted),
        "frechet": distance,
        "evaluator": one.evaluator,
        "pictures": shown,
    }


def kept_true(work: Path, trial: Trial, seed: int) -> Path:
    """The file of a true picture of the prompts of a seed."""
    file = work / DRAWN / "true" / str(seed) / f"{trial.key}.png"
    save_png(file, trial.image)
    return file


def share(right: np.ndarray, wanted: Sequence[Trial]) -> dict[str, Any]:
    """A share of right answers with its 95 % interval.

    Trials of the same things are not independent. So Wilson's interval is that of as many independent trials as would
    have the variance that is estimated between sets of things (Korn and Graubard, 1998), "independent".
    """
    value = float(right.mean()) if len(right) else 0.0
    sets = [frozenset(placed.concept for placed in trial.expected) for trial in wanted]
    apart = {things: sum(r - value for r, each in zip(right, sets, strict=True) if each == things) for things in sets}
    variance = sum(off * off for off in apart.values()) / max(1, len(right)) ** 2
    count = value * (1 - value) / variance if variance else len(apart)
    count = min(max(count, len(apart)), len(right))
    return {"value": value, "interval": list(interval(value, count)), "n": len(right), "independent": round(count, 1)}


def distances(true_BS: np.ndarray, drawn_BS: np.ndarray) -> dict[str, Any]:
    """The Fréchet distance of drawings, with a 95 % interval estimated from random halves of them.

    Halves drawn without replacement vary as much as samples of all of them would (Kish and Frankel, 1974).
    """
    value, rng, half = frechet(true_BS, drawn_BS), np.random.default_rng(0), len(drawn_BS) // 2
    if half < 2:
        return {"value": value, "interval": [value, value], "n": len(drawn_BS)}
    some = [frechet(true_BS, drawn_BS[rng.permutation(len(drawn_BS))[:half]]) for _ in range(NUM_RESAMPLES)]
    error = WIDE * statistics.stdev(some)
    return {"value": value, "interval": [max(0.0, value - error), value + error], "n": len(drawn_BS)}


def abilities(work: Path, key: str, folder: Path, asked: planning.Asked) -> dict[str, Any]:
    """What else a model can do, with a score, or why it can't: asked of the model itself."""
    one = opened(work, key, folder, asked)
    can = set(one.model.folder.abilities)
    asks: Mapping[str, tuple[str, Callable[[Exam], dict[str, Any]]]] = {
        "captioning": ("captioning", captioning),
        "editing": ("filling", editing),
        "interleaving": ("talking", interleaving),
    }
    found = {
        name: measured(one) if ability in can else {"cannot": one.model.folder.lacks(ability)}
        for name, (ability, measured) in asks.items()
    }
    return found | {"round_trip": round_trip(one), "variety": varied(one)}


def round_trip(one: Exam) -> dict[str, Any]:
    """The share of true single things that are still right after encoding and rendering."""
    wanted, right = one.trials("single", one.asked.captions), list[float]()
    for first in range(0, len(wanted), BATCH_SIZE):
        some = wanted[first : first + BATCH_SIZE]
        made = one.generator.reconstruct(np.stack([trial.image for trial in some]))
        right += [verdict["score"] for verdict in one.scorer.judge(some, list(made))]
    return share(np.array(right), wanted)


def captioning(one: Exam) -> dict[str, Any]:
    """The share of right captions, see ``lantu.evaluation.suites.judge_captions``."""
    wanted = one.trials("caption", one.asked.captions)
    texts = one.examiner.captions(wanted, np.stack([trial.image for trial in wanted]))
    verdicts = judge_captions(wanted, texts, one.examiner.lexicon)
    named = float(np.mean([verdict["named"] for verdict in verdicts]))
    return share(np.array([verdict["score"] for verdict in verdicts]), wanted) | {"named": named}


def editing(one: Exam) -> dict[str, Any]:
    """One of two things is replaced in its box: the share with both right."""
    rng, done, images = np.random.default_rng(1), list[Trial](), list[np.ndarray]()
    for number, trial in enumerate(one.trials("pairs", one.asked.captions)):
        gone = int(rng.integers(2))
        old, stays = trial.expected[gone], trial.expected[1 - gone]
        new = filling.other(one.composer, rng, {old.concept, stays.concept}, stays.style)
        objects = [replace(old, concept=new) if place == gone else each for place, each in enumerate(trial.expected)]
        done.append(replace(trial, expected=tuple(objects)))
        text = listed([one.composer.gallery.concepts[new]], trial.language)
        make = partial(edited, one, trial, gone, text, number)
        images.append(one.generator.kept(f"edit {trial.key} {gone} {text}", number, make))
    return share(np.array([verdict["score"] for verdict in one.scorer.judge(done, images)]), done)


def edited(one: Exam, trial: Trial, gone: int, text: str, seed: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 with one of its things redrawn."""
    width, height = one.model.size
    picture = Image.fromarray(one.generator.sized(trial.image[None])[0])
    x0, y0, x1, y1 = trial.expected[gone].box
    box = (round(x0 * width), round(y0 * height), round(x1 * width), round(y1 * height))
    try:
        return np.asarray(one.model.edit(picture, text, box=box, seed=seed).image)
    except PromptError:  # it can't read so much: as if it had changed nothing
        return np.asarray(picture)


def interleaving(one: Exam) -> dict[str, Any]:
    """Words and pictures in one conversation: a thing is asked for, drawn, asked about and named; the share of both."""
    wanted, right = one.trials("single", one.asked.captions), list[float]()
    for seed, trial in enumerate(wanted):
        try:
            right.append(conversed(one, trial, seed))
        except LantuError:  # its answer was nothing that a conversation goes on from
            right.append(0.0)
    return share(np.array(right), wanted)


def conversed(one: Exam, trial: Trial, seed: int) -> float:
    """1 where a thing is drawn when asked for, and named when asked about; else 0."""
    answer = one.model.chat([trial.prompt], seed=seed)
    drawn = [part for part in answer if isinstance(part, Picture)]
    if not drawn:
        return 0.0
    (verdict,) = one.scorer.judge([trial], [np.asarray(drawn[0].image)])
    said = one.model.chat([QUESTION[trial.language]], before=[[trial.prompt], answer], seed=seed)
    text = " ".join(part for part in said if isinstance(part, str))
    words = mentions(text, one.examiner.lexicon[trial.language])
    return verdict["score"] * (not set(words).isdisjoint(trial.words[0]))


def varied(one: Exam) -> dict[str, Any]:
    """How far four drawings of one caption are apart, beside true pictures: near to 0 a model has collapsed."""
    count = NUM_VARIETY_CAPTIONS_DEBUG if one.asked.debug else NUM_VARIETY_CAPTIONS
    asks = own.Exam(one.model, Album(one.asked.data, one.model.size), count, 0, lambda note: None)
    asks.__dict__.update(generator=one.generator, eye=one.eye)
    found = variety(asks)
    return {"value": found.score, "interval": list(found.interval), "n": found.n, "ceiling": found.ceiling}


def speed(folder: Path, asked: planning.Asked) -> dict[str, Any]:
    """What a picture costs: seconds alone, operations, memory; in a process that has done nothing else.

    Operations are those of the first drawing: later ones of the same words find the prompt in a cache in some systems.
    """
    device = choose_device(asked.device)
    before = peak_bytes(device)
    model = Model.load(folder, asked.device)
    flops = operations(lambda: model.draw("a cat", seed=0))
    model.draw("a cat", seed=0)
    seconds = []
    for seed in range(NUM_TIMED):
        began = time.monotonic()
        model.draw("a cat", seed=1 + seed)
        seconds.append(time.monotonic() - began)
    after = peak_bytes(device)
    return {
        "seconds": statistics.median(seconds),
        "flops": flops,
        "memory": max(0, after - before),
        "sequence": model.folder.draft_length,
        "pixels": list(model.size),
        "parameters": sum(model.folder.parameters().values()),
        "abilities": list(model.folder.abilities),
    }


def settings(work: Path, trial: planning.Trial, asked: planning.Asked) -> dict[str, Any]:
    """The settings by which a system draws best, of those that it may have (``System.draws``).

    By the scene score of ``asked.swept`` drawings of other prompts than those of the figures, and by the Fréchet
    distance where it is equal. Of systems of --debug, the first.
    """
    draws = SYSTEMS[trial.system].draws
    tried = [
        {"draw": dict(draw), "found": measure(work, trial, asked, asked.swept, draw, OTHERS)}
        for draw in draws[: 1 if asked.debug else None]
    ]

    def rank(one: Mapping[str, Any]) -> tuple[float, float]:
        found = one["found"]
        return (1.0, math.inf) if "failed" in found else (-found["score"]["all"]["value"], found["frechet"]["value"])

    each = [one["draw"] | {name: one["found"].get(name) for name in ("score", "frechet")} for one in tried]
    return {"draw": min(tried, key=rank)["draw"], "each": each}


def measure(
    work: Path,
    trial: planning.Trial,
    asked: planning.Asked,
    count: int,
    draw: Mapping[str, float] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The score of a trained system; of one that has diverged to nothing, why.

    Args:
        draw: settings of its drawings; None for the usual ones.
        seed: of the prompts.
    """
    draw = SYSTEMS[trial.system].draws[0] if draw is None else draw
    runs = [(work / RUNS / training.key, training) for training in trial.parts.values()]
    if lost := [run.name for run, _ in runs if not (run / "model").is_dir()]:
        return {"failed": f"{lost[0]} came to nothing"}
    try:
        return score(work, trial.key, build(work, trial, asked.data, draw), asked, count, seed)
    except (LantuError, ValueError, FloatingPointError) as problem:
        if not any(diverged(*run) for run in runs):
            raise
        return {"failed": f"it diverged: {problem}"}
