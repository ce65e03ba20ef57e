"""Pictures with exactly known content: single drawings and composed scenes. Shapes: H W pixels."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lantu.data.anywhere import anywhere
from lantu.data.backgrounds import ALL, BACKGROUNDS, paint
from lantu.data.captions import Content, captions
from lantu.data.gallery import Gallery
from lantu.data.heldout import held_out
from lantu.data.layouts import LAYOUTS, Box, Layout
from lantu.errors import DataError
from lantu.types import Placed, Sample

SPLITS = ("train", "val", "heldout")
PLACEMENTS = ("slots", "anywhere")
WHITE, WHITE_ANYWHERE = 0.55, 0.4  # share of scenes on white
TRIES = 100  # attempts at a layout, and at other layouts
RIM = 0.04  # margin on each side, as a share of the slot's side


class Composer:
    """Composes scenes from a gallery.

    Args:
        gallery: the drawings.
        size: pixels a side.
        snap: drawings start and end on multiples of 1/snap of the picture; slots off these multiples stay as they are.
            0 moves each drawing by a few random pixels instead.
        seed: another seed, other scenes.
        styles: of the gallery's, those to use; all when None.
        placement: "slots" of ``layouts``, or "anywhere", with a random layout for each scene and more backgrounds;
            ``snap`` has no effect then.

    Raises:
        DataError: there is no such placement.
    """

    def __init__(
        self,
        gallery: Gallery,
        size: int = 128,
        snap: int = 8,
        seed: int = 0,
        styles: Sequence[str] | None = None,
        placement: str = "slots",
    ):
        if placement not in PLACEMENTS:
            raise DataError(f"no placement is called {placement!r}", f"choose from {', '.join(PLACEMENTS)}")
        self.gallery, self.size, self.snap, self.seed, self.placement = gallery, size, snap, seed, placement
        self.styles = tuple(styles or gallery.styles)
        self.concepts = tuple(gallery.concepts)
        self.shares = np.cumsum([share for share, _ in LAYOUTS])
        # In slots the same few sizes recur; anywhere, hardly one does.
        self._drawing = lru_cache(maxsize=8192 if placement == "slots" else 64)(self._resized)

    def sample(self, split: str, index: int) -> tuple[Sample, np.ndarray]:
        """Scene ``index`` of a split: its description, and the picture (H, W, 3) uint8.

        A pure function of seed, split and index. "train" and "val" contain nothing that is held out; every scene of
        "heldout" does.
        """
        rng = np.random.default_rng((self.seed, SPLITS.index(split), index))
        layout, concepts, style = self.plan(split, rng)
        names, white = (list(ALL), WHITE_ANYWHERE) if self.placement == "anywhere" else (list(BACKGROUNDS), WHITE)
        background = names[0] if rng.random() < white else names[rng.integers(1, len(names))]
        boxes = [self.move(slot, rng) for slot in layout.slots]
        objects = tuple(Placed(concept, style, box) for concept, box in zip(concepts, boxes, strict=True))
        content = Content(
            layout.relation, tuple(self.gallery.concepts[concept] for concept in concepts), style, background
        )
        kind = "count" if layout.same else "single" if len(objects) == 1 else "scene"
        sample = Sample(f"{split}-{index:07d}", kind, captions(content, rng), objects, background)
        return sample, self.compose(objects, background)

    def plan(self, split: str, rng: np.random.Generator) -> tuple[Layout, list[str], str]:
        """A layout, concepts for its slots and a style that belong to the split.

        Raises:
            DataError: the gallery has hardly any.
        """
        for _ in range(TRIES):
            layout = self.layout(rng)
            for _ in range(TRIES):
                if chosen := self.choose(layout, split, rng):
                    return layout, *chosen
        raise DataError(f"no scene for the split {split!r}", "use more concepts or styles")

    def layout(self, rng: np.random.Generator) -> Layout:
        """A random layout."""
        if self.placement == "anywhere":
            return anywhere(rng)
        return LAYOUTS[int(np.searchsorted(self.shares, rng.random() * self.shares[-1]))][1]

    def choose(self, layout: Layout, split: str, rng: np.random.Generator) -> tuple[list[str], str] | None:
        """Concepts for the slots and a style, or None if they don't belong to the split."""
        style = self.styles[rng.integers(len(self.styles))]
        count = 1 if layout.same else len(layout.slots)
        if count > len(self.concepts):
            return None
        concepts = [self.concepts[number] for number in rng.choice(len(self.concepts), count, replace=False)]
        if not all(self.gallery.has(concept, style) for concept in concepts):
            return None
        if (split == "heldout") != held_out(concepts, style):
            return None
        return concepts * (len(layout.slots) if layout.same else 1), style

    def move(self, slot: Box, rng: np.random.Generator) -> Box:
        """The box itself; with ``snap`` 0 a slot of ``layouts`` moved by up to a sixteenth of the picture."""
        if self.snap or self.placement == "anywhere":
            return slot
        x0, y0, x1, y1 = slot
        dx, dy = rng.uniform(-1 / 16, 1 / 16, 2)
        dx, dy = np.clip(dx, -x0, 1 - x1), np.clip(dy, -y0, 1 - y1)
        return float(x0 + dx), float(y0 + dy), float(x1 + dx), float(y1 + dy)

    def compose(self, objects: Sequence[Placed], background: str) -> np.ndarray:
        """Lay drawings over a background: (H, W, 3) uint8."""
        picture = paint(background, self.size).copy()
        for placed in objects:
            x0, y0, x1, y1 = (round(edge * self.size) for edge in placed.box)
            side = min(x1 - x0, y1 - y0)
            rim = round(side * RIM)
            y0, x0, side = y0 + rim, x0 + rim, side - 2 * rim
            part = picture[y0 : y0 + side, x0 : x0 + side]
            drawing, keep = self._drawing(placed.concept, placed.style, side)
            part *= keep
            part += drawing
        return np.clip(picture + 0.5, 0, 255).astype(np.uint8)

    def _resized(self, concept: str, style: str, side: int) -> tuple[np.ndarray, np.ndarray]:
        """A drawing premultiplied with its alpha (S, S, 3), and what it lets through (S, S, 1), both float32."""
        from PIL import Image

        sprite = Image.fromarray(np.asarray(self.gallery.sprite(concept, style)), "RGBA").convert("RGBa")
        drawing = np.asarray(sprite.resize((side, side), Image.Resampling.LANCZOS), np.float32)
        return drawing[..., :3], 1 - drawing[..., 3:] / 255
