"""A palette: pixels → the nearest of K colours, and back, scaled to the size that is served.

Its folder has a config.json (``colours``, ``size``, ``scale``, ``resample``) and safetensors with ``colours`` (K, 3),
float32 in [-1, 1].

Shapes: B batch, H W pixels of the drawing, h w of the draft, N = h·w, K colours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lantu import images
from lantu.errors import ModelError
from lantu.files.untrusted import Fields
from lantu.tokens.vocabulary import MAX_CODES, MAX_PATCH, MAX_SIDE
from lantu.types import MASK_CODE
from lantu.weights import arrays, checksums, manifest

RESAMPLE = {"nearest": 0, "bilinear": 2, "bicubic": 3}  # Pillow's numbers
TENSOR = "colours"
HINT = "fetch or assemble the model again"
AT_ONCE = 1 << 14  # pixels whose distances to all colours are in memory together


@dataclass(frozen=True, eq=False)
class Palette:
    """Colours in the place of code vectors: an ``Encoder`` of ``lantu.models.lantu.components``, and what renders.

    Attributes:
        vectors_KE: (K, 3) float32 in [-1, 1].
        size: pixels a side of a draft.
        scale: pixels a side of a drawing for one of the draft.
        resample: how a draft is scaled: one of ``RESAMPLE``.
    """

    vectors_KE: np.ndarray
    size: int
    scale: int
    resample: str = "bicubic"

    @property
    def variance(self) -> float:
        """The mean squared distance of the colours from their mean."""
        return float(self.vectors_KE.var(0).sum())

    def distances(self, pixels_BCHW: np.ndarray) -> np.ndarray:
        """The squared distance of each pixel to each colour, (B, N, K) float32; sides are those of a draft."""
        flat_TC = pixels_BCHW.transpose(0, 2, 3, 1).reshape(-1, 3)
        return self._distances(flat_TC).reshape(len(pixels_BCHW), -1, len(self.vectors_KE))

    def _distances(self, flat_TC: np.ndarray) -> np.ndarray:
        colours = self.vectors_KE
        return (flat_TC**2).sum(1)[:, None] + (colours**2).sum(1) - 2 * flat_TC @ colours.T

    def encode(self, pixels_BCHW: np.ndarray) -> np.ndarray:
        """Pictures in [-1, 1], as large as a draft → the nearest colour of each pixel, (B, h, w) int64."""
        B, _, h, w = pixels_BCHW.shape
        flat_TC = pixels_BCHW.transpose(0, 2, 3, 1).reshape(-1, 3)
        chunks = [flat_TC[start : start + AT_ONCE] for start in range(0, len(flat_TC), AT_ONCE)]
        nearest = [self._distances(chunk).argmin(1) for chunk in chunks]
        return np.concatenate(nearest).astype(np.int64).reshape(B, h, w)

    def paint(self, codes_Bhw: np.ndarray) -> np.ndarray:
        """Colours → (B, H, W, 3) uint8; MASK_CODE is painted in the mean of all colours."""
        from PIL import Image

        table = np.concatenate([self.vectors_KE, self.vectors_KE.mean(0, keepdims=True)])  # -1 is the last row
        assert MASK_CODE == -1
        small_BhwC = images.to_bytes(table[codes_Bhw].transpose(0, 3, 1, 2))
        if self.scale == 1:
            return small_BhwC
        size = codes_Bhw.shape[2] * self.scale, codes_Bhw.shape[1] * self.scale
        how = Image.Resampling(RESAMPLE[self.resample])
        return np.stack([np.asarray(Image.fromarray(one).resize(size, how)) for one in small_BhwC])

    @property
    def config(self) -> dict[str, Any]:
        """Its config.json."""
        return {"colours": len(self.vectors_KE), "size": self.size, "scale": self.scale, "resample": self.resample}

    @classmethod
    def load(cls, folder: str | Path) -> "Palette":
        """Read a palette's folder. Raises ModelError where it is missing or damaged."""
        config, state = read(Path(folder)), arrays.read(folder)
        colours_KE = np.array(state[TENSOR], np.float32)
        manifest.check_finite("decoder", colours_KE)
        return cls(colours_KE, config["size"], config["scale"], config["resample"])


def read(folder: Path) -> dict[str, Any]:
    """A palette's config, once its tensor matches it; no weights are read. Raises ModelError."""
    config = arrays.read_config(folder)
    count = check_config(config)
    found = {name: (tuple(entry.shape), str(entry.dtype)) for name, entry in arrays.entries(folder).items()}
    if found != {TENSOR: ((count, 3), "F32")}:
        raise ModelError(f"the palette in {folder} is not {count} colours of 3 float32 each", HINT)
    checksums.verify(folder)
    return config


def check_config(config: Mapping[str, Any]) -> int:
    """The number of colours that a config declares. Raises ModelError where a number is out of range."""
    fields = Fields(config, "the palette's config.json")
    fields.only(("colours", "size", "scale", "resample"))
    fields.whole("size", 1, MAX_SIDE)
    fields.whole("scale", 1, MAX_PATCH)
    fields.one_of("resample", tuple(RESAMPLE))
    return fields.whole("colours", 2, MAX_CODES)
