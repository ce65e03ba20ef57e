"""Emu3 in lantu against Emu3 in transformers: prompts, codes and pixels, on tiny random weights."""

import json
import re
import shutil

import numpy as np
import pytest
import torch

from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.errors import ImageError, ModelError, PromptError
from lantu.models.emu3 import weights
from lantu.models.emu3.config import Config
from lantu.models.emu3.folder import PARAMS, Emu3Folder
from lantu.models.emu3.layout import NEGATIVE, PRAISE
from lantu.models.emu3.parts import Emu3Parts
from lantu.models.emu3.vision import Vq
from lantu.weights import expected, manifest
from lantu.weights import tensors as stored
from tiny_emu3 import make

GREEDY = PARAMS.change(temperature=0)
PROMPTS = ["a red cat", "the blue dog on the left", "dog"]


@pytest.fixture(scope="session")
def layout(emu3):
    return Emu3Parts(Emu3Folder(emu3)).layout


@pytest.fixture(scope="session", params=["native", "torch"])
def language(request, emu3):
    parts = Emu3Parts(Emu3Folder(emu3))
    if request.param == "torch":
        object.__setattr__(parts, "device", torch.device("cpu"))  # not the name "cpu", which means the kernels
    return parts.language


@pytest.mark.parametrize(("prompt", "grid"), [(PROMPTS[0], (4, 4)), (PROMPTS[1], (3, 5)), (PROMPTS[2], (2, 6))])
def test_codes_are_those_of_transformers(generated, layout, language, prompt, grid):
    prefix, negative, codes, _, _ = generated(prompt, *grid)
    assert layout.encode(prompt + PRAISE, grid) == prefix
    assert layout.encode(NEGATIVE, grid) == negative
    assert len(np.unique(codes)) >= 3  # not one code for ever
    for params in (GREEDY, GREEDY.change(num_draft_tokens=3)):
        (ids,) = draft(Engine(language), [layout.draw(prompt, grid, 0, params)])
        np.testing.assert_array_equal(layout.codes(ids, grid), codes)


def test_a_drawing_is_the_same_alone_and_among_others(layout, language):
    requests = [layout.draw(PROMPTS[0], grid, seed, PARAMS) for seed, grid in ((1, (4, 4)), (2, (3, 5)), (3, (4, 4)))]
    together = draft(Engine(language, max_jobs=3), requests)
    assert len(set(map(tuple, together))) == 3
    if language.exact:
        assert together == [draft(Engine(language), [request])[0] for request in requests]


def test_pixels_are_those_of_transformers(emu3, generated):
    _, _, codes, pixels, picture = generated(PROMPTS[1], 3, 5)
    vq = Vq(emu3, Config.read(emu3))
    np.testing.assert_array_equal(vq.pixels(codes[None]), pixels.numpy())
    assert pixels.std() > 0.1
    np.testing.assert_array_equal(vq.decode(codes[None])[0], np.asarray(picture))
    both = np.stack([codes, codes[::-1]])
    np.testing.assert_array_equal(vq.decode(both)[:1], vq.decode(codes[None]))


def test_pictures_become_codes_as_in_transformers(emu3, theirs):
    model, processor = theirs
    picture = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    inputs = processor.image_processor(picture, do_resize=False, return_tensors="pt")
    with torch.inference_mode():
        wanted = model.model.vqmodel.encode(inputs["pixel_values"], inputs["image_sizes"], return_dict=True)
    found = Vq(emu3, Config.read(emu3)).encode(picture[None])
    np.testing.assert_array_equal(found[0], wanted.image_tokens[0].numpy())
    assert found.shape == (1, 4, 5)


def test_sizes(layout):
    assert layout.size == (32, 32)
    assert layout.grid_of((48, 24)) == (3, 6)
    with pytest.raises(ImageError, match="multiple of 8"):
        layout.grid_of((50, 24))
    assert layout.check_size((40, 24)) == ""
    assert "others are worse" in layout.check_size((64, 64))
    with pytest.raises(PromptError, match="256 ids"):
        layout.draw("a cat", (15, 17), 0, PARAMS)


def test_names_as_in_memory_are_read_too(emu3, tmp_path, layout):
    """transformers saves tensors under the names of the published weights, and loads both."""
    state = stored.load(emu3)
    assert all(name.startswith((*weights.LANGUAGE[:1], *weights.HEAD[:1], *weights.VQ[:1])) for name in state)
    for saved, loaded in zip((weights.LANGUAGE[0], weights.VQ[0], weights.HEAD[0]),
                             (weights.LANGUAGE[1], weights.VQ[1], weights.HEAD[1]), strict=True):  # fmt: skip
        state = {re.sub(f"^{saved}", loaded, name): value for name, value in state.items()}
    folder = shutil.copytree(emu3, tmp_path / "other", ignore=shutil.ignore_patterns("*.safetensors*"))
    stored.save(state, folder, None)
    parts, request = Emu3Parts(Emu3Folder(folder).check()), layout.draw(PROMPTS[0], (4, 4), 0, GREEDY)
    assert draft(parts.drafter, [request]) == draft(Emu3Parts(Emu3Folder(emu3)).drafter, [request])
    codes = np.arange(16).reshape(1, 4, 4)
    np.testing.assert_array_equal(parts.vq.decode(codes), Vq(emu3, Config.read(emu3)).decode(codes))
    assert parts.folder.parameters() == Emu3Folder(emu3).parameters()


def test_bfloat16_stays_bfloat16(tmp_path):
    make(tmp_path, dtype=torch.bfloat16)
    parts = Emu3Parts(Emu3Folder(tmp_path).check())
    assert parts.language.text.precise is False
    assert parts.vq.network.dtype == torch.bfloat16
    (ids,) = draft(parts.drafter, [parts.layout.draw("a cat", (2, 2), 0, GREEDY)])
    assert parts.render(parts.layout.codes(ids, (2, 2))[None], [0], GREEDY).shape == (1, 16, 16, 3)


def test_every_tensor_of_emu3_gen_is_where_it_is_looked_for():
    """The published sizes, which are transformers' defaults, on the meta device; no weights are made."""
    from transformers import Emu3Config, Emu3ForConditionalGeneration

    names = {f"<|visual token {code:06d}|>": 151854 + code for code in range(32768)} | {"<|extra_200|>": 151846}
    with torch.device("meta"):
        model = Emu3ForConditionalGeneration(Emu3Config(vocabulary_map=names))
    config = Config.of(model.config.to_dict(), {})
    assert (config.grid, config.patch, config.codebook_size) == ((90, 90), 8, 32768)
    assert (config.first_code, config.end_of_row, config.longest) == (151854, 151846, 9216)
    assert config.sizes.rotary.base == 1e6
    state = model.state_dict()
    text_config, text_state = weights.language(state, config)
    manifest.check("language", text_config, text_state)
    assert len(text_state) == len(expected.language(text_config))
    rest = {name for name in state if name.startswith(weights.vq_prefix(state))}
    assert len(rest) + len(text_state) == len(state)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"text_config": {"num_hidden_layers": 3}}, "layers.2"),
        ({"text_config": {"hidden_act": "relu"}}, "hidden_act"),
        ({"text_config": 7}, "text_config"),
        ({"vq_config": {"codebook_size": 65}}, r"visual token 000064"),
        ({"vq_config": {"channel_multiplier": []}}, "channel_multiplier"),
        ({"vq_config": {"num_res_blocks": 10**9}}, "num_res_blocks"),
        ({"vocabulary_map": {"<|extra_200|>": -1}}, "extra_200"),
        ({"vocabulary_map": {"<|visual token 000001|>": 5}}, "follow one another"),
        ({"image_area": 10**9}, "image_area"),
    ],
)
def test_what_does_not_fit_is_named(emu3, tmp_path, changes, match):
    folder = shutil.copytree(emu3, tmp_path / "damaged")
    content = json.loads((folder / "config.json").read_text())
    for key, change in changes.items():
        content[key] = content[key] | change if isinstance(change, dict) else change
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=match) as found:
        Emu3Folder(folder).check()
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", ["text_model.model.layers.1.mlp.up_proj.weight", "vqmodel.decoder.conv_out.bias"])
@pytest.mark.parametrize("shape", [None, (3, 7)])
def test_a_tensor_that_is_missing_or_of_another_shape_is_named(emu3, tmp_path, name, shape):
    state = stored.load(emu3)
    state[name] = torch.zeros(shape or 1)
    if shape is None:
        del state[name]
    folder = shutil.copytree(emu3, tmp_path / "damaged", ignore=shutil.ignore_patterns("*.safetensors*"))
    stored.save(state, folder, None)
    with pytest.raises(ModelError, match=re.escape(name.split("model.")[-1])):
        _ = Emu3Parts(Emu3Folder(folder).check()).vq
