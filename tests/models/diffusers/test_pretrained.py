"""Pretrained diffusion models as decoders: each class equals diffusers' own pipeline, given the adapter's output as the
prompt's embeddings; with the spatial branch at zero it is the pretrained model bit for bit."""

import diffusers
import numpy as np
import pytest
import torch
from tiny_pipelines import PIPELINES, write

from lantu.diffusion.sample import sample
from lantu.models.diffusers.adopt import Choices, TokenizerCodes, adopt
from lantu.models.diffusers.pretrained import Pretrained
from lantu.types import MASK_CODE

K, STEPS = 16, 3
PATCH = {"sana": 8}  # SanaPipeline wants sides that are multiples of 32
CODES = np.arange(16).reshape(1, 4, 4)


def codes_of(seed=0):
    return TokenizerCodes(torch.randn(K, 4, generator=torch.Generator().manual_seed(seed)), "d" * 64)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Name → (published folder, adopted folder, the published parts), made when first asked for."""
    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            parts = write(name, folder / "published")
            adopt(folder / "published", codes_of(), folder / "adopted", Choices(PATCH.get(name, 4), width=32, layers=1))
            made[name] = folder / "published", folder / "adopted", parts
        return made[name]

    return get


def trained(folder):
    """An adopted decoder whose spatial branch has learnt something."""
    pretrained = Pretrained.load(folder)
    with torch.no_grad():
        weight = pretrained.network.adapter.spatial.weight
        weight.copy_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    return pretrained


def pipeline_of(name, parts):
    """diffusers' own pipeline of published parts, without its text encoders."""
    network, vae, scheduler = parts
    made = getattr(diffusers, PIPELINES[name][0])
    place = "unet" if isinstance(network, diffusers.UNet2DConditionModel) else "transformer"
    wanted = made._get_signature_keys(made)[0]
    given = dict.fromkeys(set(wanted) - {"self"}) | {place: network, "vae": vae, "scheduler": scheduler}
    more = {"requires_safety_checker": False} if "safety_checker" in made._optional_components else {}
    more |= {"requires_aesthetics_score": True} if name == "refiner" else {}
    pipeline = made(**given, **more)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def arguments(name, context, pooled, noise, negative):
    """What the pipeline is called with to draw as lantu does: embeddings of an adapter, noise, evenly spaced steps."""
    size = dict(zip(("height", "width"), (side * PATCH.get(name, 4) for side in CODES.shape[1:]), strict=True))
    sigmas = {"sigmas": [1 - index / STEPS for index in range(STEPS)]}
    common = size | {"latents": noise, "num_inference_steps": STEPS, "output_type": "pt", "prompt_embeds": context}
    common |= {"guidance_scale": 2.0, "negative_prompt_embeds": negative[0]}
    vectors = {"pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": negative[1]}
    mask = torch.ones(1, context.shape[1])
    masks = {"prompt_attention_mask": mask, "negative_prompt_attention_mask": mask, "negative_prompt": None}
    masks |= {"use_resolution_binning": False, "clean_caption": False}
    # Z-Image counts its scale from 0: pos + scale (pos - neg). FLUX.1 is told one scale, and guided by another.
    lists = {"prompt_embeds": list(context), "negative_prompt_embeds": list(negative[0]), "guidance_scale": 1.0}
    _, C, H, W = noise.shape
    packed = noise.view(1, C, H // 2, 2, W // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(1, H * W // 4, 4 * C)
    told = {"guidance_scale": 3.5, "true_cfg_scale": 2.0, "latents": packed}
    again = {"image": torch.zeros(1, 3, *size.values()), "strength": 1.0, "negative_aesthetic_score": 6.0}
    own = {
        "sdxl": vectors,
        "refiner": vectors | again,
        "sana": masks | sigmas,
        "pixart": masks,
        "sd3": vectors | sigmas,
        "flux": vectors | sigmas | told,
        "z-image": lists | sigmas,
    }
    all_of_them = common | own.get(name, {})
    return {key: value for key, value in all_of_them.items() if name != "refiner" or key not in size}


@pytest.mark.parametrize("name", ["sd", "sd-v", "sdxl", "refiner", "sana", "pixart", "sd3", "flux", "z-image"])
def test_all_steps_equal_those_of_the_pipeline(folders, name):
    _, adopted, parts = folders(name)
    decoder = Pretrained.load(adopted).decoder()
    adapter = decoder.denoiser.network.adapter
    shape = decoder.noise_shape(4, 4)
    noise = torch.from_numpy(np.random.default_rng((7, 1)).standard_normal(shape, np.float32))[None]
    with torch.inference_mode():
        context, pooled, _ = adapter(torch.from_numpy(CODES))
        negative = adapter(torch.full(CODES.shape, MASK_CODE))[:2]
        theirs = pipeline_of(name, parts)(**arguments(name, context, pooled, noise, negative)).images
    ours = sample(decoder, CODES, [7], STEPS, guidance=2.0) / 2 + 0.5
    np.testing.assert_allclose(ours, theirs.float().numpy(), atol=1e-3)
    assert ours.std() > 0.01
