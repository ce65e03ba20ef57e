"""A training set as its own memory: vectors and neighbours of its pictures, made once and kept beside the data.

``memory-<name>-vectors.safetensors`` holds the documents' vectors, ``memory-<name>-near.npy`` what is found for each
picture (``lantu.data.neighbours``). Names are digests of all that decides the content, so that nothing of other data or
settings is ever reused, and a resumed run finds what it began with.

Shapes: M pictures, D axes, S features, W ways to ask, K found for each.
"""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from lantu import images
from lantu.data.memory_bank import MemoryBank, align, embed, rarity, same, unit
from lantu.data.neighbours import NOTHING, Asking, neighbours
from lantu.data.retrieval import WIDTH
from lantu.data.shards import Shards, read_index
from lantu.errors import DataError
from lantu.evaluation.likeness import Eye, NetworkEye, PlainEye
from lantu.evaluation.retrieval import SIDE
from lantu.files import locked, replacing
from lantu.recipes.codes import Tokenizer, codes_of, load_tokenizer
from lantu.types import Sample

SEEN = 64  # pictures that are looked at together
REMEMBERED = 10_000  # pictures of a model directory's bank, unless another number is asked for

Looks = Literal["network", "plain", "none"]
Progress = Callable[[int, int], None]
Vectors = dict[str, np.ndarray]


class Memory:
    """What may be found for each picture of a training set.

    Args:
        shards: the training pictures.
        samples: their descriptions.
        grids: their codes (h, w).
        codes: digest of the tokenizer that made these.
        looks: how pictures are looked at: by the "network" of evaluation, by colours and edges ("plain"), or not at
            all ("none").

    Raises:
        DataError: there are no captions, or the network can't be had.
        DiskError: the files can't be written.
    """

    def __init__(self, shards: Shards, samples: Sequence[Sample], grids: Any, codes: str, looks: Looks, how: Asking):
        self.samples, self.grids, self.how = samples, grids, how
        made = vectors_of(shards, samples, looks)
        self.bank = MemoryBank(made["documents"], made["rarity"], lambda number: captions_of(samples[number]), grids)

        def search() -> np.ndarray:
            pictures = made.get("looks")
            return neighbours(made["documents"], pictures, made["rarity"], samples, grids, how)

        key = digest_of(shards.folder, looks, codes, asdict(how))
        self.near_MWK = kept_array(shards.folder / f"memory-{key}-near.npy", search)

    def found(self, index: int, count: int, rng: np.random.Generator) -> list[int]:
        """Up to ``count`` different pictures for a picture of the set, a random choice of its neighbours."""
        candidates = np.unique(self.near_MWK[index])
        chosen: list[int] = []
        for number in rng.permutation(candidates[candidates != NOTHING]).tolist():
            if len(chosen) == count:
                break
            if not any(self.alike(number, other) for other in chosen):
                chosen.append(number)
        return chosen

    def alike(self, first: int, second: int) -> bool:
        """Whether one of two pictures says nothing beside the other."""
        near = float(self.bank.vectors_MD[first] @ self.bank.vectors_MD[second]) > self.how.nearest
        return near or same(np.asarray(self.grids[first]), np.asarray(self.grids[second]), self.how.same)


def write_bank(
    data: str | Path,
    tokenizer: str | Path | Tokenizer,
    folder: Path,
    looks: Looks = "network",
    most: int = REMEMBERED,
) -> MemoryBank:
    """Write the memory bank of a data folder's training pictures as a part of a model directory.

    Args:
        tokenizer: whose codes the model reads: a run, a model, or the tokenizer itself.
        most: pictures at most; of more, every so many of them is remembered.

    Raises:
        DataError: there is no data, it has no captions, or the vision network can't be had.
        DiskError: it can't be written.
    """
    if isinstance(tokenizer, str | Path):
        tokenizer = load_tokenizer(tokenizer)
    shards = Shards(data, "train")
    samples = [shards.sample(number) for number in range(len(shards))]
    grids, made = codes_of(data, tokenizer, "train"), vectors_of(shards, samples, looks)
    said = [number for number, sample in enumerate(samples) if captions_of(sample)]
    chosen = np.array(said)[np.unique(np.linspace(0, len(said) - 1, min(most, len(said))).astype(int))]
    chosen_grids = [np.asarray(grids[number]) for number in chosen.tolist()]
    bank = MemoryBank(
        made["documents"][chosen],
        made["rarity"],
        lambda number: captions_of(samples[int(chosen[number])]),
        chosen_grids,
        tokenizer.codes_digest(),
    )
    bank.save(folder, tokenizer.codebook_size)
    return MemoryBank.load(folder)


def vectors_of(shards: Shards, samples: Sequence[Sample], looks: Looks) -> Vectors:
    """The vectors of a data folder's documents (M, D), of their pictures alone ("looks"), and the words' rarity (D)."""
    from safetensors.numpy import load_file, save_file

    path = shards.folder / f"memory-{digest_of(shards.folder, looks)}-vectors.safetensors"
    with locked(path.with_name(f".{path.stem}.lock")):
        if not path.exists():
            made = make_vectors(shards, samples, looks)
            with replacing(path) as temporary:
                save_file(made, temporary)
    try:
        return load_file(path)
    except (OSError, ValueError) as problem:
        raise DataError(f"{path} can't be read ({problem})", "delete it, and it is made anew") from problem


def make_vectors(shards: Shards, samples: Sequence[Sample], looks: Looks) -> Vectors:
    """``vectors_of``, computed."""
    rare_D = rarity(map(captions_of, samples))
    nothing_D = np.zeros(WIDTH, np.float32)
    said = [captions_of(sample) for sample in samples]
    texts_MD = np.stack([unit(embed(texts, rare_D).mean(0)) if texts else nothing_D for texts in said])
    if looks == "none":
        return {"documents": texts_MD, "rarity": rare_D}
    pictures_MD = align(features_of(shards, eye_of(looks)), texts_MD)
    return {"documents": unit(texts_MD + pictures_MD), "looks": pictures_MD, "rarity": rare_D}


def features_of(shards: Shards, eye: Eye) -> np.ndarray:
    """(M, S) float32: what an eye sees in each picture; the pictures are read from their shards a few at a time."""
    seen = []
    for first in range(0, len(shards), SEEN):
        some = [shards.image(number) for number in range(first, min(first + SEEN, len(shards)))]
        squares = [np.asarray(images.fit(Image.fromarray(one), SIDE, SIDE)) for one in some]
        seen.append(eye.pooled(eye.describe(np.stack(squares))))
    return np.concatenate(seen)


def eye_of(looks: Looks) -> Eye:
    """Raises DataError where the vision network can't be had."""
    if looks == "plain":
        return PlainEye()
    from lantu.features.efficientnet import load_efficientnet

    try:
        return NetworkEye(load_efficientnet())
    except DataError as problem:
        hint = f"{problem.hint}; or do without: --set looks=plain"
        raise DataError(problem.message, hint) from problem


def captions_of(sample: Sample) -> list[str]:
    """All captions of a picture, in all languages."""
    return list(itertools.chain.from_iterable(texts for _, texts in sorted(sample.captions.items())))


def digest_of(data: Path, looks: Looks, *others: Any) -> str:
    """A name for what is made of some data in some way: 12 hex digits."""
    facts = ("2", read_index(data)["digest"], looks, WIDTH, *others)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


def kept_array(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """An array that is kept in a file, mapped; made and written where it is missing.

    Raises:
        DataError: the file is damaged.
        DiskError: it can't be written.
    """
    with locked(path.with_name(f".{path.stem}.lock")):
        if not path.exists():
            made = make()
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, made)
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError) as problem:
        raise DataError(f"{path} can't be read ({problem})", "delete it, and it is made anew") from problem
