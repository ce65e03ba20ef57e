"""Runs a generator through trials: what it draws, captions and reconstructs, beside the scores of the true pictures.

Every suite has three numbers: "score" of the generator; "ceiling" of the true pictures under the same judge; and
"round_trip" of the true pictures after picture → codes → picture, which the generator can hardly exceed.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lantu.evaluation.metrics import frechet, mentions, psnr
from lantu.evaluation.results import Exhibit, SuiteResult, Verdict, averages
from lantu.evaluation.scorer import Scorer
from lantu.evaluation.trial import SUITES, Trial
from lantu.tokens.repetition import first_repeat
from lantu.types import Generator

if TYPE_CHECKING:
    from torch import Tensor

FRECHET = "fd_efficientnet_lite0"
HAN = re.compile("[\u3400-\u9fff]")
ENGLISH_WORD = re.compile(r"(?<![A-Za-z])[a-z]{2,}")


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
) -> dict[str, SuiteResult]:
    """Every suite that has trials, in the order of ``SUITES``.

    Args:
        perceptual: pixels in [-1, 1], (B, 3, H, W) twice → (B,) distances, for "lpips" of the reconstructions.
        describe: pixels in [-1, 1], (B, 3, H, W) → (B, S) features, for their Fréchet distance.
        lexicon: language → all words that name a thing, so that "hot dog" does not count as a dog; when None, the words
            of the trials.
        seed: trial i of a suite is drawn from the seed ``seed + i``.
        batch: pictures that the generator is asked for at once.
        shown: exhibits kept of each suite.
        progress: called with the number of trials that are done, and of all.
    """
    examiner = Examiner(generator, scorer, perceptual, describe, lexicon or {}, seed, batch)
    ways = {
        "reconstruction": examiner.reconstruction,
        "caption": examiner.captioning,
        "own_caption": examiner.own_captioning,
    }
    suites, done = {}, 0
    for name in SUITES:
        asked = [trial for trial in trials if trial.suite == name]
        if asked:
            suite = ways.get(name, examiner.drawing)(asked)
            suites[name] = SuiteResult(suite.n, suite.details, suite.exhibits[:shown])
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

    def drawing(self, trials: list[Trial]) -> SuiteResult:
        """A picture for each prompt, judged by its content."""
        real, rebuilt = self.pictures(trials)
        drawn = self.drawn(trials)
        answers = {"score": drawn, "round_trip": rebuilt, "ceiling": real}
        judged = {kind: self.scorer.judge(trials, images) for kind, images in answers.items()}
        exhibits = [
            Exhibit(trial, again, picture, score=verdict["score"])
            for trial, again, picture, verdict in zip(trials, rebuilt, drawn, judged["score"], strict=True)
        ]
        return summary(trials, judged, exhibits)

    def reconstruction(self, trials: list[Trial]) -> SuiteResult:
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

    def captioning(self, trials: list[Trial]) -> SuiteResult:
        """A caption for each picture and for its round trip; the ceiling is that of the true captions."""
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

    def own_captioning(self, trials: list[Trial]) -> SuiteResult:
        """The generator's own drawings, captioned.

        "score": captions from everything that it knows of its drawings (a PNG has their codes); "round_trip": captions
        from their pixels alone; "ceiling": the share of drawings that show what was asked for, under the judge of
        pictures.
        """
        drawn = self.drawn(trials)
        texts = [""] * len(trials)
        for some in self.by_language(trials):
            prompts, seeds = [trials[i].prompt for i in some], [self.seed + i for i in some]
            read = self.generator.caption_drawn(prompts, seeds, trials[some[0]].language)
            for place, text in zip(some, read, strict=True):
                texts[place] = text
        judged = {
            "score": judge_captions(trials, texts, self.lexicon),
            "round_trip": judge_captions(trials, self.captions(trials, np.stack(drawn)), self.lexicon),
            "ceiling": self.scorer.judge(trials, drawn),
        }
        exhibits = [
            Exhibit(trial, picture, picture, caption=text, score=verdict["score"])
            for trial, picture, text, verdict in zip(trials, drawn, texts, judged["score"], strict=True)
        ]
        return summary(trials, judged, exhibits)

    def drawn(self, trials: list[Trial]) -> list[np.ndarray]:
        """A picture for each prompt."""
        drawn: list[np.ndarray] = []
        for some in self.batches(len(trials)):
            drawn.extend(self.generator.draw([trials[i].prompt for i in some], [self.seed + i for i in some]))
        return drawn

    def by_language(self, trials: list[Trial]) -> Iterator[list[int]]:
        """The places of trials in batches of one language."""
        for language in sorted({trial.language for trial in trials}):
            places = [i for i, trial in enumerate(trials) if trial.language == language]
            for some in self.batches(len(places)):
                yield [places[i] for i in some]

    def captions(self, trials: list[Trial], images: np.ndarray) -> list[str]:
        """Captions in the languages that the trials ask for."""
        captions = [""] * len(trials)
        for some in self.by_language(trials):
            read = self.generator.caption(images[some], trials[some[0]].language)
            for place, text in zip(some, read, strict=True):
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


def summary(trials: list[Trial], judged: dict[str, list[Verdict]], exhibits: list[Exhibit]) -> SuiteResult:
    """Average the verdicts of each kind."""
    details = {kind: averages(trials, verdicts) for kind, verdicts in judged.items()}
    return SuiteResult(len(trials), details, tuple(exhibits))


def judge_captions(trials: list[Trial], captions: list[str], lexicon: Mapping[str, Collection[str]]) -> list[Verdict]:
    """Is each caption what a person would call right ("score")?

    That is: it names everything that is there ("all") and no other word of the lexicon ("nothing_else"), says nothing
    twice ("once"), is in the requested language and no other ("in_language"), and ended by itself ("ended"). "named":
    it names anything that is there; "some": the share that it names. "shuffled" applies "named" to the next picture's
    things: the score of naming common things at random.
    """
    known: dict[str, set[str]] = defaultdict(set, {language: set(words) for language, words in lexicon.items()})
    for trial in trials:
        known[trial.language].update(word for words in trial.words for word in words)
    verdicts = []
    for index, (trial, caption) in enumerate(zip(trials, captions, strict=True)):
        used = mentions(caption, known[trial.language])
        named = [not set(used).isdisjoint(words) for words in trial.words]
        following = [later for later in trials[index + 1 :] + trials[:index] if later.language == trial.language]
        by_chance = bool(following) and any(not set(used).isdisjoint(words) for words in following[0].words)
        right = {
            "all": all(named),
            "nothing_else": set(used) <= {word for words in trial.words for word in words},
            "once": first_repeat(caption) is None and said_once(used, trial.words),
            "in_language": in_language(caption, trial.language),
            "ended": getattr(caption, "ended", True),
        }
        values = {"score": all(right.values()), **right, "named": any(named)}
        values |= {"some": sum(named) / len(named), "shuffled": by_chance}
        verdicts.append({name: float(value) for name, value in values.items()})
    return verdicts


def said_once(used: Sequence[str], expected: Sequence[Sequence[str]]) -> bool:
    """Whether no thing is named more often than it occurs."""
    there = Counter(tuple(words) for words in expected)
    return all(sum(word in words for word in used) <= count for words, count in there.items())


def in_language(caption: str, language: str) -> bool:
    """Whether a caption is English without Chinese characters, or Chinese without English words (3D and T恤 may be)."""
    if language == "zh":
        return bool(HAN.search(caption)) and not ENGLISH_WORD.search(caption)
    return not HAN.search(caption)


def to_pixels(images: np.ndarray) -> "Tensor":
    """(B, H, W, 3) uint8 → (B, 3, H, W) in [-1, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
