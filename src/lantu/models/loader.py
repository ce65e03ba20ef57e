"""The three parts of a model as drawing needs them: on the kernels on a CPU, on torch on a GPU.

The language model may also be run by transformers or by vLLM, as its directory stands.
"""

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from lantu import images, kernels
from lantu.diffusion.sample import Denoiser
from lantu.engine.drafting import Drafter
from lantu.engine.engine import Engine
from lantu.engine.request import Request
from lantu.errors import LantuError
from lantu.models.hub import ModelFolder
from lantu.tokens import bpe
from lantu.tokens.bpe import TextCodec
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights import manifest

BACKENDS = ("native", "transformers", "vllm")


class Encode(Protocol):
    """Pictures in [-1, 1] (B, 3, H, W) float32 → codes (B, h, w) int64."""

    vectors_KE: np.ndarray | None

    @property
    def variance(self) -> float: ...

    def encode(self, pixels_BCHW: np.ndarray) -> np.ndarray: ...

    def distances(self, pixels_BCHW: np.ndarray) -> np.ndarray | None: ...


class Steer(Protocol):
    """A picture of control (B, 3, H, W) in [-1, 1], its kind, codes (B, h, w) → (2, B, N, D) for the decoder.

    Attributes:
        strengths: of the bias, for each kind; 0 for none.
    """

    strengths: tuple[float, ...]

    def __call__(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray) -> np.ndarray: ...

    def bias(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray, row: int) -> np.ndarray:
        """What it makes of each code of a row, behind those above, to be added to its logit: (B, w, K)."""
        ...


@dataclass(frozen=True)
class Parts:
    """Each is loaded when it is first needed.

    Attributes:
        device: "cpu" or "cuda".
        backend: of the language model, one of ``BACKENDS``.
    """

    folder: ModelFolder
    device: str
    backend: str = "native"

    @cached_property
    def vocabulary(self) -> Vocabulary:
        from lantu.weights.language_config import read_vocabulary

        return read_vocabulary(self.folder.path / "language")

    @cached_property
    def strengths(self) -> tuple[float, ...]:
        """Of guidance, that the language model has learnt."""
        from lantu.weights.language_config import read_strengths

        return read_strengths(self.folder.path / "language")

    @cached_property
    def text(self) -> TextCodec:
        codec = TextCodec(self.folder.path / "language")
        bpe.check(codec, self.vocabulary)
        return codec

    @cached_property
    def engine(self) -> Drafter:
        """Drafts jobs together only where that changes nothing; vLLM wherever it likes."""
        if self.backend == "vllm":
            from lantu.engine.backends.vllm_engine import Engine as EngineOnVllm

            manifest.read_language(self.folder.path / "language")
            return EngineOnVllm(self.folder.path / "language")
        return Engine(self.language)

    def check(self, request: Request) -> None:
        """Whether the engine can draft it, before it is loaded.

        Raises:
            LantuError: it can't.
        """
        if self.backend == "vllm":
            from lantu.engine.backends.vllm_engine import check

            check(request)

    @cached_property
    def company(self) -> Drafter:
        """Drafts many jobs together, whatever that does to the last digits."""
        return self.engine if self.engine.exact or self.backend == "vllm" else Engine(self.language, together=32)

    @property
    def exact(self) -> bool:
        """Whether pictures that are painted together are what each would be alone, bit for bit."""
        return self.device == "cpu" and kernels.exact()

    @cached_property
    def language(self) -> Any:
        folder = self.folder.path / "language"
        if self.backend == "transformers":
            from lantu.engine.backends.huggingface import Language as LanguageOnTransformers

            return LanguageOnTransformers.load(folder, self.device)
        if self.device == "cpu":
            from lantu.engine.backends.native import Language

            return Language.load(folder)
        from lantu.engine.backends.pytorch import Language as LanguageOnTorch

        return LanguageOnTorch.load(folder, device=self.device)

    @cached_property
    def decoder(self) -> Denoiser:
        folder = self.folder.path / "decoder"
        if self.device == "cpu":
            from lantu.models.lantu.decoder.native import Decoder

            return Decoder.load(folder)
        from lantu.models.lantu.decoder.pytorch import Decoder as DecoderOnTorch

        return DecoderOnTorch.load(folder, self.device)

    @cached_property
    def control(self) -> Steer:
        """What turns a picture of control into residuals for the decoder.

        Raises:
            LantuError: the model has none.
        """
        if not self.folder.controlled:
            raise LantuError(f"{self.folder.name} can't be controlled by a picture", "train one: lantu train control")
        folder = self.folder.path / "control"
        if self.device == "cpu":
            from lantu.models.lantu.decoder.native import Control

            return Control.load(folder)
        from lantu.models.lantu.decoder.pytorch import Control as ControlOnTorch

        return ControlOnTorch.load(folder, self.device)

    @cached_property
    def encoder(self) -> Encode:
        """On a CPU always: codes must not depend on where they are computed."""
        from lantu.models.lantu.tokenizer.native import Encoder

        return Encoder.load(self.folder.path / "tokenizer")

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 → codes (B, h, w) int64; H and W are multiples of the model's patch."""
        return self.encoder.encode(self.scaled(pictures))

    def distances(self, pictures: np.ndarray) -> np.ndarray | None:
        """The same pictures → squared distances of cells to code vectors, (B, N, K); None where codes are a lattice."""
        return self.encoder.distances(self.scaled(pictures))

    def scaled(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures as the image tokenizer reads them, (B, 3, H, W) in [-1, 1]."""
        patch = self.folder.entry("tokenizer/config.json", "patch")
        height, width = (side // self.folder.patch * patch for side in pictures.shape[1:3])
        return images.average(images.to_pixels(pictures), height, width)


def choose_backend(name: str) -> str:
    """One of ``BACKENDS``.

    Raises:
        LantuError: there is none of that name, or it is not installed.
    """
    if name not in BACKENDS:
        raise LantuError(f"no backend called {name}", f"choose {', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}")
    if name != "native" and importlib.util.find_spec(name) is None:
        where = "pip install 'lantu[train]'" if name == "transformers" else "pip install vllm, in a venv of its own"
        raise LantuError(f"{name} is not installed", f"{where}, or choose native")
    return name


def choose_device(name: str) -> str:
    """ "cpu" or "cuda".

    Raises:
        LantuError: there is no such device here.
    """
    if name == "cpu" or (name == "auto" and importlib.util.find_spec("torch") is None):
        return "cpu"
    if name not in ("auto", "cuda"):
        raise LantuError(f"no device called {name}", "choose auto, cpu or cuda")
    if importlib.util.find_spec("torch") is None:
        raise LantuError("a GPU needs torch, which is not installed", "pip install 'lantu[train]', or choose cpu")
    if name == "auto" and not may_have_gpu():
        return "cpu"  # without the seconds that asking torch takes
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise LantuError("no GPU that torch can use", "choose cpu, or leave it to auto")
    return "cpu"


def may_have_gpu() -> bool:
    """Whether the system knows of one that torch might use."""
    from pathlib import Path

    return any(map(Path.exists, map(Path, ("/dev/nvidia0", "/dev/dxg", "/dev/kfd"))))
