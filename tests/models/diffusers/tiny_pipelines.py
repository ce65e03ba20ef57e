"""Tiny published pipelines with random weights, as diffusers' own ``save_pretrained`` writes them."""

import json

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
    PixArtTransformer2DModel,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
    ZImageTransformer2DModel,
)

BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}


def ddim(**more):
    return DDIMScheduler(timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True, **BETAS, **more)


def flow(**more):
    return FlowMatchEulerDiscreteScheduler(**more)


def kl(channels=4, **more):
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, layers_per_block=1, latent_channels=channels, **blocks, **more
    )


def dc(channels=8):
    blocks = {"encoder_block_types": "ResBlock", "decoder_block_types": "ResBlock"}
    layers = {"encoder_layers_per_block": (1, 1), "decoder_layers_per_block": (1, 1)}
    widths = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    more = {"encoder_qkv_multiscales": ((), ()), "decoder_qkv_multiscales": ((), ())}
    return AutoencoderDC(latent_channels=channels, scaling_factor=0.4, **blocks, **layers, **widths, **more)


def unet(**more):
    blocks = {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }
    sizes = {"sample_size": 8, "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
    return UNet2DConditionModel(**{"cross_attention_dim": 24, "attention_head_dim": 4, **sizes, **blocks, **more})


def sdxl(numbers):
    """An SDXL of a pooled width of 20."""
    embedding = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
    wide = 20 + numbers * 8
    return unet(use_linear_projection=True, projection_class_embeddings_input_dim=wide, **embedding)


def sana():
    heads = {"num_attention_heads": 2, "attention_head_dim": 8}
    cross = {"num_cross_attention_heads": 2, "cross_attention_head_dim": 8, "cross_attention_dim": 16}
    return SanaTransformer2DModel(
        in_channels=8, out_channels=8, num_layers=2, caption_channels=24, sample_size=8, **heads, **cross
    )


def pixart():
    heads = {"num_attention_heads": 2, "attention_head_dim": 8, "cross_attention_dim": 16}
    return PixArtTransformer2DModel(
        in_channels=4, out_channels=8, num_layers=2, caption_channels=24, sample_size=8, patch_size=2, **heads
    )


def sd3():
    heads = {"num_attention_heads": 2, "attention_head_dim": 8, "caption_projection_dim": 16}
    context = {"joint_attention_dim": 24, "pooled_projection_dim": 20, "pos_embed_max_size": 8}
    return SD3Transformer2DModel(
        in_channels=4, out_channels=4, num_layers=2, sample_size=8, patch_size=2, **heads, **context
    )


def flux(guidance=True):
    heads = {"num_attention_heads": 2, "attention_head_dim": 16, "axes_dims_rope": (4, 6, 6)}
    context = {"joint_attention_dim": 24, "pooled_projection_dim": 20, "guidance_embeds": guidance}
    return FluxTransformer2DModel(in_channels=16, num_layers=1, num_single_layers=1, **heads, **context)


def z_image():
    heads = {"n_heads": 2, "n_kv_heads": 2, "axes_dims": [4, 6, 6], "axes_lens": [512, 32, 32]}
    return ZImageTransformer2DModel(in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, cap_feat_dim=24, **heads)


# Name → (pipeline's class, its denoiser, autoencoder and scheduler)
PIPELINES = {
    "sd": ("StableDiffusionPipeline", unet, kl, ddim),
    "sd-v": ("StableDiffusionPipeline", unet, kl, lambda: ddim(prediction_type="v_prediction")),
    "sdxl": ("StableDiffusionXLPipeline", lambda: sdxl(6), lambda: kl(force_upcast=False), ddim),
    "refiner": ("StableDiffusionXLImg2ImgPipeline", lambda: sdxl(5), lambda: kl(force_upcast=False), ddim),
    "sana": ("SanaPipeline", sana, dc, lambda: flow(shift=3.0)),
    "pixart": ("PixArtSigmaPipeline", pixart, kl, ddim),
    "sd3": ("StableDiffusion3Pipeline", sd3, lambda: kl(shift_factor=0.3), lambda: flow(shift=3.0)),
    "flux": ("FluxPipeline", flux, lambda: kl(shift_factor=0.1), lambda: flow(use_dynamic_shifting=True)),
    "z-image": ("ZImagePipeline", z_image, lambda: kl(shift_factor=0.1), lambda: flow(shift=3.0)),
}


def parts(name, seed=0):
    """The pipeline's denoiser, autoencoder and scheduler, with weights that every input moves."""
    _, *makers = PIPELINES[name]
    torch.manual_seed(seed)
    network, vae, scheduler = (make() for make in makers)
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(torch.randn(value.shape) * (0.3 if value.ndim == 1 else 1.2 / value[0].numel() ** 0.5))
    return network.eval(), vae.eval(), scheduler


def write(name, folder, seed=0, **how):
    """The pipeline's folder as published: each part by its own ``save_pretrained``, and model_index.json.

    Returns:
        the parts.
    """
    network, vae, scheduler = parts(name, seed)
    place = "unet" if isinstance(network, UNet2DConditionModel) else "transformer"
    network.save_pretrained(folder / place, **how)
    vae.save_pretrained(folder / "vae", **how)
    scheduler.save_pretrained(folder / "scheduler")
    named = {place: network, "vae": vae, "scheduler": scheduler}
    index = {part: ["diffusers", type(each).__name__] for part, each in named.items()}
    index |= {"_class_name": PIPELINES[name][0], "text_encoder": ["transformers", "CLIPTextModel"]}
    index |= {"requires_aesthetics_score": True} if name == "refiner" else {}
    (folder / "model_index.json").write_text(json.dumps(index))
    return network, vae, scheduler
