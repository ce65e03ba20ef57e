"""True pictures of a data folder with their captions, and a judge that knows them.

A model of any data is scored with them, and the settings that it draws best with are chosen.

Shapes: H W pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lantu import images
from lantu.data.codes import are_there, load_codes
from lantu.data.shards import Shards, read_index
from lantu.errors import DataError
from lantu.evaluation.likeness import Eye, Known, Likeness, NetworkEye, PlainEye
from lantu.files import cache_dir
from lantu.models.lantu.folder import LantuFolder
from lantu.models.validation import MAX_PROMPT
from lantu.recipes.identity import codes_digest
from lantu.tokens.document import LANGUAGES
from lantu.types import Sample

DRAWINGS = "drawings"  # the source of data that a model drew (``lantu.recipes.rehearsal``)
ORDER = ("val", "train")  # the first of these splits that has a picture is used
LOOKED_AT = 4000  # the most descriptions that are read in search of references
REFERENCES, EACH = 128, 4  # the most pictures that a drawing is compared with, in all and of one caption

PLACE = ("folder", "digest", "source")  # entries of a model's index about its data that are no settings of it

Captions = tuple[tuple[str, tuple[str, ...]], ...]  # language and captions, in a fixed order


@dataclass(frozen=True, eq=False)
class TruePicture:
    """A picture of the data.

    Attributes:
        key: unique among all pictures of the data.
        image: (H, W, 3) uint8.
        captions: those that can be prompts.
        prompt: one of them; "" if there is none.
        language: of the prompt; "en" if there is none.
    """

    key: str
    image: np.ndarray
    captions: Captions
    prompt: str
    language: str


class Album:
    """The pictures of a data folder that are kept for validation; the training pictures if there are none.

    Args:
        folder: that ``lantu data build`` wrote.
        size: width and height that pictures are scaled and cropped to.

    Raises:
        DataError: there is no data, or no picture in it.
    """

    def __init__(self, folder: str | Path, size: tuple[int, int]):
        self.folder, self.size = Path(folder), size
        counts = {split: entry["count"] for split, entry in read_index(folder)["splits"].items()}
        found = next((split for split in ORDER if counts.get(split)), None)
        if found is None:
            raise DataError(f"no pictures in {folder}", "build the data, or name another folder")
        self.split = found
        self.shards = Shards(folder, self.split)
        self.training = self.shards if self.split == "train" or not counts.get("train") else Shards(folder, "train")

    def __len__(self) -> int:
        return len(self.shards)

    def some(
        self, count: int, seed: int, captioned: bool = False, distinct: bool = False, training: bool = False
    ) -> list[TruePicture]:
        """``count`` pictures, or all if there are fewer, chosen by the seed.

        Args:
            captioned: only pictures with a caption.
            distinct: pictures with different captions come first.
            training: training pictures.
        """
        shards = self.training if training else self.shards
        chosen: list[TruePicture] = []
        again: list[int] = []
        met: set[Captions] = set()
        rng = np.random.default_rng((seed, 1))
        for index in rng.permutation(len(shards)).tolist():
            captions = usable(shards.sample(index))
            if captioned and not captions:
                continue
            if distinct and captions in met:
                again.append(index)
                continue
            met.add(captions)
            chosen.append(self.picture(shards, index, captions, seed))
            if len(chosen) == count:
                return chosen
        more = again[: count - len(chosen)]
        return chosen + [self.picture(shards, index, usable(shards.sample(index)), seed) for index in more]

    def references(self, asked: Sequence[TruePicture], count: int, each: int, seed: int) -> list[TruePicture]:
        """Pictures to compare with: the requested ones, then training pictures, at most ``each`` per caption."""
        chosen, met = list(asked), {one.key for one in asked}
        having: dict[Captions, int] = {}
        for key, captions, index in self.candidates(seed):
            if len(chosen) >= count:
                break
            if captions and key not in met and having.get(captions, 0) < each:
                having[captions] = having.get(captions, 0) + 1
                chosen.append(self.picture(self.training, index, captions, seed))
        return chosen

    def candidates(self, seed: int) -> Iterator[tuple[str, Captions, int]]:
        """Key, captions and index of training pictures, in random order."""
        order = np.random.default_rng((seed, 2)).permutation(len(self.training))
        for index in order[:LOOKED_AT].tolist():
            yield f"{self.training.split}/{index}", usable(self.training.sample(index)), index

    def like(self, captions: Captions, count: int, seed: int) -> list[TruePicture]:
        """At most ``count`` pictures with the very same captions."""
        found = []
        for shards in dict.fromkeys((self.shards, self.training)):
            order = np.random.default_rng((seed, 2)).permutation(len(shards))
            for index in order[:LOOKED_AT].tolist():
                if len(found) == count:
                    return found
                if usable(shards.sample(index)) == captions:
                    found.append(self.picture(shards, index, captions, seed))
        return found

    def codes(self, pictures: Sequence[TruePicture], model: LantuFolder) -> np.ndarray | None:
        """The codes (B, h, w) that were kept with a model's own drawings; None where the pictures have to be read."""
        if read_index(self.folder).get("source") != DRAWINGS:
            return None
        name = codes_digest(model.path / "tokenizer")[:12]
        if not are_there(self.folder, name, self.split):
            return None
        kept = load_codes(self.folder, name, self.split)
        return kept[[int(one.key.partition("/")[2]) for one in pictures]]

    def picture(self, shards: Shards, index: int, captions: Captions, seed: int) -> TruePicture:
        """A picture of a split; its prompt depends only on the seed and its index."""
        prompt, language = "", "en"
        if captions:
            rng = np.random.default_rng((seed, 3, index))
            language, texts = captions[rng.integers(len(captions))]
            prompt = texts[rng.integers(len(texts))]
        image = shards.image(index)
        if image.shape[1::-1] != self.size:
            image = np.asarray(images.fit(Image.fromarray(image), *self.size))
        return TruePicture(f"{shards.split}/{index}", image, captions, prompt, language)


def stacked(pictures: Sequence[TruePicture]) -> np.ndarray:
    """(B, H, W, 3) uint8."""
    return np.stack([one.image for one in pictures])


def usable(sample: Sample) -> Captions:
    """The captions of a picture that can be prompts, in a fixed order."""
    kept = {
        language: tuple(text for text in sample.captions.get(language, ()) if text.strip() and len(text) <= MAX_PROMPT)
        for language in LANGUAGES
    }
    return tuple((language, texts) for language, texts in kept.items() if texts)


def known(picture: TruePicture) -> Known:
    """A picture as the judge of captions knows it."""
    return Known(picture.key, picture.captions or picture.key)


def alone(picture: TruePicture) -> Known:
    """A picture that is like nothing but itself: for round trips."""
    return Known(picture.key, picture.key)


def judge_of(album: Album, asked: Sequence[TruePicture], eye: Eye, seed: int) -> Likeness:
    """A judge that knows the requested pictures, and other training pictures to tell them from."""
    references = album.references(asked, max(REFERENCES, len(asked)), EACH, seed)
    return Likeness(eye, np.stack([one.image for one in references]), [known(one) for one in references])


def open_eye(note: Callable[[str], None]) -> Eye:
    """The vision network, or, if it can't be had, colours and edges, which ``note`` is called about."""
    try:
        from lantu.features.efficientnet import load_efficientnet

        return NetworkEye(load_efficientnet())
    except (DataError, ImportError) as problem:
        note(f"colours and edges are compared, for the vision network is missing: {problem}")
        return PlainEye()


def is_own(index: dict[str, Any]) -> bool:
    """Whether data is a user's own pictures: only scenes are composed from a gallery."""
    return not index.get("gallery")


def origin(data: str | Path) -> dict[str, Any]:
    """The entry of a model's index about its training data.

    Scenes can be composed anew from their settings; a user's own pictures have to be found again.

    Raises:
        DataError: there is no data.
    """
    index = read_index(data)
    if not is_own(index):
        return index["settings"]
    place = {"folder": str(Path(data).resolve()), "digest": index["digest"], "source": index.get("source", "folder")}
    return {**index["settings"], **place}


def changed(folder: LantuFolder, data: Path) -> list[str]:
    """A line where the pictures in a folder are others than those that a model was trained on; else none."""
    before = folder.index["data"].get("digest")  # unknown to older models
    if before in (None, read_index(data)["digest"]):
        return []
    return [f"the pictures in {data} have changed since {folder.name} was trained on them"]


def own_data(folder: LantuFolder) -> Path | None:
    """The folder of the pictures that a model was trained on; None if they were composed scenes, or are unknown.

    Raises:
        DataError: the pictures are no longer there.
    """
    recorded = folder.index.get("data")
    if not isinstance(recorded, dict) or "world" in recorded or not isinstance(recorded.get("path"), str):
        return None
    settings = {name: value for name, value in recorded.items() if name not in PLACE}
    # 0.1 did not record the folder; it is usually the default of `lantu data build folder`.
    places = [recorded["folder"]] if isinstance(recorded.get("folder"), str) else []
    places.append(str(cache_dir() / "data" / f"{Path(recorded['path']).stem}-{recorded.get('size')}"))
    for place in places:
        try:
            there = read_index(place)["settings"]
        except DataError:
            continue
        if isinstance(there, dict) and all(there.get(name) == value for name, value in settings.items()):
            return Path(place)
    raise DataError(
        f"the pictures that {folder.name} was trained on are no longer in {places[0]}",
        f"give their folder: --data DIR, or build them again: lantu data build folder {recorded['path']}",
    )
