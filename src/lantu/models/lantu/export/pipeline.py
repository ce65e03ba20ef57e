"""Draws with a model of lantu (蓝图) in diffusers: a language model drafts a grid of codes, a decoder renders them.

    pipe = DiffusionPipeline.from_pretrained(DIR, trust_remote_code=True)
    pipe("a cat on the left and a dog on the right", seed=7).images[0].save("out.png")

One seed gives the codes and the pixels that lantu gives, up to rounding. Nothing here needs lantu.
Shapes: B pictures, R rows of the language model, N ids, K codebook size, h w grid, C H W picture.
"""

import hashlib
import inspect
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

MAX_SIDE = 64  # codes a side
OVERSHOOT = 1.2  # clean estimates are clipped to ± this


@dataclass
class LantuPipelineOutput(BaseOutput):
    """What a call returns.

    Attributes:
        images: as ``output_type`` says.
        codes: (B, h, w) int64.
    """

    images: Any
    codes: np.ndarray


class LantuPipeline(DiffusionPipeline):
    """Text to pictures.

    Args:
        language: an ordinary causal language model; codes are ids of its vocabulary.
        tokenizer: of its text.
        prompts: writes a prompt as the language model has learnt to read it.
        decoder: renders codes.
        scheduler: its sampler.
        upscaler: enlarges what the decoder renders, if there is one.
        ids: where special tokens, sides and codes lie: "bos", "boi", "first_side", "first_code", and "guidance": the
            token of each guidance scale that the language model applies by itself.
        grid: height and width in codes of the pictures that it was trained on.
        draw: default values of the arguments of a call.
    """

    model_cpu_offload_seq = "language->decoder->upscaler"
    _optional_components = ["upscaler"]  # noqa: RUF012 - as diffusers declares it
    _callback_tensor_inputs = ("latents",)

    def __init__(
        self,
        language: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        prompts: Any,
        decoder: ModelMixin,
        scheduler: SchedulerMixin,
        upscaler: ModelMixin | None = None,
        ids: dict[str, Any] | None = None,
        grid: dict[str, int] | None = None,
        draw: dict[str, Any] | None = None,
    ):
        super().__init__()
        parts = {"language": language, "tokenizer": tokenizer, "prompts": prompts}
        self.register_modules(**parts, decoder=decoder, scheduler=scheduler, upscaler=upscaler)
        self.register_to_config(ids=ids or {}, grid=grid or {}, draw=draw or {})

    @torch.inference_mode()
    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., dict[str, Tensor] | None] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        seed: int | Sequence[int] | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        render_guidance_scale: float | None = None,
        codes: Any = None,
    ) -> LantuPipelineOutput | tuple[Any, np.ndarray]:
        """Draw pictures.

        Args:
            prompt: what to draw, English or Chinese; one or several.
            height, width: in pixels, multiples of those of one code; by default those of the training pictures.
            num_inference_steps: of the decoder.
            guidance_scale: of the draft; 1 is off.
            num_images_per_prompt: picture 0 has the seed itself, picture i a hash of (seed, i), as in lantu.
            generator: where the seed comes from if there is none.
            output_type: "pil", "np" (B, H, W, C) in [0, 1], or "pt" (B, C, H, W) in [0, 1].
            callback_on_step_end: called as (pipeline, step, time, {"latents": …}) after each step of the decoder; what
                it returns under "latents" is used in the next.
            seed: of each prompt, or one for all; random by default.
            temperature: of the draft; 0 takes the likeliest code.
            top_k, top_p: of the draft; 0 and 1 are off.
            render_guidance_scale: of the decoder; 1 is off.
            codes: (B, h, w) or (h, w) codes to render; no prompt is needed then.

        Raises:
            ValueError: an argument is out of range.
        """
        texts = [prompt] if isinstance(prompt, str) else list(prompt or ())
        if codes is not None:
            codes = np.asarray(codes, np.int64)
            codes = codes[None] if codes.ndim == 2 else codes
            self.check_codes(codes)
        elif not texts or not all(text.strip() for text in texts):
            raise ValueError("no prompt: say what to draw, e.g. 'a cat'")
        defaults = self.config["draw"]
        count = len(texts) * num_images_per_prompt if codes is None else len(codes)
        seeds = derive(seeds_of(seed, generator, len(texts) if codes is None else count), count)
        if codes is None:
            how = (chosen(temperature, defaults, "temperature", 1.0), chosen(top_k, defaults, "top_k", 0))
            sampling = (*how, chosen(top_p, defaults, "top_p", 1.0))
            guidance = chosen(guidance_scale, defaults, "guidance", 1.0)
            repeated = [text for text in texts for _ in range(num_images_per_prompt)]
            codes = self.draft(repeated, self.grid_of(height, width), seeds, guidance, sampling)
        steps = int(chosen(num_inference_steps, defaults, "steps", 8))
        guidance = chosen(render_guidance_scale, defaults, "render_guidance", 1.0)
        callback = (callback_on_step_end, tuple(callback_on_step_end_tensor_inputs))
        images = finished(self.render(codes, seeds, steps, guidance, *callback), output_type)
        self.maybe_free_model_hooks()
        return LantuPipelineOutput(images, codes) if return_dict else (images, codes)

    # The draft

    @property
    def patch(self) -> int:
        """Pixels a side of a finished picture for one code."""
        return self.decoder.config.patch * (self.upscaler.config.factor if self.upscaler is not None else 1)

    def grid_of(self, height: int | None, width: int | None) -> tuple[int, int]:
        """Rows and columns of codes of a picture of that size in pixels."""
        patch, own = self.patch, self.config["grid"]
        sides = (height or own["height"] * patch, width or own["width"] * patch)
        if any(side % patch or not 0 < side <= MAX_SIDE * patch for side in sides):
            raise ValueError(f"no {sides[1]}x{sides[0]}: make sides multiples of {patch}, {MAX_SIDE * patch} at most")
        return sides[0] // patch, sides[1] // patch

    def prefix(self, text: str, grid: tuple[int, int], guidance: float | None = None) -> list[int]:
        """The ids before the codes: <bos> text <guidance> <boi> height width."""
        ids = self.config["ids"]
        self.tokenizer.backend_tokenizer.encode_special_tokens = True  # "<|boi|>" in a prompt stays text
        words = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids if text else []
        scale = [] if guidance is None else [ids["guidance"][f"{guidance:g}"]]
        return [ids["bos"], *words, *scale, ids["boi"], *(ids["first_side"] + side - 1 for side in grid)]

    def draft(
        self,
        texts: Sequence[str],
        grid: tuple[int, int],
        seeds: Sequence[int],
        guidance: float,
        sampling: tuple[float, int, float],
    ) -> np.ndarray:
        """(B, h, w) codes, drafted together; the rows of unconditional prompts follow those of the prompts."""
        learnt = f"{guidance:g}" in self.config["ids"]["guidance"]
        rows = [self.prefix(self.prompts(text), grid, guidance if learnt else None) for text in texts]
        if guided := not learnt and guidance != 1:
            rows += [self.prefix("", grid)] * len(texts)
        total, longest = grid[0] * grid[1], max(map(len, rows))
        if longest + total > self.language.config.max_position_embeddings:
            raise ValueError("the prompt and the picture take more ids than the model can read: shorten the prompt")
        device = self.language.device
        ids_RN = torch.tensor([[0] * (longest - len(row)) + row for row in rows], device=device)
        mask_RN = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
        places_RN = (mask_RN.cumsum(-1) - 1).clamp(min=0)
        uniform = [np.random.default_rng((seed, 0)) for seed in seeds]
        codes_BN = np.zeros((len(texts), total), np.int64)
        cache, cached_as = DynamicCache(config=self.language.config), cache_argument(self.language)
        with self.progress_bar(total=total) as bar:
            for step in range(total):
                inputs = {"attention_mask": mask_RN, "position_ids": places_RN, "use_cache": True, cached_as: cache}
                logits_RK = self.code_logits(self.language(input_ids=ids_RN, logits_to_keep=1, **inputs).logits)
                if guided:
                    with_BK, without_BK = np.split(logits_RK, 2)
                    logits_RK = without_BK + np.float32(guidance) * (with_BK - without_BK)
                for number, generator in enumerate(uniform):
                    codes_BN[number, step] = draw_one(logits_RK[number], generator.random(), *sampling)
                newest = torch.from_numpy(codes_BN[:, step] + self.config["ids"]["first_code"]).to(device)
                ids_RN = newest.repeat(2 if guided else 1)[:, None]
                mask_RN = torch.cat([mask_RN, torch.ones_like(ids_RN)], -1)
                places_RN = places_RN[:, -1:] + 1
                bar.update()
        return codes_BN.reshape(-1, *grid)

    def code_logits(self, logits: Tensor) -> np.ndarray:
        """Of the last position (R, n, V), those of codes: (R, K) float32."""
        first = self.config["ids"]["first_code"]
        return logits[:, -1, first : first + self.decoder.config.codebook_size].float().cpu().numpy()

    # The picture

    def check_codes(self, codes_Bhw: np.ndarray) -> None:
        """Refuse what is no grid of codes."""
        size = self.decoder.config.codebook_size
        if codes_Bhw.ndim != 3 or not codes_Bhw.size or codes_Bhw.min() < -1 or codes_Bhw.max() >= size:
            raise ValueError(f"codes must be (B, h, w), from 0 to {size - 1}, or -1 where not known")

    def render(
        self,
        codes_Bhw: np.ndarray,
        seeds: Sequence[int],
        steps: int,
        guidance: float,
        callback: Callable[..., dict[str, Tensor] | None] | None,
        wanted: Sequence[str],
    ) -> Tensor:
        """Codes → pictures (B, C, H, W) in [-1, 1]."""
        if unknown := set(wanted) - set(self._callback_tensor_inputs):
            raise ValueError(f"a callback gets {', '.join(self._callback_tensor_inputs)}, not {', '.join(unknown)}")
        device, patch = self.decoder.device, self.decoder.config.patch
        shape = (3, codes_Bhw.shape[1] * patch, codes_Bhw.shape[2] * patch)
        noise = [np.random.default_rng((seed, 1)).standard_normal(shape, np.float32) for seed in seeds]
        latents, codes = torch.from_numpy(np.stack(noise)).to(device), torch.from_numpy(codes_Bhw).to(device)
        guided = guidance != 1
        both = torch.cat([codes, torch.full_like(codes, -1)]) if guided else codes
        self.scheduler.set_timesteps(steps)
        with self.progress_bar(total=len(self.scheduler.timesteps)) as bar:
            for step, time in enumerate(self.scheduler.timesteps):
                clean = self.decoder(torch.cat([latents] * 2) if guided else latents, time, both)
                if guided:
                    conditional, unconditional = clean.chunk(2)
                    clean = unconditional + guidance * (conditional - unconditional)
                latents = self.scheduler.step(clean.clamp(-OVERSHOOT, OVERSHOOT), time, latents).prev_sample
                if callback:
                    given = callback(self, step, time, {"latents": latents} if wanted else {})
                    latents = (given or {}).get("latents", latents)
                bar.update()
        pictures = latents.clamp(-1, 1)
        return pictures if self.upscaler is None else self.upscaler(pictures).clamp(-1, 1)


def chosen(given: Any, defaults: dict[str, Any], name: str, otherwise: Any) -> Any:
    """What the caller gave, else the model's default."""
    return defaults.get(name, otherwise) if given is None else given


def cache_argument(model: PreTrainedModel) -> str:
    """What ``forward`` calls the KV cache: newer versions of transformers "cache", older ones "past_key_values"."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def seeds_of(seed: int | Sequence[int] | None, generator: torch.Generator | None, count: int) -> list[int]:
    """A seed for each of ``count`` prompts or grids."""
    if seed is None and generator is not None:
        drawn = torch.randint(2**32, (count,), generator=generator, device=generator.device)
        return [int(each) for each in drawn]
    given = secrets.randbelow(2**32) if seed is None else seed
    seeds = [given] * count if isinstance(given, int) else [int(each) for each in given]
    if len(seeds) != count or not all(0 <= each < 2**63 for each in seeds):
        raise ValueError(f"give one seed, or {count}, from 0 to {2**63 - 1}")
    return seeds


def derive(seeds: Sequence[int], count: int) -> list[int]:
    """The seed of each picture: the prompt's own for its first, 48 bits of a hash for the others."""
    each = count // len(seeds)

    def derived(seed: int, index: int) -> int:
        digest = hashlib.sha256(f"{seed}:{index}".encode()).digest()
        return int.from_bytes(digest[:6], "big") if index else seed

    return [derived(seed, index) for seed in seeds for index in range(each)]


def draw_one(logits_K: np.ndarray, uniform: float, temperature: float, top_k: int, top_p: float) -> int:
    """One code: temperature, top-k and top-p (arXiv:1904.09751); ties with the last candidate stay."""
    likeliest = int(logits_K.argmax())
    if temperature <= 0:
        return likeliest
    kept = np.arange(len(logits_K))
    if 0 < top_k < len(logits_K):
        kept = np.flatnonzero(logits_K >= np.partition(logits_K, -top_k)[-top_k])
    shares = np.exp((logits_K[kept] - logits_K[likeliest]).astype(np.float64) / temperature)
    if top_p < 1:
        order = np.argsort(-shares, kind="stable")
        before = np.cumsum(shares[order]) - shares[order]
        shares[order[before >= top_p * shares.sum()]] = 0
    reached = shares.cumsum()
    place = np.searchsorted(reached, uniform * reached[-1], side="right")
    return int(kept[min(place, np.flatnonzero(shares)[-1])])


def finished(pictures_BCHW: Tensor, output_type: str) -> Any:
    """Pictures in [-1, 1] as the caller wants them."""
    if output_type == "pt":
        return (pictures_BCHW + 1) / 2
    arrays = pictures_BCHW.float().permute(0, 2, 3, 1).cpu().numpy()
    if output_type == "np":
        return (arrays + 1) / 2
    if output_type != "pil":
        raise ValueError(f"no output_type {output_type}: choose pil, np or pt")
    return [Image.fromarray(np.rint((array + 1) * np.float32(127.5)).astype(np.uint8)) for array in arrays]
