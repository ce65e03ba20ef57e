"""Pipelines of diffusers whose prompt is features of codes instead of a text's: no text encoder is loaded.

Shapes: B batch, N features, D their width, H W pixels.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ModelError
from lantu.files.untrusted import read_json, shown
from lantu.models.diffusers import modules
from lantu.models.published.text import first_line
from lantu.models.spec import Size
from lantu.weights import manifest

if TYPE_CHECKING:
    from torch import Tensor

HINT = "fetch it again, or give a pipeline of diffusers that takes prompt_embeds"
HALVES = ("transformer", "unet")  # components that a GPU computes in bfloat16


class PromptedPipeline:
    """A pipeline's directory, its tensors checked against their configs.

    Attributes:
        size: width and height in pixels that its denoiser was trained on.

    Raises:
        ModelError: it is missing or damaged, or its class takes no features.
        LantuError: diffusers is not installed.
    """

    def __init__(self, folder: Path, device: str = "cpu"):
        modules.require()
        import diffusers

        self.folder, self.device = folder, device
        index = read_index(folder)
        made: Any = getattr(diffusers, index["_class_name"], None)
        wanted = inspect.signature(made.__init__).parameters if inspect.isclass(made) else {}
        self.takes = set(inspect.signature(made.__call__).parameters) if wanted else set()
        if "prompt_embeds" not in self.takes:
            raise ModelError(f"{folder} holds a {shown(index['_class_name'])}, which takes no features", HINT)
        parts = {name: self.part(name, index.get(name)) for name in wanted if name not in ("self", "args", "kwargs")}
        try:
            self.pipeline: Any = made(**parts)
        except Exception as problem:  # of any kind: diffusers does not check what an index says
            raise ModelError(f"diffusers can't open {folder} ({first_line(problem)})", HINT) from problem
        self.pipeline.set_progress_bar_config(disable=True)
        denoiser: Any = parts.get("transformer") or parts.get("unet")
        sample = getattr(getattr(denoiser, "config", None), "sample_size", None)
        if not isinstance(sample, int):
            raise ModelError(f"the denoiser in {folder} names no sample_size", HINT)
        self.size = sample * int(self.pipeline.vae_scale_factor), sample * int(self.pipeline.vae_scale_factor)

    def part(self, name: str, named: object) -> Any:
        """A component; None for those that only texts need. Raises ModelError."""
        import diffusers
        import torch

        library, kind = named if isinstance(named, list) and len(named) == 2 else (None, None)
        if library != "diffusers" or not isinstance(kind, str):
            return None
        found: Any = getattr(diffusers, kind, None)
        folder = self.folder / name
        if inspect.isclass(found) and issubclass(found, diffusers.SchedulerMixin):
            try:
                return found.from_pretrained(str(folder), local_files_only=True)
            except Exception as problem:  # of any kind, as above
                raise ModelError(f"diffusers can't read {folder} ({first_line(problem)})", HINT) from problem
        if not (inspect.isclass(found) and issubclass(found, diffusers.ModelMixin)):
            raise ModelError(f"{name} of {self.folder} is {shown(kind)}, which diffusers has not", HINT)
        config = modules.read_config(folder, (kind,), name)
        modules.check(folder, config)
        half = self.device != "cpu" and name in HALVES
        return modules.load(folder, config, torch.bfloat16 if half else torch.float32, self.device)

    def paint(
        self,
        features_BND: "Tensor",
        negative_MD: "Tensor",
        size: Size,
        seeds: Sequence[int],
        params: SamplingParams,
    ) -> np.ndarray:
        """Features → pictures (B, H, W, 3) uint8, by ``params.steps`` steps with ``params.render_guidance``.

        Args:
            negative_MD: what guidance compares with.
            size: width and height in pixels.
        """
        import torch

        def mask(features: "Tensor") -> "Tensor":
            return torch.ones(features.shape[:2], dtype=torch.int64, device=features.device)

        pictures, negative_1MD = [], negative_MD[None].to(self.device)
        for features_ND, seed in zip(features_BND, seeds, strict=True):  # one by one: each is what it is alone
            features_1ND = features_ND[None].to(self.device)
            asked = {
                "prompt_embeds": features_1ND,
                "prompt_attention_mask": mask(features_1ND),
                "negative_prompt": None,
                "negative_prompt_embeds": negative_1MD,
                "negative_prompt_attention_mask": mask(negative_1MD),
                "num_inference_steps": params.steps,
                "guidance_scale": params.render_guidance,
                "width": size[0],
                "height": size[1],
                "use_resolution_binning": False,
                "generator": torch.Generator().manual_seed(seed % (1 << 63)),
                "output_type": "np",
            }
            with torch.inference_mode():
                pictures.append(self.pipeline(**{key: asked[key] for key in asked if key in self.takes}).images[0])
        pixels_BHW3 = np.stack(pictures)
        manifest.check_finite("decoder", pixels_BHW3)
        return np.rint(pixels_BHW3.clip(0, 1) * 255).astype(np.uint8)


def read_index(folder: Path) -> dict[str, Any]:
    """A pipeline's model_index.json. Raises ModelError."""
    try:
        index = read_json(folder / "model_index.json")
    except (OSError, ValueError) as problem:
        raise ModelError(f"no pipeline can be read in {folder} ({problem})", HINT) from problem
    if not isinstance(index.get("_class_name"), str):
        raise ModelError(f"{folder} holds a pipeline of a class of its own", HINT)
    return index
