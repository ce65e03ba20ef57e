"""Documents that say where things go: by a picture of their edges, or by numbers (arXiv:2309.02591, section 4).

    structure   <user> "a cat along these lines" edges <assistant> picture
    places      "a cat (12 40 60 95), a dog (55 …)" picture: left, top, right and bottom in hundredths of the picture

Edges are a turn of conversation like an instruction, so that ``lantu edit EDGES "a cat along these lines"`` draws them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lantu.data.context import plain_name
from lantu.data.shards import Shards
from lantu.models.lantu import controls
from lantu.recipes.corpus import Corpus
from lantu.recipes.document_sources import Concepts, either_language
from lantu.tokens.document import LANGUAGES, NEXT
from lantu.types import CodeGrid, Document, Role

ALONG = {
    "en": ("{x} along these lines", "draw {x} with these outlines", "fill in the outlines: {x}"),
    "zh": ("沿这些线条画{x}", "按这个轮廓画{x}", "给线稿上色：{x}"),
}
LINES = {"en": "lines", "zh": "线条"}  # what is there, as a plan says it


@dataclass(frozen=True)
class Structure:
    """A picture of edges with a request, and the plan of the picture; or after the plan, the picture.

    Attributes:
        encode: (B, H, W, 3) uint8 → codes (B, h, w).
        planning: share of the documents whose target is the plan; 0 for a model that doesn't plan.
    """

    corpus: Corpus
    shards: Shards
    encode: Callable[[np.ndarray], np.ndarray]
    planning: float

    def __call__(self, index: int, rng: np.random.Generator) -> Document | None:
        caption, language = self.corpus.caption(index, rng)
        if language not in LANGUAGES:
            return None
        lines = controls.lit(controls.edges(self.shards.image(index)))
        edges = CodeGrid(self.encode(lines[None])[0])
        forms = ALONG[language]
        words = forms[rng.integers(len(forms))].format(x=caption)
        if rng.random() < self.planning:
            planned = f"{LINES[language]}{NEXT} {caption}"
            return Document((Role("user"), words, edges, Role("assistant"), Role("plan"), planned), language)
        given = (words, Role("plan"), caption) if self.planning else (words,)
        picture = CodeGrid(self.corpus.grids[index])
        return Document((Role("user"), *given, edges, Role("assistant"), picture), language)


@dataclass(frozen=True)
class Places:
    """The names of the things with their boxes, and the picture."""

    corpus: Corpus
    concepts: Concepts

    def __call__(self, index: int, rng: np.random.Generator) -> Document | None:
        sample, language = self.corpus.samples[index], either_language(rng)
        if not sample.objects:
            return None
        names = [plain_name(self.concepts[one.concept], language) for one in sample.objects]
        boxes = [" ".join(str(round(100 * edge)) for edge in one.box) for one in sample.objects]
        named = [f"{name} ({box})" for name, box in zip(names, boxes, strict=True)]
        text = self.corpus.request((", " if language == "en" else "，").join(named), language, rng)
        return Document((text, CodeGrid(self.corpus.grids[index])), "")
