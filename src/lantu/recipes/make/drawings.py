"""What a model draws, for its report: held-out captions beside the true picture and the nearest training picture.

Shapes: B pictures, H W pixels, M training pictures, F features.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from lantu.evaluation.likeness import Eye
from lantu.evaluation.retrieval import SIDE, scale
from lantu.models.validation import MAX_PROMPT
from lantu.pipeline import Model
from lantu.recipes.pictures import Album, TruePicture, open_eye, stacked
from lantu.recipes.sheets import save_png

PROMPTS, SEEDS = 8, 3  # held-out captions, and drawings of each
NEIGHBOURS, BATCH = 2000, 64  # training pictures among which the nearest one is looked for
SHEET = "drawn.png"  # all of them, a line for each prompt
NOTHING = "a picture"  # the prompt of a model that learnt no captions
LOOKED_AT = 200  # pictures whose captions are looked through


@dataclass(frozen=True)
class Drawn:
    """A prompt, in other words too where there are some, its true picture if there is one, and drawings of it."""

    caption: str
    others: Sequence[str]
    truth: np.ndarray | None
    drawings: Sequence[np.ndarray]


@dataclass(frozen=True)
class Neighbours:
    """Training pictures and their features (M, F)."""

    pictures: Sequence[TruePicture] = ()
    features_MF: np.ndarray = field(default_factory=lambda: np.zeros((0, 1)))

    @classmethod
    def of(cls, eye: Eye, album: Album, deadline: float) -> "Neighbours":
        """As many as there is time for, ``BATCH`` at least and ``NEIGHBOURS`` at most."""
        chosen, parts = album.some(NEIGHBOURS, seed=0, training=True), list[np.ndarray]()
        for first in range(0, len(chosen), BATCH):
            if parts and time.monotonic() > deadline:
                break
            parts.append(eye.pooled(eye.describe(squares(stacked(chosen[first : first + BATCH])))))
        features_MF = np.concatenate(parts)
        return cls(chosen[: len(features_MF)], features_MF)

    def to(self, eye: Eye, pictures: Sequence[np.ndarray]) -> tuple[int, np.ndarray]:
        """The one that is most like any of some pictures by its features, and which of them that is."""
        own_BF = eye.pooled(eye.describe(squares(np.stack(pictures))))
        own_BF, others_MF = (
            each / np.linalg.norm(each, axis=1, keepdims=True).clip(1e-9) for each in (own_BF, self.features_MF)
        )
        alike_BM = own_BF @ others_MF.T
        which, nearest = np.unravel_index(int(alike_BM.argmax()), alike_BM.shape)
        return int(which), self.pictures[int(nearest)].image


def squares(pictures_BHW3: np.ndarray) -> np.ndarray:
    """Pictures as an eye takes them."""
    return np.stack([scale(one, SIDE) for one in pictures_BHW3])


def draw(model: Model, album: Album) -> list[Drawn]:
    """Drawings of captions, beside the true picture; else of ``other_prompts``."""
    asked = album.some(PROMPTS, seed=0, captioned=True, distinct=True)
    return [Drawn(one.prompt, said(one), one.image, drawings(model, one.prompt)) for one in asked] or [
        Drawn(prompt, (), None, drawings(model, prompt)) for prompt in other_prompts(album)
    ]


def drawings(model: Model, prompt: str) -> list[np.ndarray]:
    """Drawings of a prompt."""
    return [np.asarray(model.draw(prompt, seed=seed).image) for seed in range(SEEDS)]


def other_prompts(album: Album) -> list[str]:
    """Captions in other languages, which a model draws but doesn't write; else ``NOTHING``, which says nothing."""
    some = range(min(len(album), LOOKED_AT))
    captions = [texts[0] for index in some for texts in album.shards.sample(index).captions.values() if texts]
    short = [text for text in dict.fromkeys(captions) if text.strip() and len(text) <= MAX_PROMPT]
    return short[:PROMPTS] or [NOTHING]


def example(album: Album) -> str:
    """A prompt that a model of these pictures can draw."""
    known = album.some(1, seed=0, captioned=True)
    return known[0].prompt if known else other_prompts(album)[0]


def title(drawn: Sequence[Drawn], album: Album) -> str:
    """What the drawings are of: a caption may be that of many pictures, and some that it learnt."""
    if [one.caption for one in drawn] == [NOTHING]:
        return "Drawings: it learnt no captions, so no prompt says what to draw"
    return "Drawings of captions of pictures that it " + ("never saw" if album.split == "val" else "learnt")


def said(picture: TruePicture) -> list[str]:
    """The first caption of a picture in each language but that of its prompt."""
    return [texts[0] for language, texts in picture.captions if language != picture.language and texts]


def labelled(number: int, one: Drawn, seed: int, nearest: np.ndarray) -> list[tuple[str, str, np.ndarray]]:
    """Label, file name and picture of all that is shown of a prompt.

    Args:
        seed, nearest: of the drawing that is most like a training picture, and that picture.
    """
    shown = [(f"drawn, seed {each}", f"drawn-{number}-{each}.png", made) for each, made in enumerate(one.drawings)]
    if one.truth is not None:
        shown.append(("the true picture", f"true-{number}.png", one.truth))
    return [*shown, (f"nearest in training, to seed {seed}", f"nearest-{number}.png", nearest)]


def figures(one: Drawn, shown: Sequence[tuple[str, str, np.ndarray]]) -> str:
    """A row of the page."""
    cells = "".join(f"<figure><img src={name}><figcaption>{label}</figcaption></figure>" for label, name, _ in shown)
    others = f" ({escape('; '.join(one.others))})" if one.others else ""
    return f"<p>“{escape(one.caption)}”{others}</p><div class=drawn>{cells}</div>"


def write(drawn: Sequence[Drawn], album: Album, out: Path, deadline: float) -> str:
    """Write the pictures of the section, each prompt's with the training picture that is nearest; returns its HTML.

    Args:
        deadline: on the monotonic clock; then no more training pictures are looked at.
    """
    eye = open_eye(lambda note: None)
    near = Neighbours.of(eye, album, deadline)
    lines, rows = [], ""
    for number, one in enumerate(drawn):
        shown = labelled(number, one, *near.to(eye, one.drawings))
        rows += figures(one, shown)
        for _, name, picture in shown:
            save_png(out / name, picture)
        lines.append(np.concatenate([picture for _, _, picture in shown], 1))
    save_png(out / SHEET, np.concatenate(lines))
    among = (
        f"<p>The nearest is that of {len(near.pictures):,} training pictures, by the features of {eye.name}, which is "
        "most like one of the drawings. Where the two are the same picture, the model has learnt it by heart.</p>"
    )
    return f"<h2>{title(drawn, album)}</h2>{rows}{among}"
