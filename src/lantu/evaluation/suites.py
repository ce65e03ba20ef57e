"""Put a generator through trials: what it draws, reads and rebuilds, beside what the true pictures would score.

Every suite has three numbers: "score" of the generator, "ceiling" of the true pictures under the same judge, and
"round_trip" of the true pictures after picture → codes → picture, which no drawing of the generator can be hoped to
beat.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lantu.evaluation.metrics import frechet, psnr, words_in
from lantu.evaluation.results import Exhibit, Suite, Verdict, averages
from lantu.evaluation.scorer import Scorer
from lantu.evaluation.trial import SUITES, Trial
from lantu.types import Generator

if TYPE_CHECKING:
    from torch import Tensor

FRECHET = "fd_efficientnet_lite0"


def evaluate(
    generator: Generator,
    trials: Sequence[Trial],
    scorer: Scorer,
    perceptual: "Callable[[Tensor, Tensor], Tensor] | None" = None,
    describe: "Callable[[Tensor], Tensor] | None" = None,
    lexicon: Mapping[str, Collection[str]] | None = None,
    seed: int = 0,
    batch: int = 8,
    shown: int = 8,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Suite]:
    """Every suite that has trials, in the order of ``SUITES``.

    Args:
        perceptual: pixels in [-1, 1], (B, 3, H, W) twice → (B,) distances, for "lpips" of the reconstructions.
        describe: pixels in [-1, 1], (B, 3, H, W) → (B, S) features, for their Fréchet distance.
        lexicon: language → all words that name some thing, so that "hot dog" does not pass for a dog; when None, those
            of the trials.
        seed: trial i of a suite is drawn from the seed ``seed + i``.
        batch: pictures asked of the generator at once.
        shown: exhibits kept of each suite.
        progress: told how many trials of how many are done.
    """
    examiner = Examiner(generator, scorer, perceptual, describe, lexicon or {}, seed, batch)
    ways = {"reconstruction": examiner.reconstruction, "caption": examiner.captioning}
    suites, done = {}, 0
    for name in SUITES:
        asked = [trial for trial in trials if trial.suite == name]
        if asked:
            suite = ways.get(name, examiner.drawing)(asked)
            suites[name] = Suite(suite.n, suite.details, suite.exhibits[:shown])
            done += len(asked)
            progress(done, len(trials))
    return suites


@dataclass(frozen=True)
class Examiner:
    """Asks a generator and has its answers judged; the arguments are those of ``evaluate``."""

    generator: Generator
    scorer: Scorer
    perceptual: "Callable[[Tensor, Tensor], Tensor] | None"
    describe: "Callable[[Tensor], Tensor] | None"
    lexicon: Mapping[str, Collection[str]]
    seed: int
    batch: int

    def drawing(self, trials: list[Trial]) -> Suite:
        """A picture for each prompt, judged by what it shows."""
        real, rebuilt = self.pictures(trials)
        drawn = []
        for some in self.batches(len(trials)):
            prompts, seeds = [trials[i].prompt for i in some], [self.seed + i for i in some]
            drawn.extend(self.generator.draw(prompts, seeds))
        answers = {"score": drawn, "round_trip": rebuilt, "ceiling": real}
        judged = {kind: self.scorer.judge(trials, images) for kind, images in answers.items()}
        exhibits = [
            Exhibit(trial, again, picture, score=verdict["score"])
            for trial, again, picture, verdict in zip(trials, rebuilt, drawn, judged["score"], strict=True)
        ]
        return summary(trials, judged, exhibits)

    def reconstruction(self, trials: list[Trial]) -> Suite:
        """The round trip alone: are the things still recognised where they were, and how near are the pictures?

        "score" and "round_trip" are the same here; the score's details have "psnr", "lpips" and the Fréchet distance.
        """
        real, rebuilt = self.pictures(trials)
        verdicts = self.scorer.judge(trials, rebuilt)
        measured = {"psnr": psnr(real, rebuilt)}
        if self.perceptual is not None:
            measured["lpips"] = self.in_batches(self.perceptual, rebuilt, real)
        scores = [verdict | {k: float(v[i]) for k, v in measured.items()} for i, verdict in enumerate(verdicts)]
        judged = {"score": scores, "round_trip": verdicts, "ceiling": self.scorer.judge(trials, real)}
        exhibits = [Exhibit(t, again, score=v["score"]) for t, again, v in zip(trials, rebuilt, verdicts, strict=True)]
        suite = summary(trials, judged, exhibits)
        if self.describe is not None and len(trials) > 1:
            first, second = (self.in_batches(self.describe, images) for images in (real, rebuilt))
            suite.details["score"][FRECHET] = frechet(first, second)
        return suite

    def captioning(self, trials: list[Trial]) -> Suite:
        """A caption for each picture, and for its round trip; the ceiling are the true captions."""
        real, rebuilt = self.pictures(trials)
        captions = {
            "score": self.captions(trials, real),
            "round_trip": self.captions(trials, rebuilt),
            "ceiling": [trial.prompt for trial in trials],
        }
        judged = {kind: judge_captions(trials, texts, self.lexicon) for kind, texts in captions.items()}
        exhibits = [
            Exhibit(trial, again, caption=text, score=verdict["score"])
            for trial, again, text, verdict in zip(trials, rebuilt, captions["score"], judged["score"], strict=True)
        ]
        return summary(trials, judged, exhibits)

    def captions(self, trials: list[Trial], images: np.ndarray) -> list[str]:
        """Captions in the languages that the trials ask for."""
        captions = [""] * len(trials)
        for language in sorted({trial.language for trial in trials}):
            places = [i for i, trial in enumerate(trials) if trial.language == language]
            for some in self.batches(len(places)):
                chosen = [places[i] for i in some]
                for place, text in zip(chosen, self.generator.caption(images[chosen], language), strict=True):
                    captions[place] = text
        return captions

    def pictures(self, trials: list[Trial]) -> tuple[np.ndarray, np.ndarray]:
        """The true pictures and their round trips: (N, H, W, 3) uint8 each."""
        real = np.stack([trial.image for trial in trials])
        parts = [self.generator.reconstruct(real[some.start : some.stop]) for some in self.batches(len(real))]
        return real, np.concatenate(parts)

    def in_batches(self, function: "Callable[..., Tensor]", *images: np.ndarray) -> np.ndarray:
        """Apply a network to some pictures at a time."""
        parts = []
        for some in self.batches(len(images[0])):
            parts.append(
                function(*(to_pixels(array[some.start : some.stop]) for array in images)).float().cpu().numpy()
            )
        return np.concatenate(parts)

    def batches(self, count: int) -> Iterator[range]:
        """Cut ``range(count)`` into batches."""
        return (range(first, min(first + self.batch, count)) for first in range(0, count, self.batch))


def summary(trials: list[Trial], judged: dict[str, list[Verdict]], exhibits: list[Exhibit]) -> Suite:
    """Average the verdicts of each kind."""
    details = {kind: averages(trials, verdicts) for kind, verdicts in judged.items()}
    return Suite(len(trials), details, tuple(exhibits))


def judge_captions(trials: list[Trial], captions: list[str], lexicon: Mapping[str, Collection[str]]) -> list[Verdict]:
    """Does each caption name something that is there ("score"), everything ("all"), which share ("some")?

    "shuffled" asks the same of the next picture's things: what naming common things at random is worth.
    """
    known: dict[str, set[str]] = defaultdict(set, {language: set(words) for language, words in lexicon.items()})
    for trial in trials:
        known[trial.language].update(word for words in trial.words for word in words)
    verdicts = []
    for index, (trial, caption) in enumerate(zip(trials, captions, strict=True)):
        used = words_in(caption, known[trial.language])
        named = [bool(used.intersection(words)) for words in trial.words]
        following = [later for later in trials[index + 1 :] + trials[:index] if later.language == trial.language]
        by_chance = bool(following) and any(used.intersection(words) for words in following[0].words)
        values = {"score": any(named), "all": all(named), "some": sum(named) / len(named), "shuffled": by_chance}
        verdicts.append({name: float(value) for name, value in values.items()})
    return verdicts


def to_pixels(images: np.ndarray) -> "Tensor":
    """(B, H, W, 3) uint8 → (B, 3, H, W) in [-1, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
