"""What is drawn here? The nearest drawing of a gallery, by the features of a vision network.

A crop is described in three parts: the network's map at a 16th of the side, pooled to 3 × 3, its last map pooled to 2 ×
2, and the crop's own colours at 8 × 8. Coarse maps rather than one average, since most drawings keep their pose.

Shapes: B crops, M drawings of the gallery, S features, H W pixels, R side of a crop.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lantu.errors import DataError
from lantu.evaluation.foreground import Box, box_of
from lantu.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 128  # pixels that a crop is scaled to for the network
SEEN_AT = 72  # pixels that a thing usually has on a picture: the gallery is first scaled to so many
MARGIN = 0.1
WEIGHTS = {"middle": 1.0, "last": 1.0, "colours": 0.5}
OPAQUE = 40
BATCH = 32

Parts = dict[str, np.ndarray]  # (B, S) float32 each, S of its own


class Network(Protocol):
    """The parts of a vision network that are used; ``features.efficientnet`` has them."""

    def maps(self, pixels_BCHW: "Tensor") -> "Tensor":
        """Pixels in [-1, 1] → a map at a 16th of the side."""
        ...

    def deep(self, maps: "Tensor") -> "Tensor":
        """That map → the last map."""
        ...


@dataclass(frozen=True)
class Guess:
    """The nearest drawing to a crop, and the cosine of the two."""

    concept: str
    style: str
    similarity: float


class Retrieval:
    """A gallery that can be searched.

    Args:
        network: describes the crops; the same that made ``parts``.
        parts: descriptions of the M drawings.
        labels: (concept, style) of each drawing.
        weights: of each part.
    """

    def __init__(
        self,
        network: Network,
        parts: Parts,
        labels: Sequence[tuple[str, str]],
        weights: Mapping[str, float] = WEIGHTS,
    ):
        self.network, self.parts, self.labels, self.weights = network, parts, list(labels), weights
        self.concepts = np.array([concept for concept, _ in labels])
        self.means = {name: part.mean(0) for name, part in parts.items()}
        self.vectors_MS = self.join(parts)

    @classmethod
    def from_sprites(
        cls,
        network: Network,
        labels: Sequence[tuple[str, str]],
        sprite: Callable[[str, str], np.ndarray],
        cache: Path | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> "Retrieval":
        """Describe each drawing of a gallery, or read the descriptions that an earlier call left in ``cache``.

        Args:
            labels: (concept, style) of each drawing.
            sprite: (concept, style) → (H, W, 4) uint8 RGBA.
            cache: a folder; None to keep nothing.
            progress: called with the number of drawings that are done, and of all.

        Raises:
            DataError: there are no drawings.
            DiskError: the cache can't be written.
        """
        from safetensors.numpy import load_file, save_file

        if not labels:
            raise DataError("the gallery to compare with is empty", "build it again")
        path = cache / f"retrieval-{fingerprint(labels, sprite)}.safetensors" if cache else None
        if path and path.exists():
            return cls(network, load_file(path), labels)
        batches = []
        for first in range(0, len(labels), BATCH):
            crops = [sprite_crop(sprite(*label)) for label in labels[first : first + BATCH]]
            batches.append(describe(network, np.stack(crops)))
            progress(min(first + BATCH, len(labels)), len(labels))
        parts = {name: np.concatenate([batch[name] for batch in batches]) for name in WEIGHTS}
        if path:
            with replacing(path) as temporary:
                save_file(parts, temporary)
        return cls(network, parts, labels)

    def compare(self, crops: np.ndarray) -> np.ndarray:
        """Cosines of each crop with each drawing: (B, R, R, 3) uint8 → (B, M) float32."""
        batches = [crops[first : first + BATCH] for first in range(0, len(crops), BATCH)]
        return np.concatenate([self.join(describe(self.network, batch)) @ self.vectors_MS.T for batch in batches])

    def nearest(self, cosines_M: np.ndarray, concept: str | None = None) -> Guess:
        """The nearest of all drawings, or the nearest of one concept."""
        if concept is not None:
            cosines_M = np.where(self.concepts == concept, cosines_M, -np.inf)
        best = int(cosines_M.argmax())
        return Guess(*self.labels[best], float(cosines_M[best]))

    def join(self, parts: Parts) -> np.ndarray:
        """Centre each part on the gallery's mean, weigh it, and concatenate to vectors of length 1: (B, S)."""
        joined = []
        for name, weight in self.weights.items():
            part = parts[name] - self.means[name]
            part /= np.linalg.norm(part, axis=1, keepdims=True) + 1e-6
            joined.append(part * np.sqrt(weight / sum(self.weights.values())))
        return np.concatenate(joined, 1)


def describe(network: Network, crops: np.ndarray) -> Parts:
    """(B, R, R, 3) uint8 → the three parts of each crop, flattened."""
    import torch
    from torch.nn.functional import adaptive_avg_pool2d as pool

    with torch.inference_mode():
        pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
        middle = network.maps(pixels)
        pooled = {"middle": pool(middle, 3), "last": pool(network.deep(middle), 2), "colours": pool(pixels, 8)}
    return {name: part.float().flatten(1).contiguous().numpy() for name, part in pooled.items()}


def crop(image: np.ndarray, mask: np.ndarray, box: Box) -> np.ndarray:
    """Cut a thing out and centre it on a white square with a margin: (H, W, 3) uint8 → (R, R, 3) uint8.

    Args:
        mask: (H, W) bool: the pixels of the thing; the others become white.
    """
    x0, y0, x1, y1 = box
    side = round(max(x1 - x0, y1 - y0) * (1 + MARGIN))
    square = np.full((side, side, 3), 255, np.uint8)
    left, top = (side - (x1 - x0)) // 2, (side - (y1 - y0)) // 2
    inside = np.where(mask[y0:y1, x0:x1, None], image[y0:y1, x0:x1], 255)
    square[top : top + y1 - y0, left : left + x1 - x0] = inside
    return scale(square, SIDE)


def sprite_crop(sprite: np.ndarray) -> np.ndarray:
    """A drawing of the gallery as ``crop`` would cut it out of a picture: (H, W, 4) uint8 RGBA → (R, R, 3) uint8."""
    mask = sprite[..., 3] > OPAQUE
    box = box_of(mask) if mask.any() else (0, 0, *mask.shape[::-1])
    alpha = sprite[..., 3:] / 255
    on_white = np.round(sprite[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return scale(scale(crop(on_white, np.ones_like(mask), box), SEEN_AT), SIDE)


def scale(image: np.ndarray, side: int) -> np.ndarray:
    """To ``side`` × ``side`` pixels."""
    from PIL import Image

    return np.array(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def fingerprint(labels: Sequence[tuple[str, str]], sprite: Callable[[str, str], np.ndarray]) -> str:
    """A name for this gallery under this description: any label changes it, and nearly any drawing."""
    digest = hashlib.sha256(repr((SIDE, SEEN_AT, MARGIN, sorted(WEIGHTS))).encode())
    for label in labels:
        digest.update(repr(label).encode() + sprite(*label)[8::16, 8::16].tobytes())
    return digest.hexdigest()[:16]
