"""GLM-Image's drafts in lantu against transformers' ``generate``, on the kernels and on torch."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.errors import ModelError
from lantu.models.glm_image import language as languages
from lantu.models.glm_image import weights
from lantu.models.glm_image.config import LANGUAGE, Config
from lantu.models.glm_image.folder import GlmImageFolder
from lantu.models.glm_image.parts import GlmImageParts
from lantu.models.published import modules
from lantu.weights import expected, manifest
from tiny_glm_image import CODES, GRID, PROMPTS, make


@pytest.fixture(scope="session")
def folder(glm_image):
    return GlmImageFolder(glm_image).check()


@pytest.fixture(scope="session")
def layout(folder):
    return GlmImageParts(folder).layout


@pytest.fixture(scope="session", params=[languages.load_native, languages.load_torch], ids=["native", "torch"])
def language(request, folder):
    return request.param(folder)


def greedy(layout, prompt: str, grid=GRID, **changes):
    """The request of a drawing at temperature 0."""
    return layout.draw(prompt, grid, 0, layout.folder.settings.change(temperature=0, **changes))


def test_codes_are_those_of_transformers(generated, layout, language):
    assert min(len(set(ids)) for ids in generated) >= 10  # not one id for ever
    assert len(set(map(tuple, generated))) == 3
    together = draft(Engine(language, max_jobs=3), [greedy(layout, prompt) for prompt in PROMPTS])
    assert together == generated
    alone, engine = replace(greedy(layout, PROMPTS[1]), limit=60), Engine(language)
    assert draft(engine, [alone])[0] == generated[1][:60]
    assert draft(engine, [alone])[0] == generated[1][:60]  # after the cached prefix
    ahead = replace(greedy(layout, PROMPTS[0], num_draft_tokens=3), limit=60)
    assert draft(Engine(language), [ahead])[0] == generated[0][:60]


def test_sampling_is_decided_by_the_seed_alone(layout, language):
    requests = [replace(layout.draw(PROMPTS[0], GRID, seed, layout.folder.settings), limit=60) for seed in (1, 2)]
    together = draft(Engine(language, max_jobs=2), requests)
    assert together[0] != together[1]
    assert max(map(max, together)) < CODES
    if language.exact:
        assert together[1:] == draft(Engine(language), requests[1:])


def test_bfloat16_stays_bfloat16(tmp_path):
    make(tmp_path / "halves", dtype=torch.bfloat16)
    folder = GlmImageFolder(tmp_path / "halves").check()
    assert languages.load_native(folder).text.precise is False
    assert languages.load_torch(folder).dtype == torch.bfloat16
    parts = GlmImageParts(folder)
    assert parts.decoder.pipeline.dtype == torch.bfloat16
    picture = parts.render(np.zeros((1, 2, 2), np.int64), [0], folder.settings.change(steps=1))
    assert picture.shape == (1, 64, 64, 3)


def test_widths_that_the_kernels_do_not_take_are_computed_on_torch(tmp_path):
    make(tmp_path / "odd", hidden_size=48, num_attention_heads=2, rope_parameters={"mrope_section": [4, 4, 4]})
    folder = GlmImageFolder(tmp_path / "odd").check()
    language = languages.load(folder)
    assert type(language).__module__ == "lantu.engine.backends.pytorch"
    request = replace(greedy(GlmImageParts(folder).layout, "dog"), limit=30)
    assert len(draft(Engine(language), [request])[0]) == 30


def rewrite(folder, change) -> None:
    """Apply ``change`` to the tensors of each shard of a folder, by name, and mend the index."""
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    for shard in sorted(set(content["weight_map"].values())):
        state = load_file(folder / shard)
        change(state)
        save_file(state, folder / shard)
        kept = {name: file for name, file in content["weight_map"].items() if file != shard or name in state}
        content["weight_map"] = kept
    index.write_text(json.dumps(content))


TENSORS = [
    "model.language_model.layers.1.self_attn.k_proj.bias",
    "model.language_model.layers.0.mlp.gate_up_proj.weight",
    "model.language_model.layers.1.post_mlp_layernorm.weight",
    "model.language_model.embed_tokens.weight",
    "lm_head.weight",
]


@pytest.mark.parametrize("name", TENSORS)
def test_missing_and_odd_shaped_tensors_are_named(glm_image, tmp_path, name):
    short = name.removeprefix(weights.TEXT)
    for how, change in (
        ("missing", lambda state: state.pop(name, None)),
        ("odd", lambda state: state.update({name: state[name][1:].clone()} if name in state else {})),
    ):
        folder = shutil.copytree(glm_image, tmp_path / how)
        rewrite(folder / LANGUAGE, change)
        with pytest.raises(ModelError, match=short) as found:
            GlmImageFolder(folder).check()
        assert "\n" not in str(found.value)


def test_every_tensor_of_the_published_sizes_is_where_it_is_looked_for():
    """The published sizes on the meta device; no weights are made. Autoencoder and glyph encoder are built likewise."""
    from diffusers import GlmImageTransformer2DModel
    from transformers import GlmImageConfig, GlmImageForConditionalGeneration

    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5, "mrope_section": [8, 12, 12]}
    sizes = {"attention_head_dim": 128, "num_attention_heads": 32, "in_channels": 16, "out_channels": 16}
    with torch.device("meta"):
        model = GlmImageForConditionalGeneration(GlmImageConfig(text_config={"rope_parameters": rope}))
        transformer = GlmImageTransformer2DModel(**sizes)
    vae = {"latent_channels": 16, "block_out_channels": [128, 512, 1024, 1024]}
    vae |= {"latents_mean": [0.0] * 16, "latents_std": [1.0] * 16}
    glyphs = {"num_layers": 12, "d_model": 1472}
    config = Config.of(model.config.to_dict(), dict(transformer.config), vae, glyphs, {})
    assert (config.codebook_size, config.boi, config.eoi, config.longest) == (16384, 16384, 16385, 131072)
    state = model.state_dict()
    text_config, text_state = weights.language(state, config)
    manifest.check("language", text_config, text_state)
    found = {name: tuple(value.shape) for name, value in text_state.items()}
    assert found == {name: shape for name, (shape, _) in expected.language(text_config).items()}
    assert found["lm_head.weight"] == (16512, 4096)
    rest = [name for name in state if not name.startswith(weights.TEXT) and name != weights.HEAD]
    assert all(name.startswith((weights.TOWER, weights.VQ)) for name in rest)
    assert 8.5e9 < sum(value.numel() for value in text_state.values()) < 9.5e9
    assert 6.5e9 < sum(value.numel() for value in transformer.parameters()) < 7.5e9
    made = modules.check(lambda: GlmImageTransformer2DModel(**sizes), "transformer", "", transformer.state_dict())
    assert next(made.parameters()).is_meta
