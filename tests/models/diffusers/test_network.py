"""The adapter on each class of diffusers: where it adds, what it leaves alone, and which real models it fits."""

import diffusers
import numpy as np
import pytest
import torch
from tiny_pipelines import PIPELINES, parts

from lantu.errors import ModelError
from lantu.models.diffusers.adopt import Choices, TokenizerCodes, new_adapter, time_ids
from lantu.models.diffusers.calls import CALLS, About
from lantu.models.diffusers.kinds import KINDS, kind_of
from lantu.models.diffusers.network import PretrainedNetwork
from lantu.types import MASK_CODE

K = 16
ONE_OF_EACH = ("sd", "sdxl", "refiner", "sana", "pixart", "sd3", "flux", "z-image")


def made(name, layers=1):
    """A network with a fresh adapter, its latents (2, C, 8, 8), timesteps and codes."""
    network, _, _ = parts(name)
    config = {**network.config, "_class_name": type(network).__name__}
    kind = kind_of(config, "config.json")
    ids = time_ids(config, {"requires_aesthetics_score": name == "refiner"})
    codes = TokenizerCodes(torch.randn(K, 4, generator=torch.Generator().manual_seed(0)), "")
    adapter = new_adapter(kind, config, ids, codes, Choices(patch=4, width=32, layers=layers)).eval()
    about = About(factor=2, time_ids=ids)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, kind.channels(config), 8, 8, generator=generator)
    grids = torch.randint(K, (2, 4, 4), generator=generator)
    return PretrainedNetwork(adapter, network, about), x, torch.tensor([700.0, 200.0]), grids


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_with_a_fresh_spatial_branch_the_model_is_itself_bit_for_bit(name):
    network, x, timesteps, codes = made(name)
    with torch.no_grad():
        ours = network(x, timesteps, codes)
        context, pooled, _ = network.adapter(codes)
        theirs = CALLS[network.kind.name](network.network, x, timesteps, context, pooled, network.about)
    assert torch.equal(ours, theirs)
    assert ours.shape == x.shape


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_spatial_branch_adds_each_code_where_it_stands(name):
    network, x, timesteps, codes = made(name, layers=0)
    seen = []
    network.network.get_submodule(network.kind.inlet).register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        weight = network.adapter.spatial.weight
        weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)))
        network(x, timesteps, codes)
        other = codes.clone()
        other[1, 2, 3] = MASK_CODE
        network(x, timesteps, other)
    before, after = seen
    side = 8 // network.side
    if before.ndim == 4:
        change = (after - before).abs().sum(1)
    else:  # tokens, of Z-Image those of all pictures in a row, padded
        change = (after - before).abs().sum(-1).reshape(2, -1)[:, : side * side].reshape(2, side, side)
    assert change[0].max() == 0
    row, column = np.unravel_index(change[1].argmax().item(), (side, side))
    cell = side // 4
    assert (row // cell, column // cell) == (2, 3)


@pytest.mark.parametrize("name", ["sd", "flux"])
def test_gradients_reach_the_adapter_alone(name):
    network, x, timesteps, codes = made(name)
    network.network.requires_grad_(False)
    with torch.no_grad():
        torch.nn.init.normal_(network.adapter.spatial.weight)
    network(x, timesteps, codes).square().mean().backward()
    assert all(value.grad is None for value in network.network.parameters())
    assert all(value.grad.abs().max() > 0 for value in network.adapter.parameters())


SDXL = {
    "_class_name": "UNet2DConditionModel",
    "block_out_channels": [320, 640, 1280],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 2, 10],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "use_linear_projection": True,
    "sample_size": 128,
    "in_channels": 4,
}
REFINER = SDXL | {
    "block_out_channels": [384, 768, 1536, 1536],
    "attention_head_dim": [6, 12, 24, 24],
    "cross_attention_dim": 1280,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": 4,
    "projection_class_embeddings_input_dim": 2560,
}
SD15 = {"_class_name": "UNet2DConditionModel", "cross_attention_dim": 768, "block_out_channels": [320, 640, 1280, 1280]}
SD15 |= {"in_channels": 4, "attention_head_dim": 8, "sample_size": 64}
SD21 = SD15 | {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}
SANA = {"_class_name": "SanaTransformer2DModel", "in_channels": 32, "caption_channels": 2304, "num_layers": 20}
SANA |= {"num_attention_heads": 70, "attention_head_dim": 32, "sample_size": 32, "patch_size": 1}
PIXART = {"_class_name": "PixArtTransformer2DModel", "in_channels": 4, "out_channels": 8, "caption_channels": 4096}
PIXART |= {"num_attention_heads": 16, "attention_head_dim": 72, "sample_size": 128, "patch_size": 2}
FLUX = {"_class_name": "FluxTransformer2DModel", "in_channels": 64, "num_layers": 19, "num_single_layers": 38}
FLUX |= {"num_attention_heads": 24, "attention_head_dim": 128, "joint_attention_dim": 4096, "guidance_embeds": True}
FLUX |= {"pooled_projection_dim": 768, "patch_size": 1}
Z_IMAGE = {"_class_name": "ZImageTransformer2DModel", "all_patch_size": [2], "all_f_patch_size": [1]}
Z_IMAGE |= {"in_channels": 16, "dim": 3840, "cap_feat_dim": 2560, "n_layers": 30}

# Published configs (FAMILIES.md, section 4) → millions of parameters, context width, pooled width, time ids
REAL = {
    "refiner": (REFINER, 2259.5, 1280, 1280, 5),
    "sdxl": (SDXL, 2567.5, 2048, 1280, 6),
    "sd1.5": (SD15, 859.5, 768, 0, 0),
    "sd2.1": (SD21, 865.9, 1024, 0, 0),
    "sana": (SANA, 1604.5, 2304, 0, 0),
    "pixart": (PIXART, 611.3, 4096, 0, 0),
    "flux": (FLUX, 11901.4, 4096, 768, 0),
    "z-image": (Z_IMAGE, 6154.9, 2560, 0, 0),
}


@pytest.mark.parametrize(
    "name", [each if each == "refiner" else pytest.param(each, marks=pytest.mark.slow) for each in REAL]
)
def test_it_fits_the_real_models(name):
    config, millions, context, pooled, numbers = REAL[name]
    with torch.device("meta"):
        network = getattr(diffusers, config["_class_name"]).from_config(config)
        ids = time_ids(config, {"requires_aesthetics_score": name == "refiner"})
        assert ids == numbers
        kind = kind_of({**network.config, "_class_name": config["_class_name"]}, "config.json")
    assert sum(value.numel() for value in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)
    adapter = new_adapter(
        kind, dict(network.config), ids, TokenizerCodes(torch.randn(K, 4), ""), Choices(patch=64, width=64)
    )
    assert (adapter.config.context_width, adapter.config.pooled_width) == (context, pooled)
    inlet = network.get_submodule(kind.inlet)
    weight = next(value for key, value in inlet.named_parameters() if key.endswith("weight"))
    assert adapter.config.spatial_width == weight.shape[0]


def test_the_table_names_classes_and_calls():
    assert set(CALLS) == {kind.name for kind in KINDS} == {type(parts(name)[0]).__name__ for name in PIPELINES}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"_class_name": "UNet3DConditionModel"}, "UNet3DConditionModel"),
        ({"_class_name": None}, "None"),
        ({"cross_attention_dim": [768, 768]}, "cross_attention_dim"),
        ({"cross_attention_dim": 10**9}, "cross_attention_dim"),
        ({"layers_per_block": 10**6}, "layers_per_block"),
        ({"sample_size": 10**6}, "sample_size"),
        ({"class_embed_type": "projection"}, "class_embed_type"),
        ({"addition_embed_type": "image"}, "addition_embed_type"),
        ({"block_out_channels": []}, "block_out_channels"),
        ({"down_block_types": ["DownBlock2D"] * 1000}, "down_block_types"),
    ],
)
def test_configs_that_would_need_something_else_are_refused(change, named):
    with pytest.raises(ModelError, match=named):
        kind_of(SD15 | change, "config.json")
