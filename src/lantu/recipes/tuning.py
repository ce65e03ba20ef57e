"""Finds the settings that a new model draws best with, on validation data, and keeps them in the model's index.

First the decoder's, sampler and steps, by the distance of round trips from the true pictures. Then the draft's,
guidance and temperature, by drawings of captions. The value of a choice is

    agreement - spread / 2

where agreement is the share of other captions' pictures that a drawing is less near to than to those of its own caption
(0.5 is chance), and spread is the Fréchet distance of drawings from true pictures, divided by the sum of both variances
of the features (0 where they are alike). So settings that draw one picture for all captions, or noise, lose. Every
choice draws the same captions from the same seeds, so the same call chooses the same settings.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lantu.data.shards import read_index
from lantu.errors import DataError
from lantu.evaluation.likeness import Likeness
from lantu.evaluation.metrics import frechet
from lantu.files import write_json
from lantu.models.lantu.directory import INDEX
from lantu.models.lantu.folder import LantuFolder
from lantu.pipeline import Model
from lantu.recipes.generator import ModelGenerator
from lantu.recipes.pace import Pace
from lantu.recipes.pictures import Album, TruePicture, judge_of, known, open_eye, stacked

USUAL = {"guidance": 1.5, "temperature": 0.3}  # defaults that models of this kind draw well with
GUIDANCE = (1.0, 1.5, 2.0, 3.0)
TEMPERATURE = (0.3, 0.6, 1.0)
DECODERS = (("euler", 8), ("euler", 4), ("euler", 2), ("consistency", 4), ("consistency", 2))
TOLERANCE = 0.02  # a decoder with fewer steps wins if its distance is within this share of the best
MOST, FEWEST = 48, 8  # the most and the fewest captions that are drawn with each choice
LEAST = 4  # captions without which drafts can't be compared
WORK = 4e11  # codes times parameters of all drafts together: about a minute on one core
FINALISTS = 3  # drafts that are drawn twice
OTHER = 1_000_003  # offset of the seeds of the second time
UNREFINED = {"refine": 0.0}  # the first pass is judged
BATCH = 8

Progress = Callable[[int, int], None]
Draft = tuple[float, float]  # guidance, temperature


@dataclass(frozen=True)
class Choice:
    """The chosen settings, and what was tried.

    Attributes:
        settings: the chosen settings; none if there was nothing to choose by.
        captions: drawn with each draft.
        judge: the features that pictures were compared by.
        split: of the data that the pictures came from, "val and train" if the first had too few.
        drafts: for each guidance and temperature "agreement", "spread" and "value", and how often it was "drawn"; the
            chosen one has the largest value of those drawn twice.
        decoders: for each sampler and number of steps "distance" of round trips from true pictures.
        states: for each state of the language model, if there are several, what it is ("language") and its value.
        state: the chosen one.
    """

    settings: dict[str, Any]
    captions: int = 0
    judge: str = ""
    split: str = ""
    seed: int = 0
    drafts: list[dict[str, float]] = field(default_factory=list)
    decoders: list[dict[str, Any]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    state: str = ""

    @property
    def value(self) -> float | None:
        """Of the chosen draft; None where none was tried."""
        return max((one["value"] for one in self.drafts if one["drawn"] > 1), default=None)

    @property
    def made(self) -> bool:
        """Whether there was anything to choose: settings, or a state of the language model."""
        return bool(self.settings or self.states)

    def rows(self) -> list[tuple[str, ...]]:
        """What was tried, as a table with the chosen row marked."""
        names = ("guidance", "temperature", "agreement", "spread", "value", "drawn")
        rows: list[tuple[str, ...]] = [(*names, "")] if self.drafts else []
        for tried in self.drafts:
            chosen = all(self.settings.get(name, tried[name]) == tried[name] for name in USUAL)
            cells = [f"{tried[name]:.3f}" if name in names[2:5] else f"{tried[name]:g}" for name in names]
            rows.append((*cells, "chosen" if chosen else ""))
        return rows

    def line(self) -> str:
        """The choice in one line."""
        settings = ", ".join(f"{name} {value}" for name, value in self.settings.items()) or "all settings as given"
        tried = [f"{len(self.drafts)} drafts of {self.captions} captions"] if self.drafts else []
        tried += [f"{len(self.decoders)} decoders"] if self.decoders else []
        line = f"chosen: {settings} ({', '.join(tried)}; {self.split} pictures, compared by {self.judge})"
        values = ", ".join(f"{one['language']} {one['value']:.3f}" for one in self.states)
        return f"{line}\nlanguage model: its state at the {self.state} (values: {values})" if values else line


def tune(
    folder: LantuFolder,
    data: str | Path,
    fixed: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
    note: Callable[[str], None] = lambda message: None,
    minutes: float | None = None,
    valued: bool = False,
) -> Choice:
    """Choose the settings of a newly assembled model, and write them into its index with what was tried.

    Args:
        data: a data folder of any kind; its validation pictures are used, and training pictures if they are too few.
        fixed: settings that are given, by name.
        progress: called with (pictures done, in all).
        note: called with a line for everything that could not be done.
        minutes: about so many; then how much is tried depends on the machine's speed, too.
        valued: give a value to the drawings even if all their settings are given, as another model may draw better.

    Raises:
        DataError: there is no data, or it can't be read.
        DiskError: the index can't be written.
    """
    fixed = dict(fixed or {})
    model = Model.load(folder.path, "cpu")
    album = Album(data, model.size)
    choice = Tuner(model, album, fixed, seed, progress, note, minutes, valued).choose()
    if choice.settings:
        keep(folder, choice)
    return choice


def keep(folder: LantuFolder, choice: Choice) -> None:
    """Write a choice into a model's index. Raises DiskError."""
    index = json.loads((folder.path / INDEX).read_text(encoding="utf-8"))
    index["draw"] = {**index.get("draw", {}), **choice.settings}
    index["tuned"] = asdict(choice)
    write_json(folder.path / INDEX, index)


@dataclass
class Tuner:
    """One model and one album; the arguments are those of ``tune``."""

    model: Model
    album: Album
    fixed: dict[str, Any]
    seed: int
    progress: Progress
    note: Callable[[str], None]
    minutes: float | None = None
    valued: bool = False
    done: int = 0
    total: int = 0

    def choose(self) -> Choice:
        """Try everything; a choice without settings if there is nothing to choose."""
        drafts, decoders = self.drafts(), self.decoders()
        worth = 1 if self.valued else 2  # drafts that are tried, at the fewest
        if len(drafts) < worth and len(decoders) < 2:
            return Choice({})
        rows = sum(1 if self.one_row(guidance) else 2 for guidance, _ in drafts)
        count = self.count(rows)
        pictures = self.pictures(count, captioned=True)
        if len(pictures) >= LEAST and self.minutes is not None:
            pictures, drafts = self.hurried(pictures, drafts)
        if len(pictures) < LEAST and len(drafts) >= worth:
            what = f"{len(pictures)} pictures with captions in {self.album.folder} (needs {LEAST})"
            if kept := [name for name in USUAL if name not in self.fixed]:
                self.note(f"can't choose {' and '.join(kept)}: {what}")
            drafts = []
        true = pictures or self.pictures(count)
        eye = open_eye(self.note)
        judge = judge_of(self.album, true, eye, self.seed)
        again = min(FINALISTS, len(drafts))
        self.total = len(true) * (len(decoders) * (len(decoders) > 1) + (len(drafts) + again) * (len(drafts) >= worth))
        settings, tried_decoders = self.try_decoders(decoders, true, judge)
        tried: list[dict[str, float]] = []
        if len(drafts) >= worth:
            tried = [self.try_draft(draft, settings, pictures, judge) for draft in drafts]
            best = self.decide(tried, settings, pictures, judge)
            settings |= {name: best[name] for name in USUAL if name not in self.fixed}
        splits = " and ".join(dict.fromkeys(one.key.partition("/")[0] for one in true))
        return Choice(settings, len(pictures), eye.name, splits, self.seed, tried, tried_decoders)

    def pictures(self, count: int, captioned: bool = False) -> list[TruePicture]:
        """Validation pictures of different captions, and training pictures if there are too few."""
        chosen = self.album.some(count, self.seed, captioned, distinct=True)
        if len(chosen) < FEWEST and self.album.split == "val":
            more = FEWEST - len(chosen)
            chosen += self.album.some(more, self.seed, captioned, distinct=True, training=True)
        return chosen

    def drafts(self) -> list[Draft]:
        """Guidance and temperature of each draft that is tried; the default comes first, so it wins if all are equal.

        A model that has learnt guidance draws in one row at the scales that it has learnt: only these are tried.
        """
        learnt = self.model.parts.guidance_scales
        guidance = (1.0, *sorted(set(learnt) - {1.0})) if learnt else GUIDANCE
        values = {"guidance": guidance, "temperature": TEMPERATURE}
        values |= {name: (value,) for name, value in self.fixed.items() if name in values}
        pairs = list(itertools.product(values["guidance"], values["temperature"]))
        return sorted(pairs, key=lambda pair: pair != (USUAL["guidance"], USUAL["temperature"]))

    def decoders(self) -> list[tuple[str, int]]:
        """Sampler and steps of each decoder that is tried; none if the steps are given."""
        if "steps" in self.fixed:
            return []
        if "sampler" in self.fixed:
            return [(self.fixed["sampler"], steps) for steps in sorted({steps for _, steps in DECODERS}, reverse=True)]
        return list(DECODERS)

    def one_row(self, guidance: float) -> bool:
        """Whether drafting with a guidance takes one row of the language model, not two."""
        return guidance == 1.0 or guidance in self.model.parts.guidance_scales

    def count(self, rows: int) -> int:
        """Captions for each draft: as many as ``WORK`` allows, which is the same on all machines."""
        height, width = self.model.folder.grid
        work = rows * height * width * self.model.folder.parameters()["language"]
        return int(np.clip(WORK / max(work, 1), FEWEST, MOST))

    def hurried(self, pictures: list[TruePicture], drafts: list[Draft]) -> tuple[list[TruePicture], list[Draft]]:
        """As many pictures, and then as many drafts, as there is time for; three quarters of it are for drafts."""
        pace = Pace.of(ModelGenerator(self.model), pictures, self.minutes)
        drawings = 0.75 * (pace.seconds or 0) / max(pace.drawing, 1e-9)
        tries = len(drafts) + FINALISTS
        pictures = pictures[: max(FEWEST, int(drawings / tries))]
        if len(pictures) * tries > drawings:
            tries = max(2 + FINALISTS, int(drawings / len(pictures)))
            self.note(f"{tries - FINALISTS} of {len(drafts)} drafts are tried in {self.minutes:g} minutes")
        return pictures, drafts[: tries - FINALISTS]

    def try_decoders(
        self, decoders: Sequence[tuple[str, int]], true: Sequence[TruePicture], judge: Likeness
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The chosen sampler and steps, and what was tried."""
        if len(decoders) < 2:
            return {}, []
        tried: list[dict[str, Any]] = []
        real = stacked(true)
        for sampler, steps in decoders:
            params: dict[str, Any] = {**UNREFINED, **self.fixed, "sampler": sampler, "steps": steps}
            generator = ModelGenerator(self.model, **params)
            rebuilt = [generator.reconstruct(real[first : first + BATCH]) for first in self.batches(len(real))]
            distance = float(judge.distance(np.concatenate(rebuilt), real).mean())
            tried.append({"sampler": sampler, "steps": steps, "distance": distance})
        near = (1 + TOLERANCE) * min(one["distance"] for one in tried)
        best = min((one for one in tried if one["distance"] <= near), key=lambda one: one["steps"])
        return {name: best[name] for name in ("sampler", "steps") if name not in self.fixed}, tried

    def try_draft(
        self,
        draft: Draft,
        settings: Mapping[str, Any],
        pictures: Sequence[TruePicture],
        judge: Likeness,
        seed: int | None = None,
    ) -> dict[str, float]:
        """The value of drawings with a guidance and a temperature."""
        guidance, temperature = draft
        seed = self.seed if seed is None else seed
        params: dict[str, Any] = {
            **UNREFINED,
            **self.fixed,
            **settings,
            "guidance": guidance,
            "temperature": temperature,
        }
        generator = ModelGenerator(self.model, **params)
        drawn = []
        for first in self.batches(len(pictures)):
            prompts = [one.prompt for one in pictures[first : first + BATCH]]
            drawn.append(generator.draw(prompts, [seed + first + i for i in range(len(prompts))]))
        images, real = np.concatenate(drawn), stacked(pictures)
        verdicts = judge.judge(images, [known(one) for one in pictures])
        agreement = float(np.mean([verdict["nearer"] for verdict in verdicts]))
        apart = spread(judge.pooled(images), judge.pooled(real))
        value = agreement - apart / 2
        return {
            "guidance": guidance,
            "temperature": temperature,
            "agreement": agreement,
            "spread": apart,
            "value": value,
            "drawn": 1,
        }

    def decide(
        self,
        tried: list[dict[str, float]],
        settings: Mapping[str, Any],
        pictures: Sequence[TruePicture],
        judge: Likeness,
    ) -> dict[str, float]:
        """The best draft. The few best are drawn again from other seeds, for some of them were only lucky."""
        finalists = sorted(tried, key=lambda one: -one["value"])[:FINALISTS]
        for one in finalists:
            again = self.try_draft((one["guidance"], one["temperature"]), settings, pictures, judge, self.seed + OTHER)
            one.update({name: (one[name] + again[name]) / 2 for name in ("agreement", "spread", "value")})
            one["drawn"] = 2
        return max(finalists, key=lambda one: one["value"])

    def batches(self, count: int) -> Iterator[int]:
        """The start of each batch; reports progress when the next is requested."""
        for first in range(0, count, BATCH):
            yield first
            self.done += min(BATCH, count - first)
            self.progress(self.done, self.total)


def data_of(*runs: str | Path) -> Path | None:
    """The training data of the first of some runs that records it, if it is still there."""
    for run in runs:
        try:
            data = json.loads((Path(run) / "config.json").read_text(encoding="utf-8")).get("data")
            if isinstance(data, str):
                read_index(data)
                return Path(data)
        except (OSError, ValueError, AttributeError, DataError):
            continue
    return None


def spread(drawn: np.ndarray, true: np.ndarray) -> float:
    """The Fréchet distance of two sets of features over the sum of their variances; 0 for fewer than two pictures."""
    if len(true) < 2:
        return 0.0
    variance = float(drawn.var(0, ddof=1).sum() + true.var(0, ddof=1).sum())
    return frechet(drawn, true) / variance if variance else 0.0
