"""What renders the codes of a described model, by the kind that its layout file names.

Shapes: B batch, h w grid, H W pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lantu import images
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import DataError, ModelError
from lantu.models.published.modules import load, require
from lantu.weights import arrays, manifest

HINT, FEATURES = "fetch it again", "features.safetensors"


class Renderer(Protocol):
    """Codes → pixels.

    Attributes:
        patch: pixels a side of a code.
        codebook_size: number of codes.
        partial: it renders grids with missing codes.
    """

    patch: int
    codebook_size: int
    partial: bool

    def paint(self, codes_Bhw: np.ndarray, seeds: Sequence[int], params: SamplingParams) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8; a pure function of its arguments."""
        ...


class Emu3Vq:
    """Emu3's VQ model alone, in a directory that transformers saved: see ``Renderer``.

    Raises:
        ModelError: it is missing or damaged, or a tensor is not the one that its config.json asks for.
    """

    partial = False

    def __init__(self, folder: Path, device: str = "cpu"):
        require("Emu3's VQ model")
        from transformers import Emu3VQVAE, Emu3VQVAEConfig

        config = arrays.read_config(folder)
        if config.get("model_type") != Emu3VQVAEConfig.model_type:
            raise ModelError(f"{folder} holds no {Emu3VQVAEConfig.model_type}", HINT)
        settings: Any = Emu3VQVAEConfig(**config)
        self.device, self.codebook_size = device, settings.codebook_size
        self.network: Any = load(lambda: Emu3VQVAE(settings), folder, "", device)
        self.patch: int = 2 ** (len(settings.channel_multiplier) - 1)

    def paint(self, codes_Bhw: np.ndarray, seeds: Sequence[int], params: SamplingParams) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8."""
        import torch

        with torch.inference_mode():  # one by one: a picture must not depend on those that are decoded with it
            ids_Bhw = torch.from_numpy(np.ascontiguousarray(codes_Bhw, np.int64)).to(self.device)
            pixels = torch.cat([self.network.decode(ids_hw[None]) for ids_hw in ids_Bhw]).float().cpu().numpy()
        manifest.check_finite("decoder", pixels)
        return images.to_bytes(pixels)


class Diffusion:
    """A diffusion decoder of lantu's: see ``Renderer``.

    Raises:
        ModelError: it is missing or damaged.
    """

    def __init__(self, folder: Path, device: str = "cpu"):
        from lantu.models.lantu import components

        self.decoder = components.load_decoder(folder, device)
        self.partial, self.patch = self.decoder.partial, self.decoder.patch
        self.codebook_size = arrays.read_config(folder).get("codebook_size", 0)

    def paint(self, codes_Bhw: np.ndarray, seeds: Sequence[int], params: SamplingParams) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8; MASK_CODE where a code is not known."""
        from lantu.diffusion.sample import sample

        how = (params.steps, params.render_guidance, params.sampler)
        return images.to_bytes(sample(self.decoder, codes_Bhw, list(seeds), *how))


class Prompted:
    """A pipeline of diffusers that takes features of codes in the place of a prompt: see ``Renderer``.

    Its folder has a ``features.safetensors`` beside model_index.json: ``codes`` (K, D), a feature for each code;
    ``negative`` (M, D), what guidance compares with; and perhaps ``positions`` (N, D), which are added to a grid's
    features.

    Raises:
        ModelError: a part is missing or damaged.
    """

    partial, patch = False, 0  # it renders any size

    def __init__(self, folder: Path, device: str = "cpu"):
        from safetensors.torch import load_file

        from lantu.models.diffusers.prompted import PromptedPipeline

        self.pipeline, path = PromptedPipeline(folder, device), folder / FEATURES
        try:
            arrays.read_header(path)
            self.state = {name: value.to(device).float() for name, value in load_file(path).items()}
        except (OSError, ValueError) as problem:
            raise ModelError(f"can't read {path} ({problem})", HINT) from problem
        named = {"codes", "negative"} <= set(self.state) <= {"codes", "negative", "positions"}
        if not named or any(value.ndim != 2 for value in self.state.values()):
            raise ModelError(f"{path} holds other tensors than codes, negative and positions, all (…, D)", HINT)
        if len({value.shape[1] for value in self.state.values()}) != 1:
            raise ModelError(f"the features in {path} differ in width", HINT)
        self.codebook_size = len(self.state["codes"])

    def paint(self, codes_Bhw: np.ndarray, seeds: Sequence[int], params: SamplingParams) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8."""
        import torch

        codes_BN = torch.from_numpy(np.ascontiguousarray(codes_Bhw, np.int64)).flatten(1)
        features_BND = self.state["codes"][codes_BN.to(self.state["codes"].device)]
        if (positions_ND := self.state.get("positions")) is not None:
            if len(positions_ND) != codes_BN.shape[1]:
                what = f"a grid of {codes_BN.shape[1]} codes, {FEATURES} has {len(positions_ND)} positions"
                raise DataError(what, HINT)
            features_BND = features_BND + positions_ND
        height, width = (side * self.patch for side in codes_Bhw.shape[1:])
        return self.pipeline.paint(features_BND, self.state["negative"], (width, height), seeds, params)


def vqgan(folder: Path, device: str = "cpu") -> Renderer:
    """A VQ-GAN. Raises ModelError."""
    from lantu.models.plain.vqgan import VqGan

    return VqGan(folder, device)


KINDS = {"vqgan": vqgan, "emu3": Emu3Vq, "lantu": Diffusion, "pipeline": Prompted}
REFINING = ("refine", "refine_steps")
NOT_FOLLOWED = {"lantu": REFINING, "pipeline": ("sampler", *REFINING)}  # parameters, by those kinds that denoise
