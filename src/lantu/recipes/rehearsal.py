"""A model's own drawings as a data folder: what it can draw, to be rehearsed while it learns more, and measured after.

Generative replay (arXiv:1705.08690): data that a model was trained on is often gone, but the model draws its like. The
codes are kept beside the pictures as they were drawn, not as the tokenizer would read them.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lantu.data.account import Note
from lantu.data.codes import keep_codes
from lantu.data.shards import SHARD, Shards, read_index
from lantu.data.writer import Job, Picture, write_data
from lantu.engine.seeds import derive_seeds
from lantu.errors import DataError, LantuError
from lantu.evaluation.prompts import read_prompts
from lantu.models.lantu.folder import LantuFolder
from lantu.models.spec import Size
from lantu.pipeline import Model
from lantu.recipes.identity import codes_digest
from lantu.recipes.pictures import DRAWINGS, own_data, usable
from lantu.tokens.prompts import HAN
from lantu.tokens.words import CHINESE, ENGLISH, Lexicon
from lantu.types import Sample

HELD_OUT = 10  # one in so many drawings is kept for validation
BATCH = 16
PAIRS = 0.5  # share of prompts with two things, where a model was taught names of things


@dataclass(frozen=True)
class Drawn:
    """Some drawings with their prompts, numbered from ``start``."""

    prompts: Sequence[str]
    images: Sequence[np.ndarray]
    start: int

    def pictures(self, notes: list[Note]) -> Iterator[Picture]:
        for number, (prompt, image) in enumerate(zip(self.prompts, self.images, strict=True), self.start):
            language = "zh" if HAN.search(prompt) else "en"
            yield number, Sample(f"drawing-{number:05d}", "picture", {language: (prompt,)}), image


def build_drawings(
    source: str | Path | None,
    out: str | Path,
    count: int = 200,
    prompts: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Let a model draw prompts that it knows, and keep drawings, prompts and codes as data.

    Args:
        source: of the model: a folder, a name or a hub id.
        out: the data folder; if it holds the same drawings already, nothing is drawn.
        count: drawings in all, a tenth of them for validation.
        prompts: a file of prompts, see ``evaluation.prompts``; by default those that ``known_prompts`` finds.
        progress: called with (drawings done, in all).

    Raises:
        DataError: nothing says what the model can draw, or ``out`` holds other data.
        LantuError: it is a model of another family, or none of its pictures are square.
    """
    model, out = Model.load(source, device), Path(out)
    folder, side = model.folder, square_of(model.sizes)
    if not isinstance(folder, LantuFolder) or not side:
        raise LantuError(f"{model.name} can't be rehearsed", "give a model of lantu's own that draws square pictures")
    texts = [one.text for one in read_prompts(prompts)] if prompts else known_prompts(model, count, seed)
    texts = [texts[place % len(texts)] for place in range(count)]
    settings = {"path": str(folder.path.resolve()), "size": side, "model": model.digest, "drawings": count}
    settings |= {"seed": seed}
    digest = hashlib.sha256(json.dumps([settings, texts], sort_keys=True).encode()).hexdigest()[:16]
    header = {"source": DRAWINGS, "size": side, "settings": settings, "digest": digest}
    if is_there(out, digest):
        return out
    images, codes = drawings(model, (side, side), texts, seed, progress)
    held = np.arange(count) % HELD_OUT == HELD_OUT - 1
    places = {"train": np.flatnonzero(~held), "val": np.flatnonzero(held)}
    jobs = [
        Job(out, split, shard, Drawn([texts[i] for i in some], [images[i] for i in some], start))
        for split, chosen in places.items()
        for shard, start in enumerate(range(0, len(chosen), SHARD))
        if (some := chosen[start : start + SHARD].tolist())
    ]
    write_data(out, header, jobs, count, workers=1)
    name = codes_digest(folder.path / "tokenizer")[:12]
    keep_codes(out, name, {split: codes[chosen] for split, chosen in places.items() if len(chosen)})
    return out


def is_there(out: Path, digest: str) -> bool:
    """Whether a folder holds these drawings, with their codes."""
    try:
        index = read_index(out)
    except DataError:
        return False
    return index["digest"] == digest and bool(index["splits"]) and any(out.glob("codes-*-train.npy"))


def square_of(sizes: Sequence[Size]) -> int:
    """The side of the square among the sizes of training pictures; 0 where there is none."""
    return next((width for width, height in sizes if width == height), 0)


def drawings(
    model: Model, size: Size, texts: Sequence[str], seed: int, progress: Callable[[int, int], None]
) -> tuple[list[np.ndarray], np.ndarray]:
    """The drawings, (H, W, 3) uint8 each, and their codes (M, h, w)."""
    seeds, images, codes = derive_seeds(seed, len(texts)), list[np.ndarray](), list[np.ndarray]()
    for first in range(0, len(texts), BATCH):
        some = slice(first, first + BATCH)
        for picture in model.draw_all(texts[some], seeds[some], size=size, batched=True):
            images.append(np.asarray(picture.image))
            codes.append(picture.codes)
        progress(len(images), len(texts))
    return images, np.stack(codes)


def known_prompts(model: Model, count: int, seed: int) -> list[str]:
    """Prompts that a model was taught: captions of its data if they are still there, else by the words that it lists.

    Raises:
        DataError: it lists none.
    """
    rng: Any = np.random.default_rng((seed, 5))
    try:
        data = own_data(model.folder)
    except DataError:
        data = None
    if data is not None and (found := captions(data, count, rng)):
        return found
    lexicon = Lexicon.load(model.folder.path)
    found = spoken(lexicon, count, rng) if lexicon else []
    if not found:
        hint = "give some in a file, one a line: --prompts FILE"
        raise DataError(f"{model.name} doesn't say which prompts it can draw", hint)
    return found


def captions(data: Path, count: int, rng: Any) -> list[str]:
    """A caption each of some training pictures."""
    shards = Shards(data, "train")
    found = []
    for index in rng.permutation(len(shards))[: 4 * count].tolist():
        if its := usable(shards.sample(index)):
            texts = its[rng.integers(len(its))][1]
            found.append(texts[rng.integers(len(texts))])
        if len(found) == count:
            break
    return found


def spoken(lexicon: Lexicon, count: int, rng: Any) -> list[str]:
    """Prompts of the things that a model was taught, alone or two side by side; of single words if it lists no things.

    Half of them are Chinese.
    """
    things = [entry for entry in lexicon.emoji.values() if len(entry) == 5]
    if not things:
        words = sorted(lexicon.english - ENGLISH) + sorted(lexicon.chinese - CHINESE)
        return [words[place] for place in rng.permutation(len(words))[:count].tolist()]
    found = []
    for number in range(count):
        (_, zh, en, _, measure), (_, other_zh, other_en, _, other_measure) = (
            things[place] for place in rng.choice(len(things), 2, replace=len(things) < 2)
        )
        if rng.random() < PAIRS:
            english = f"{en} on the left and {other_en} on the right"
            chinese = f"左边一{measure}{zh}，右边一{other_measure}{other_zh}"
        else:
            english, chinese = en, f"一{measure}{zh}"
        found.append(chinese if number % 2 else english)
    return found
