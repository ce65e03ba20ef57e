"""The parts of our family's models but for the language model, read from a directory: native on a CPU, torch on a GPU.

Shapes: B batch, C channels, H W pixels, S factor (of an upscaler), h w grid, N = h·w, D width, E code width,
K codebook size.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lantu.diffusion.decoder import DiffusionDecoder
from lantu.errors import TRAINING, LantuError
from lantu.weights.arrays import read_config
from lantu.weights.names import PRETRAINED, PRETRAINED_CONTROL

if TYPE_CHECKING:
    from lantu.models.diffusers.control import PretrainedControl


class Encoder(Protocol):
    """Pictures → codes.

    Attributes:
        vectors_KE: the code vectors, float32; None for a lattice.
    """

    vectors_KE: np.ndarray | None

    @property
    def variance(self) -> float:
        """The mean squared distance of the code vectors from their mean; 0 for a lattice."""
        ...

    def encode(self, pixels_BCHW: np.ndarray) -> np.ndarray:
        """Pictures in [-1, 1], sides multiples of the patch → codes (B, h, w) int64."""
        ...

    def distances(self, pixels_BCHW: np.ndarray) -> np.ndarray | None:
        """The squared distance of each cell to each code vector, (B, N, K) float32; None for a lattice."""
        ...


class Upscaler(Protocol):
    """A finished picture → the same with more pixels."""

    def __call__(self, pixels_BCHW: np.ndarray) -> np.ndarray:
        """Pixels in [-1, 1] → (B, C, S·H, S·W) float32, in [-1, 1] but for overshoot."""
        ...


class ControlBackend(Protocol):
    """A picture of control → residuals for the decoder, and a bias for the draft.

    Attributes:
        strengths: of the bias, for each of ``controls.KINDS``; 0 for none.
    """

    strengths: tuple[float, ...]

    def __call__(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray) -> np.ndarray:
        """(2, B, N, D), added to the decoder's tokens before and after all blocks.

        Args:
            control_BCHW: in [-1, 1].
            kind: index into ``controls.KINDS``.
        """
        ...

    def bias(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray, row: int) -> np.ndarray:
        """What is added to the logits of a row of codes, given those of the rows above: (B, w, K)."""
        ...


def load_encoder(folder: Path, device: str = "cpu") -> Encoder:
    """Read an image tokenizer's folder. Some kinds of encoder are computed by torch alone, also on a CPU.

    Raises:
        ModelError: it is missing or damaged.
        LantuError: it needs torch, which is not installed.
    """
    from lantu.models.lantu.tokenizer.native import NativeEncoder

    beyond = [name for name in NativeEncoder.TORCH if read_config(folder).get(name)] if folder.is_dir() else []
    if device == "cpu" and not beyond:
        return NativeEncoder.load(folder)
    if beyond and not find_spec("torch"):
        raise LantuError(f"this image tokenizer's encoder ({', '.join(beyond)}) is computed by torch", TRAINING)
    from lantu.models.lantu.tokenizer.pytorch import TorchEncoder

    return TorchEncoder.load(folder, device)


def load_decoder(folder: Path, device: str = "cpu") -> DiffusionDecoder:
    """Read a decoder's folder, of the class that its config.json names.

    Raises:
        ModelError: it is missing or damaged.
        LantuError: a package that it needs is not installed.
    """
    if is_pretrained(folder):
        from lantu.models.diffusers.pretrained import Pretrained

        return Pretrained.load(folder, device).decoder()
    if device == "cpu":
        from lantu.models.lantu.decoder.native import NativeDenoiser

        denoiser = NativeDenoiser.load(folder)
    else:
        from lantu.models.lantu.decoder.pytorch import TorchDenoiser

        denoiser = TorchDenoiser.load(folder, device)
    return DiffusionDecoder(denoiser, denoiser.patch, canvas=denoiser.canvas, depth=denoiser.depth)


def is_pretrained(folder: Path) -> bool:
    """Whether a decoder's folder holds a pretrained diffusion model. Raises ModelError where it can't be read."""
    return read_config(folder).get("_class_name") == PRETRAINED


def load_upscaler(folder: Path, device: str = "cpu") -> Upscaler:
    """Read an upscaler's folder. Raises ModelError where it is missing or damaged."""
    if device == "cpu":
        from lantu.models.lantu.upscaler.native import NativeUpscaler

        return NativeUpscaler.load(folder)
    from lantu.models.lantu.upscaler.network import TorchUpscaler

    return TorchUpscaler.load(folder, device)


def load_control(folder: Path, device: str = "cpu") -> "ControlBackend | PretrainedControl":
    """Read a control's folder, of the class that its config.json names.

    Raises:
        ModelError: it is missing or damaged.
        LantuError: a package that it needs is not installed.
    """
    if read_config(folder).get("_class_name") == PRETRAINED_CONTROL:
        from lantu.models.diffusers.control import PretrainedControl

        return PretrainedControl.load(folder, device)
    if device == "cpu":
        from lantu.models.lantu.decoder.native import NativeControl

        return NativeControl.load(folder)
    from lantu.models.lantu.decoder.pytorch import TorchControl

    return TorchControl.load(folder, device)
