"""Batches of pictures, alone or with their codes, each of one shape.

They can be made in other processes (``lantu.training.batches``). Shapes: B batch, C channels, H W pixels, h w grid.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lantu.data.grids import Grids
from lantu.data.order import BatchOrder, groups, in_turn
from lantu.data.shards import Shards
from lantu.errors import RecipeError
from lantu.images import fitted, to_tensor
from lantu.images.shapes import scaled
from lantu.recipes.augment import flatten, move, tint


@dataclass(frozen=True)
class Changes:
    """Random changes of training pictures; see ``TokenizerRecipe``."""

    moved: int = 0
    tinted: float = 0.0
    plain: float = 0.0

    def __call__(self, pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """The changed pictures."""
        pixels_BCHW = tint(pixels_BCHW, self.tinted, generator) if self.tinted else pixels_BCHW
        pixels_BCHW = move(pixels_BCHW, self.moved, generator) if self.moved else pixels_BCHW
        return flatten(pixels_BCHW, self.plain, generator) if self.plain else pixels_BCHW


class PictureBatches:
    """Pictures (B, C, H, W) in [-1, 1], of about the area of a square of ``size``.

    Args:
        data: their folder.
        size: pixels a side of squares.
        patch: the sides of other shapes are multiples of it.
        changes: of training pictures.
        beside, share: another data folder, and its share of each batch; its pictures are cropped to the shape of the
            others.

    Raises:
        DataError: there is no data.
        RecipeError: ``beside`` is missing.
    """

    def __init__(
        self, data: Path, size: int, patch: int, seed: int, changes: Changes, beside: str = "", share: float = 0.0
    ):
        self.size, self.patch, self.seed, self.changes = size, patch, seed, changes
        self.train, self.val = Shards(data, "train"), Shards(data, "val", or_empty=True)
        self.order = BatchOrder(self.train.shapes, seed)
        self.beside, self.share = None, share
        if share:
            if not beside:
                raise RecipeError("no data to mix in", "name its folder: --set beside=DIR")
            self.beside, self.val_beside = Shards(beside, "train"), Shards(beside, "val", or_empty=True)
            self.order_beside = BatchOrder(self.beside.shapes, seed + 1)

    def shape(self, shards: Shards, index: int) -> tuple[int, int]:
        """Height and width at which a picture is learnt."""
        height, width = shards.shapes[index].tolist()
        return scaled((height, width), shards.size, self.size, self.patch)

    def batch(self, step: int, size: int) -> Tensor:
        """The ``step``-th training batch; pictures of ``beside`` are at random places in it."""
        generator = torch.Generator().manual_seed(hash_of(self.seed, step, size))
        count = round(size * self.share) if self.beside else 0
        if self.beside and count in (0, size):  # the batch is too small to be divided
            before, alone = turns(step, self.share)
            shards = self.beside if alone else self.train
            chosen = self.order_beside.batch(before, size) if alone else self.order.batch(step - before, size)
            pixels = fitted(to_tensor(shards.images(chosen.tolist())), *self.shape(shards, int(chosen[0])))
            return self.changes(pixels, generator)
        chosen = self.order.batch(step, size - count)
        shape = self.shape(self.train, int(chosen[0]))
        pixels = fitted(to_tensor(self.train.images(chosen.tolist())), *shape)
        if self.beside and count:
            others = self.order_beside.batch(step, count).tolist()
            pixels = torch.cat([pixels, fitted(to_tensor(self.beside.images(others)), *shape)])
            pixels = pixels[torch.randperm(size, generator=generator)]
        return self.changes(pixels, generator)

    def validation(self, number: int, size: int) -> Tensor | None:
        """The ``number``-th validation batch; pictures of ``beside`` are mixed in by its share. None after the last."""
        count = round(size * self.share) if self.beside else 0
        count = 0 if count == size else count
        parts = [(self.val, size - count), *([(self.val_beside, count)] if count else [])]
        found = [(shards, in_turn(shards.shapes, number, many)) for shards, many in parts if many]
        found = [(shards, chosen) for shards, chosen in found if len(chosen)]
        if not found:
            return None
        shape = self.shape(found[0][0], int(found[0][1][0]))
        return torch.cat([fitted(to_tensor(shards.images(chosen.tolist())), *shape) for shards, chosen in found])

    def squares(self, count: int) -> Tensor:
        """The first ``count`` training pictures of the order, or all if there are fewer, as squares, unchanged."""
        sizes = [round(count * len(group) / self.order.total) for group in self.order.groups]
        found = []
        for group, order, many in zip(self.order.groups, self.order.orders, sizes, strict=True):
            if many:
                chosen = group[order.indices(0, min(many, len(group)))]
                found.append(fitted(to_tensor(self.train.images(chosen.tolist())), self.size, self.size))
        return torch.cat(found)


def turns(step: int, share: float) -> tuple[int, bool]:
    """Where a share of the batches is of another kind: how many of the first ``step`` were, and whether this one is."""
    before = int(step * share)
    return before, int((step + 1) * share) > before


class Coded(NamedTuple):
    """Pictures (B, C, H, W) in [-1, 1] and their codes (B, h, w)."""

    pixels: Tensor
    codes: Tensor


class CodedBatches:
    """Pictures with their codes.

    Args:
        data: their folder.
        grids: split → codes, see ``lantu.recipes.codes.codes_of``.
        patch: pixels a side for one code.
        canvas: rows and columns of cells of each picture whose codes are a sequence; None where they are a grid.
        depth: codes of a cell.
        rehearsed, share: another data folder, and its share of the pictures: of each batch, or of the batches where
            there are several shapes. Its codes are ``grids["rehearsed"]``.
    """

    def __init__(
        self,
        data: Path,
        grids: dict[str, Any],
        patch: int,
        seed: int,
        rehearsed: Path | None = None,
        share: float = 0.0,
        canvas: tuple[int, int] | None = None,
        depth: int = 1,
    ):
        self.canvas, self.depth = canvas, depth
        self.grids, self.patch, self.share = grids, patch, share if rehearsed else 0.0
        self.shards = {"train": Shards(data, "train"), "val": Shards(data, "val", or_empty=True)}
        self.order = BatchOrder(self.shards["train"].shapes, seed)
        if rehearsed:
            self.shards["rehearsed"] = Shards(rehearsed, "train")
            self.order_rehearsed = BatchOrder(self.shards["rehearsed"].shapes, seed + 1)
        self.shaped = any(shards.shaped for shards in self.shards.values())

    @property
    def portable(self) -> bool:
        """Whether it can be sent to other processes: not where codes are made on demand."""
        return all(isinstance(grids, np.ndarray | Grids) for grids in self.grids.values())

    def __getstate__(self) -> dict[str, Any]:
        """The files of codes in place of their content."""
        return {**vars(self), "grids": {split: stored(grids) for split, grids in self.grids.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({**state, "grids": {split: opened(grids) for split, grids in state["grids"].items()}})

    def load(self, split: str, indices: np.ndarray) -> Coded:
        """Pictures of a split, all of one shape."""
        codes_Bhw = self.grids[split][indices].astype(np.int64)
        rows, columns = codes_Bhw.shape[1:]
        height, width = (side * self.patch for side in self.canvas or (rows, columns // self.depth))
        pixels = fitted(to_tensor(self.shards[split].images(indices.tolist())), height, width)
        return Coded(pixels, torch.from_numpy(codes_Bhw))

    def batch(self, step: int, size: int) -> Coded:
        """The ``step``-th training batch."""
        count = round(size * self.share)
        if self.share and (self.shaped or count in (0, size)):
            before, alone = turns(step, self.share)
            if alone:
                return self.load("rehearsed", self.order_rehearsed.batch(before, size))
            return self.load("train", self.order.batch(step - before, size))
        new = self.load("train", self.order.batch(step, size - count))
        if not count:
            return new
        old = self.load("rehearsed", self.order_rehearsed.batch(step, count))
        return Coded(*map(torch.cat, zip(old, new, strict=True)))

    def validation(self, number: int, size: int) -> Coded | None:
        """The ``number``-th validation batch; None after the last."""
        indices = in_turn(self.shards["val"].shapes, number, size)
        return self.load("val", indices) if len(indices) else None


def stored(grids: Any) -> Any:
    """The file that codes are in; the codes themselves where they are in none."""
    rows = grids.rows if isinstance(grids, Grids) else grids
    return Path(str(rows.filename)) if isinstance(rows, np.memmap) else grids


def opened(grids: Any) -> Any:
    """The codes of a file."""
    if not isinstance(grids, Path):
        return grids
    rows = np.load(grids, mmap_mode="r")
    return rows if rows.ndim == 3 else Grids(rows)


def check_one_shape(shards: Shards, recipe: str) -> None:
    """Refuse pictures of several shapes. Raises RecipeError."""
    if shards.shaped:
        what = f"the pictures in {shards.folder} have {len(groups(shards.shapes))} shapes, {recipe} learns squares"
        raise RecipeError(what, "build the data with --aspect crop")


def hash_of(*numbers: int) -> int:
    """A seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
