"""GLM-Image's decoder: codes and quoted text → pixels, by diffusers' ``GlmImagePipeline`` without its drafting half.

The pipeline adds each code, doubled on both sides, to the diffusion transformer's patches, and lets them attend to the
letters of quoted text (byT5). Guidance compares with a picture of no codes and no text. Noise comes from lantu's own
generator, and each picture is rendered alone, so a seed gives one picture whatever is rendered beside it.

Shapes: B batch, C channels, H W pixels, h w grid.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu.errors import LantuError, ModelError
from lantu.models.glm_image.config import GLYPH_TOKENIZER, GLYPHS, PATCH, SCHEDULER, TRANSFORMER, VAE, Config
from lantu.models.published import modules
from lantu.models.published.text import AGAIN, first_line
from lantu.weights import arrays, manifest

if TYPE_CHECKING:
    import torch

MAGENTA = ("0.40.", "0.41.")  # versions of diffusers: vllm-omni#7951


class Decoder:
    """Renders grids of codes; see the module.

    Attributes:
        pipeline: diffusers' ``GlmImagePipeline``, of which the language model and its processor are None.
    """

    def __init__(self, folder: str | Path, config: Config, device: str = "cpu"):
        from diffusers import FlowMatchEulerDiscreteScheduler, GlmImagePipeline

        folder = Path(folder)
        self.config, self.device = config, device
        parts: dict[str, Any] = {  # in their own dtypes
            name: modules.load(make, folder / name, "", device) for name, make in makers(folder).items()
        }
        settings = read_json(folder / SCHEDULER / "scheduler_config.json")
        parts |= {
            "scheduler": FlowMatchEulerDiscreteScheduler.from_config(settings),
            "tokenizer": glyph_tokenizer(folder / GLYPH_TOKENIZER),
            "processor": None,
            "vision_language_encoder": None,
        }
        pipeline: Any = GlmImagePipeline
        self.pipeline = pipeline(**parts)
        self.pipeline.set_progress_bar_config(disable=True)

    def decode(
        self, codes_Bhw: np.ndarray, seeds: Sequence[int], prompts: Sequence[str], steps: int, guidance: float
    ) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8.

        Args:
            codes_Bhw: int64, all known.
            seeds: one a picture, for its noise.
            prompts: one a picture; only what stands in quotation marks matters.
            steps: of the scheduler.
            guidance: scale; 1 for none.

        Raises:
            ModelError: the weights are damaged: some numbers are not finite.
        """
        if (codes_Bhw < 0).any():
            raise ValueError("a grid with missing codes")
        each = zip(codes_Bhw, seeds, prompts, strict=True)
        return np.concatenate([self.decode_one(*one, steps, guidance) for one in each])

    def decode_one(self, codes_hw: np.ndarray, seed: int, prompt: str, steps: int, guidance: float) -> np.ndarray:
        """One picture, (1, H, W, 3) uint8."""
        import torch

        doubled = codes_hw.repeat(2, 0).repeat(2, 1).reshape(1, -1)
        latents = torch.from_numpy(self.noise(codes_hw.shape, seed))[None].to(self.device, self.pipeline.dtype)
        height, width = (side * PATCH for side in codes_hw.shape)
        pixels_1HW3 = self.pipeline(
            prompt=[prompt],
            prior_token_ids=torch.from_numpy(doubled).to(self.device),
            latents=latents,
            height=height,
            width=width,
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="np",
        ).images
        manifest.check_finite("decoder", pixels_1HW3)
        return (pixels_1HW3 * 255).round().astype(np.uint8)  # as diffusers makes pictures of them

    def noise(self, grid: Sequence[int], seed: int) -> np.ndarray:
        """(C, H, W) float32: the noise from which a picture of a grid begins, in latents."""
        side = PATCH // self.config.latent_factor
        shape = self.config.transformer["in_channels"], grid[0] * side, grid[1] * side
        return np.random.default_rng((seed, 1)).standard_normal(shape, np.float32)


def makers(folder: Path) -> "dict[str, Callable[[], torch.nn.Module]]":
    """For each part that renders what builds it from its config. Raises ModelError where a config can't be read."""
    from diffusers import AutoencoderKL, GlmImageTransformer2DModel
    from transformers import T5Config, T5EncoderModel

    classes: dict[str, Any] = {VAE: AutoencoderKL, TRANSFORMER: GlmImageTransformer2DModel}
    glyphs = arrays.read_config(folder / GLYPHS)
    configs = {part: arrays.read_config(folder / part) for part in classes}
    others = {part: partial(classes[part].from_config, configs[part]) for part in classes}
    return {GLYPHS: lambda: T5EncoderModel(T5Config(**glyphs)), **others}


def check(folder: Path) -> None:
    """Hold the headers of the decoder's weights against its configs; no weights are read.

    Raises:
        ModelError: a tensor is missing, unknown, or of another shape or type.
        LantuError: the installed diffusers can't render with it.
    """
    check_version()
    for name, make in makers(folder).items():
        modules.check(make, folder / name, "", arrays.entries(folder / name))
    read_json(folder / SCHEDULER / "scheduler_config.json")
    glyph_tokenizer(folder / GLYPH_TOKENIZER)


def check_version() -> None:
    """Refuse versions of diffusers that ignore a pipeline's timesteps: pictures are magenta. Raises LantuError."""
    import diffusers

    if diffusers.__version__.startswith(MAGENTA):
        what = f"diffusers {diffusers.__version__} ignores the timesteps of GLM-Image's pipeline"
        raise LantuError(what, "pip install 'diffusers>=0.42,<0.43'")


def glyph_tokenizer(folder: Path) -> Any:
    """The byte tokenizer of quoted text. Raises ModelError where there is none that transformers can read."""
    from transformers import ByT5Tokenizer

    try:
        return ByT5Tokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as problem:  # of any kind: transformers does not check what a file says
        raise ModelError(f"no tokenizer can be read in {folder} ({first_line(problem)})", AGAIN) from problem


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that must be there. Raises ModelError."""
    from lantu.files import untrusted

    try:
        return untrusted.read_json(path)
    except (OSError, ValueError) as problem:
        raise ModelError(f"{path} can't be read ({problem})", AGAIN) from problem
