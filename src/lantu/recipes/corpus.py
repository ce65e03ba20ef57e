"""What a language model is trained on: the pictures of a data folder as codes, and their captions.

Shapes: M pictures, h w grid.
"""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lantu.data.asking import ask
from lantu.data.order import Order, groups
from lantu.data.shards import Shards
from lantu.data.styles import STYLES, naming
from lantu.errors import RecipeError
from lantu.recipes.captions import learnable
from lantu.recipes.codes import codes_of
from lantu.recipes.picture_batches import check_one_shape
from lantu.tokens.bpe import TextCodec
from lantu.tokens.document import LANGUAGES, to_ids
from lantu.tokens.vocabulary import Vocabulary
from lantu.types import Document


class Pictures:
    """The training and validation pictures of a data folder, and the codes of one of the two.

    Args:
        tokenizer: a ``lantu.recipes.codes.Tokenizer``.
        split: of those whose codes are wanted, "train" or "val".

    Attributes:
        shards: the pictures of the split.
        val: the validation pictures, of which there may be none.
        grids: (M, h, w) codes of the split's pictures.
        all_grids: height and width in codes of the pictures of each shape, the most frequent first.
        grid: the first of them.
        samples: descriptions of the split's pictures.
        order: in which they are trained on.
    """

    def __init__(self, data: Path, tokenizer: Any, seed: int, split: str = "train"):
        self.val = Shards(data, "val", or_empty=True)
        self.shards = Shards(data, "train") if split == "train" else self.val
        self.grids = self.load(data, tokenizer, split)
        firsts = [self.grids[int(group[0])] for group in groups(self.shards.shapes)]
        self.all_grids: list[tuple[int, int]] = list(dict.fromkeys((len(codes), len(codes[0])) for codes in firsts))
        self.grid = self.all_grids[0]
        self.order = Order(len(self.shards), seed)
        self.samples = [self.shards.sample(index) for index in range(len(self.shards))]

    def load(self, data: Path, tokenizer: Any, split: str) -> Any:
        """The codes (M, h, w) of the pictures, made where they are missing."""
        return codes_of(data, tokenizer, split)

    def texts(self) -> Iterator[str]:
        """Every caption, once."""
        yield from sorted({text for sample in self.samples for texts in sample.captions.values() for text in texts})


class Corpus:
    """Pictures with captions that a model's text tokenizer has encoded.

    Args:
        longest: ids of a caption at most; longer ones are cut.
        asked: share of captions that are worded as requests.
        single, counted, named: shares, see ``LanguageRecipe``.

    Attributes:
        samples: of the pictures, with captions that have room.
        longest: see above.
        notes: lines that say which captions were cut, or only teach drawing.
    """

    def __init__(
        self,
        pictures: Pictures,
        codec: TextCodec,
        vocabulary: Vocabulary,
        longest: int,
        asked: float,
        seed: int,
        single: float = 0.0,
        counted: float = 0.0,
        named: float = 0.0,
    ):
        self.pictures, self.codec, self.vocabulary, self.asked, self.seed = pictures, codec, vocabulary, asked, seed
        self.longest, self.single, self.counted, self.named = longest, single, counted, named
        self.grids, self.grid, self.order = pictures.grids, pictures.grid, pictures.order
        self.samples, self.notes = learnable(pictures.samples, codec, longest)
        self.encode = lru_cache(maxsize=1 << 19)(codec.encode)
        if single and not self.singles:
            raise RecipeError("the data has no pictures of one known thing", "leave them out: --set single=0")
        if counted and not self.multiples:
            raise RecipeError("the data has no pictures of several of one thing", "leave them out: --set counted=0")
        if single or counted:
            check_one_shape(pictures.shards, "a share of pictures of one thing, or of several of one")

    @cached_property
    def multiples(self) -> list[int]:
        """Indices of the pictures that show several of one thing."""
        return [index for index, sample in enumerate(self.samples) if sample.kind == "count"]

    @cached_property
    def singles(self) -> list[int]:
        """Indices of the pictures that show one thing."""
        return [index for index, sample in enumerate(self.samples) if len(sample.objects) == 1]

    def picture(self, index: int, rng: np.random.Generator) -> int:
        """The index, or (by their shares) that of a picture of one thing, or of several of one thing."""
        if not self.single and not self.counted:
            return index
        chance = rng.random()
        if chance < self.single:
            return int(rng.choice(self.singles))
        return int(rng.choice(self.multiples)) if chance < self.single + self.counted else index

    def caption(self, index: int, rng: np.random.Generator, other: bool = False) -> tuple[str, str]:
        """A random caption of a picture, and its language; "" if it has none.

        Args:
            other: also in languages that the model doesn't write.
        """
        known = self.samples[index].captions.items()
        captions = {name: texts for name, texts in known if texts and (other or name in LANGUAGES)}
        if not captions:
            return "", ""
        language = sorted(captions)[rng.integers(len(captions))]
        texts = captions[language]
        if self.named and rng.random() < self.named:
            texts = self.naming(index, language) or texts
        return texts[rng.integers(len(texts))], language

    def naming(self, index: int, language: str) -> list[str]:
        """The captions of a picture that name its style; none if it has several styles."""
        sample = self.samples[index]
        styles = {one.style for one in sample.objects} & set(STYLES)
        texts = sample.captions[language] if len(styles) == 1 else ()
        return [text for text in texts for style in styles if naming(style, language).search(text)]

    def request(self, caption: str, language: str, rng: np.random.Generator) -> str:
        """A caption, or (by the share ``asked``) a request for its picture."""
        return ask(caption, language, rng) if language in LANGUAGES and rng.random() < self.asked else caption

    def ids(self, document: Document) -> tuple[np.ndarray, np.ndarray]:
        """(N,) ids of a document, and (N,) the index of the part that each belongs to."""
        return to_ids(document, self.vocabulary, self.encode)
