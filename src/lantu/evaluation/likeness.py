"""How like the true picture of its caption is a drawing? A judge for pictures of any kind that needs no gallery.

A picture is described by features and compared with reference pictures of known captions. It agrees with its caption if
the nearest reference has that caption. Colours and edges are compared where no vision network is available.

Shapes: B pictures, M references, S features, H W pixels, R side that pictures are described at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lantu.evaluation.results import Verdict
from lantu.evaluation.retrieval import BATCH, SIDE, WEIGHTS, Network, Parts, describe, scale

CELLS, DIRECTIONS = 4, 8  # of the histograms of edges
COLOURS = 8  # cells a side of the colours


class Eye(Protocol):
    """Describes pictures by features.

    Attributes:
        name: as reports call it.
        weights: of each part of a description.
    """

    name: str
    weights: Mapping[str, float]

    def describe(self, pictures: np.ndarray) -> Parts:
        """(B, R, R, 3) uint8 → the parts of each description, (B, S) float32."""
        ...

    def pooled(self, parts: Parts) -> np.ndarray:
        """The features of the Fréchet distance, (B, S)."""
        ...


class NetworkEye:
    """Coarse maps of a vision network, and colours: see ``lantu.evaluation.retrieval``."""

    name = "efficientnet_lite0"
    weights: Mapping[str, float] = WEIGHTS

    def __init__(self, network: Network):
        self.network = network

    def describe(self, pictures: np.ndarray) -> Parts:
        return describe(self.network, pictures)

    def pooled(self, parts: Parts) -> np.ndarray:
        last = parts["last"]
        return last.reshape(len(last), -1, 4).mean(-1)  # the last map was kept at 2 × 2


class PlainEye:
    """Colours at 8 × 8 and histograms of edges' directions at 4 × 4 (HOG: Dalal and Triggs, 2005), in NumPy alone."""

    name = "colours_and_edges"
    weights: Mapping[str, float] = {"edges": 1.0, "colours": 0.5}

    def describe(self, pictures: np.ndarray) -> Parts:
        count, side = pictures.shape[:2]
        pixels = pictures.astype(np.float32) / 127.5 - 1
        cell = side // COLOURS
        colours = pixels.reshape(count, COLOURS, cell, COLOURS, cell, 3).mean((2, 4))
        grey = pixels.mean(-1)
        down, right = np.gradient(grey, axis=(1, 2))
        strength = np.hypot(down, right)
        bins = (np.arctan2(down, right) % np.pi / np.pi * DIRECTIONS).astype(int) % DIRECTIONS
        cell = side // CELLS
        edges = np.stack([np.where(bins == each, strength, 0) for each in range(DIRECTIONS)], -1)
        edges = np.sqrt(edges.reshape(count, CELLS, cell, CELLS, cell, DIRECTIONS).mean((2, 4)))
        return {"edges": edges.reshape(count, -1), "colours": colours.reshape(count, -1)}

    def pooled(self, parts: Parts) -> np.ndarray:
        return np.concatenate([parts["edges"], parts["colours"]], 1)


@dataclass(frozen=True)
class Known:
    """The identity and the caption of a picture.

    Attributes:
        key: of the picture.
        caption: any value that stands for its caption; equal values mean the same caption.
    """

    key: str
    caption: object


class Likeness:
    """Compares pictures with references.

    Args:
        eye: describes the pictures and the references.
        pictures: the M references, (M, H, W, 3) uint8.
        known: of each reference.
    """

    def __init__(self, eye: Eye, pictures: np.ndarray, known: Sequence[Known]):
        self.eye, self.known = eye, list(known)
        parts = self.parts(pictures)
        self.means = {name: part.mean(0) for name, part in parts.items()}
        self.vectors_MS = self.join(parts)
        captions: dict[object, list[int]] = {}
        for place, one in enumerate(self.known):
            captions.setdefault(one.caption, []).append(place)
        self.captions = captions

    def parts(self, pictures: np.ndarray) -> Parts:
        """The description of each picture, of any size."""
        batches = []
        for first in range(0, len(pictures), BATCH):
            some = pictures[first : first + BATCH]
            batches.append(self.eye.describe(np.stack([scale(picture, SIDE) for picture in some])))
        return {name: np.concatenate([batch[name] for batch in batches]) for name in self.eye.weights}

    def join(self, parts: Parts) -> np.ndarray:
        """Centre each part on the references' mean, weigh it, and concatenate to vectors of length 1: (B, S)."""
        joined, total = [], sum(self.eye.weights.values())
        for name, weight in self.eye.weights.items():
            part = parts[name] - self.means[name]
            part = part / (np.linalg.norm(part, axis=1, keepdims=True) + 1e-6)
            joined.append(part * np.sqrt(weight / total))
        return np.concatenate(joined, 1)

    def judge(self, pictures: np.ndarray, known: Sequence[Known]) -> list[Verdict]:
        """Whether each picture agrees with the caption that it was drawn by.

        "score": the nearest reference has its caption. "nearer": the share of references of other captions that it is
        less near to than to its own; 0.5 is chance. A picture's own original is no reference if another picture has the
        same caption: an original would find itself.
        """
        cosines_BM = self.join(self.parts(pictures)) @ self.vectors_MS.T
        return [self.verdict(cosines_M, one) for cosines_M, one in zip(cosines_BM, known, strict=True)]

    def verdict(self, cosines_M: np.ndarray, asked: Known) -> Verdict:
        """The verdict on one picture."""
        own = self.captions.get(asked.caption, [])
        own = [place for place in own if self.known[place].key != asked.key] or own
        others = [cosines_M[places].max() for caption, places in self.captions.items() if caption != asked.caption]
        if not own or not others:
            return {"score": float(bool(own)), "nearer": float(bool(own))}
        nearest, theirs = cosines_M[own].max(), np.array(others)
        nearer = np.mean(nearest > theirs) + np.mean(nearest == theirs) / 2
        return {"score": float(nearest > theirs.max()), "nearer": float(nearer)}

    def distance(self, pictures: np.ndarray, true: np.ndarray) -> np.ndarray:
        """The distance of each picture from its original: one minus the cosine, (B,)."""
        return 1 - (self.join(self.parts(pictures)) * self.join(self.parts(true))).sum(1)

    def pooled(self, pictures: np.ndarray) -> np.ndarray:
        """The features of the Fréchet distance, (B, S)."""
        return self.eye.pooled(self.parts(pictures))
