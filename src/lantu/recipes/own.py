"""Scores of a model on a user's own pictures, whose content is known from their captions only.

codes            how well the language model predicts the codes of true pictures
reconstruction   picture → codes → picture
drawing          pictures drawn by captions of pictures that it did not see, compared with those by features
caption          its captions of true pictures, compared with their own
variety          how far drawings of one caption are apart (``lantu.recipes.variety``)

Shapes: B pictures, H W pixels, h w grid, n = h·w codes of a picture.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Unpack

import numpy as np

from lantu.engine.sampling_params import Overrides
from lantu.errors import DataError
from lantu.evaluation.likeness import Eye, Likeness
from lantu.evaluation.metrics import frechet, psnr
from lantu.evaluation.results import Exhibit, SuiteResult, Verdict
from lantu.evaluation.suites import summary, to_pixels
from lantu.evaluation.trial import OWN, Trial
from lantu.pipeline import Model
from lantu.recipes.generator import ModelGenerator
from lantu.recipes.moving import MOVES, worst_fall
from lantu.recipes.pace import Pace
from lantu.recipes.pictures import EACH, REFERENCES, Album, TruePicture, alone, judge_of, known, open_eye, stacked
from lantu.recipes.variety import variety
from lantu.tokens.document import draw_prefix

BATCH, SHOWN = 8, 8
CAPTIONED = {"drawing", "caption", "variety"}  # suites that need captions
SMALLEST = 64  # LPIPS needs at least so many pixels a side
WORDS = re.compile("[\u3400-\u9fff]|[^\\W_\u3400-\u9fff]+")


def evaluate_own(
    model: Model,
    album: Album,
    suites: Sequence[str] | None,
    limit: int,
    seed: int,
    note: Callable[[str], None],
    progress: Callable[[int, int], None],
    minutes: float | None = None,
    **overrides: Unpack[Overrides],
) -> dict[str, SuiteResult]:
    """The suites of ``OWN``, in their order; those that need captions only if there are some.

    Args:
        album: of the pictures.
        minutes: about so many; slow suites then take fewer pictures than ``limit``, which ``note`` is told.
        note: called with a line for everything that is left out, or differs.

    Raises:
        DataError: an unknown suite, or a named one needs captions and there are none.
    """
    if unknown := sorted(set(suites or ()) - set(OWN)):
        raise DataError(f"no suite for your own pictures is called {unknown[0]}", f"choose from {', '.join(OWN)}")
    exam = Exam(model, album, limit, seed, note, overrides, minutes)
    chosen = [name for name in OWN if suites is None or name in suites]
    if album.split != "val":
        note(f"no picture of {album.folder} was kept for validation: these scores are from training pictures")
    if not exam.captioned and CAPTIONED.intersection(chosen):
        if suites is not None:
            raise DataError(
                f"no picture of {album.folder} has a caption that can be a prompt",
                "name suites that need none: --suites codes,reconstruction",
            )
        note(f"no captions in {album.folder}: drawings and captions are not scored")
        chosen = [name for name in chosen if name not in CAPTIONED]
    ways = {
        "codes": exam.codes,
        "reconstruction": exam.reconstruction,
        "drawing": exam.drawing,
        "caption": exam.captioning,
        "variety": lambda: variety(exam),
    }
    scores = {}
    for number, name in enumerate(chosen, 1):
        scores[name] = ways[name]()
        progress(number, len(chosen))
    return scores


@dataclass(frozen=True)
class Exam:
    """One model and one album; the arguments are those of ``evaluate_own``."""

    model: Model
    album: Album
    limit: int
    seed: int
    note: Callable[[str], None]
    overrides: Overrides = field(default_factory=Overrides)
    minutes: float | None = None

    @cached_property
    def generator(self) -> ModelGenerator:
        """The model as a generator."""
        return ModelGenerator(self.model, **self.overrides)

    @cached_property
    def pictures(self) -> list[TruePicture]:
        """The pictures of "reconstruction" and "codes"."""
        return self.album.some(self.limit, self.seed)

    @cached_property
    def captioned(self) -> list[TruePicture]:
        """The pictures of "drawing" and "caption"."""
        return self.album.some(self.limit, self.seed, captioned=True)

    @cached_property
    def pace(self) -> Pace:
        """How many pictures of the slow suites there is time for."""
        some = self.captioned or self.pictures
        return Pace.of(self.generator, some, self.minutes, captions=bool(self.captioned))

    def affordable(self, suite: str, pictures: list[TruePicture]) -> list[TruePicture]:
        """The pictures that there is time for in a slow suite; ``note`` is told if they are fewer."""
        count = self.pace.pictures(suite, len(pictures))
        if count < len(pictures):
            self.note(f"{suite}: {count} pictures instead of {len(pictures)} in {self.minutes:g} minutes")
        return pictures[:count]

    @cached_property
    def eye(self) -> Eye:
        """Describes pictures for the comparisons."""
        return open_eye(self.note)

    def codes(self) -> SuiteResult:
        """How well the codes of true pictures are predicted after their captions.

        "score" is the share of codes that are the most likely of all. Details of the score: "nats", the mean
        cross-entropy of a code among all codes; "nats_uncaptioned", without the caption; "nats_uniform", of a uniform
        distribution. A model that has learnt the scale of guidance that it draws with is asked after the token of that
        scale: so it draws.
        """
        pictures, model = self.pictures, self.model
        encode, vocabulary = model.parts.text.encode, model.parts.vocabulary
        grids = self.album.codes(pictures, model.folder)
        grids = self.generator.encode(stacked(pictures)) if grids is None else grids
        height, width = grids.shape[1:]
        usual = model.folder.settings.change(**self.overrides).guidance
        guidance = usual if usual in model.parts.guidance_scales else None
        prefixes = [draw_prefix(encode(one.prompt), height, width, vocabulary, guidance) for one in pictures]
        bare = [draw_prefix([], height, width, vocabulary)] * len(pictures)
        ids = vocabulary.codes_to_ids(grids.reshape(len(grids), -1).astype(np.int64))
        nats, right = self.expected(prefixes, ids)
        uniform = np.log(vocabulary.codebook_size / vocabulary.depth)
        details = {"nats": float(nats.mean()), "nats_uniform": float(uniform)}
        if any(one.prompt for one in pictures):
            details["nats_uncaptioned"] = float(self.expected(bare, ids)[0].mean())
        judged = {"score": {"score": float(right.mean())} | details, "round_trip": {"score": 1.0}}
        # Codes of one picture hang together, so a picture counts once, by its share.
        error = float(right.mean(1).std(ddof=1) / len(pictures) ** 0.5) if len(pictures) > 1 else None
        return SuiteResult(len(pictures), judged | {"ceiling": {"score": 1.0}}, error=error)

    def expected(self, prefixes: list[list[int]], ids_Bn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The cross-entropy of each code in nats, and whether it is the most likely: (B, n) each."""
        import torch

        from lantu.recipes.next_token import code_logits, prefixed_codes

        vocabulary, nats, right = self.model.parts.vocabulary, [], []
        codes = vocabulary.code_range
        for first in range(0, len(ids_Bn), BATCH):
            some = slice(first, first + BATCH)
            rows = prefixed_codes(prefixes[some], ids_Bn[some], vocabulary.special("pad"))
            wanted = torch.from_numpy(vocabulary.ids_to_codes(ids_Bn[some]))
            with torch.inference_mode():
                logits_BnK = code_logits(self.network, rows, ids_Bn.shape[1], codes).log_softmax(-1)
            nats.append(-logits_BnK.gather(-1, wanted[..., None])[..., 0].numpy())
            right.append((logits_BnK.argmax(-1) == wanted).numpy())
        return np.concatenate(nats), np.concatenate(right)

    @cached_property
    def network(self) -> Any:
        """The language model on torch, which computes the logits of all positions at once."""
        from lantu.models.lantu.language.model import load

        return load(self.model.folder.path / "language").eval()

    def reconstruction(self) -> SuiteResult:
        """Is each round trip still nearest, by features, to its own picture?

        With PSNR, LPIPS and Fréchet distance; of some pictures also by how much PSNR falls where they are moved.
        """
        pictures = self.affordable("reconstruction", self.pictures)
        real = stacked(pictures)
        rebuilt = self.rebuilt(pictures)
        references = self.album.references(pictures, max(REFERENCES, len(pictures)), EACH, self.seed)
        judge = Likeness(self.eye, stacked(references), [alone(one) for one in references])
        asked = [alone(one) for one in pictures]
        verdicts = judge.judge(rebuilt, asked)
        measured = {"psnr": psnr(real, rebuilt)} | self.perceptual(rebuilt, real)
        scores = [verdict | {k: float(v[i]) for k, v in measured.items()} for i, verdict in enumerate(verdicts)]
        judged = {"score": scores, "round_trip": verdicts, "ceiling": judge.judge(real, asked)}
        suite = self.summary("reconstruction", pictures, judged, rebuilt)
        some = real[: max(1, len(real) // MOVES)]  # as many round trips again
        if (fall := worst_fall(self.generator.reconstruct, some, self.model.folder.patch)) is not None:
            suite.details["score"]["moved_db"] = fall
        self.add_frechet(suite, judge, {"score": rebuilt}, real)
        return suite

    def drawing(self) -> SuiteResult:
        """Is each drawing nearest, by features, to true pictures of its caption?"""
        pictures = self.affordable("drawing", self.captioned)
        real, rebuilt = stacked(pictures), self.rebuilt(pictures)
        drawn = []
        for first in range(0, len(pictures), BATCH):
            prompts = [one.prompt for one in pictures[first : first + BATCH]]
            drawn.append(self.generator.draw(prompts, [self.seed + first + i for i in range(len(prompts))]))
        answers = {"score": np.concatenate(drawn), "round_trip": rebuilt, "ceiling": real}
        judge = judge_of(self.album, pictures, self.eye, self.seed)
        judged = {kind: judge.judge(images, [known(one) for one in pictures]) for kind, images in answers.items()}
        suite = self.summary("drawing", pictures, judged, rebuilt, answers["score"])
        self.add_frechet(suite, judge, {"score": answers["score"], "round_trip": rebuilt}, real)
        suite.details["score"]["captions"] = float(len(judge.captions))
        return suite

    def captioning(self) -> SuiteResult:
        """Is each caption nearer, by words, to its picture's caption than to any other?"""
        pictures = self.affordable("caption", self.captioned)
        answers = {
            "score": self.read(pictures, stacked(pictures)),
            "round_trip": self.read(pictures, self.rebuilt(pictures)),
            "ceiling": [one.prompt for one in pictures],
        }
        judged = {kind: judge_words(pictures, texts) for kind, texts in answers.items()}
        return self.summary("caption", pictures, judged, self.rebuilt(pictures), texts=answers["score"])

    def read(self, pictures: list[TruePicture], images: np.ndarray) -> list[str]:
        """The model's caption of each picture, in the language of its prompt."""
        texts = [""] * len(pictures)
        for language in sorted({one.language for one in pictures}):
            places = [place for place, one in enumerate(pictures) if one.language == language]
            for place, text in zip(places, self.generator.caption(images[places], language), strict=True):
                texts[place] = text
        return texts

    def rebuilt(self, pictures: list[TruePicture]) -> np.ndarray:
        """Picture → codes → picture."""
        real = stacked(pictures)
        parts = [self.generator.reconstruct(real[first : first + BATCH]) for first in range(0, len(real), BATCH)]
        return np.concatenate(parts)

    @cached_property
    def lpips(self) -> Callable[..., Any] | None:
        """The perceptual distance; None, which ``note`` is told, where its network can't be had."""
        from lantu.features.lpips import load_lpips

        try:
            return load_lpips("alex")
        except DataError as problem:
            self.note(f"LPIPS is left out: {problem}")
            return None

    def perceptual(self, rebuilt: np.ndarray, real: np.ndarray) -> dict[str, np.ndarray]:
        """LPIPS of each pair of pictures, if its network can be had."""
        import torch
        from torch.nn.functional import interpolate

        if (distance := self.lpips) is None:
            return {}
        values = []
        scale = max(1.0, SMALLEST / min(real.shape[1:3]))
        with torch.inference_mode():
            for first in range(0, len(real), BATCH):
                pair = [to_pixels(images[first : first + BATCH]) for images in (rebuilt, real)]
                values.append(distance(*(interpolate(one, scale_factor=scale) if scale > 1 else one for one in pair)))
        return {"lpips_alexnet": torch.cat(values).numpy()}

    def add_frechet(self, suite: SuiteResult, judge: Likeness, kinds: dict[str, np.ndarray], real: np.ndarray) -> None:
        """Add the Fréchet distances of some kinds of pictures from the true ones; none for fewer than two pictures."""
        if len(real) > 1:
            true = judge.pooled(real)
            for kind, images in kinds.items():
                suite.details[kind][f"fd_{self.eye.name}"] = frechet(true, judge.pooled(images))

    def summary(
        self,
        name: str,
        pictures: list[TruePicture],
        judged: dict[str, list[Verdict]],
        rebuilt: np.ndarray,
        drawn: np.ndarray | None = None,
        texts: Sequence[str] | None = None,
    ) -> SuiteResult:
        """The averages of a suite, and its first trials to look at."""
        read = name != "reconstruction"  # whose averages are not divided by the language of captions
        trials = [Trial(name, one.prompt, one.language if read else "en", (), one.image, one.key) for one in pictures]
        exhibits = [
            Exhibit(
                trial,
                rebuilt[place],
                None if drawn is None else drawn[place],
                texts[place] if texts else "",
                judged["score"][place]["score"],
            )
            for place, trial in enumerate(trials[:SHOWN])
        ]
        return summary(trials, judged, exhibits)


def judge_words(pictures: Sequence[TruePicture], texts: Sequence[str]) -> list[Verdict]:
    """Is each text nearer to its picture's captions than to those of any other picture?

    "overlap" is its similarity to its own: F1 of the words (Chinese: characters) with the most similar caption.
    """
    by_language = {
        language: {captions for one in pictures if (captions := dict(one.captions).get(language))}
        for language in {one.language for one in pictures}
    }
    verdicts = []
    for one, text in zip(pictures, texts, strict=True):
        own = dict(one.captions)[one.language]
        mine = likest(text, own)
        theirs = max((likest(text, other) for other in by_language[one.language] if other != own), default=0.0)
        verdicts.append({"score": float(mine > theirs), "overlap": mine})
    return verdicts


def likest(text: str, captions: Sequence[str]) -> float:
    """The F1 of the words of a text with the most similar caption."""
    return max(overlap(words(text), words(caption)) for caption in captions)


def words(text: str) -> Counter[str]:
    """Words, and each Chinese character alone."""
    return Counter(WORDS.findall(text.lower()))


def overlap(first: Counter[str], second: Counter[str]) -> float:
    """F1 of two bags of words; 0 if either is empty."""
    both = (first & second).total()
    return 2 * both / (first.total() + second.total()) if both else 0.0
