"""GLM-Image's prompts, grids and positions in lantu against transformers' processor and ``get_rope_index``."""

import json
import shutil

import numpy as np
import pytest
import torch

from lantu.errors import ImageError, LantuError, ModelError, PromptError
from lantu.models.glm_image.folder import GlmImageFolder
from lantu.models.glm_image.parts import GlmImageParts
from lantu.models.glm_image.positions import drafted, positions, preview_grid

PROMPTS = ["a red cat", 'the sign says "OPEN"', "一只猫"]
GRIDS = [(4, 4), (5, 3), (3, 7), (32, 32), (36, 24), (64, 16), (1, 3)]


@pytest.fixture(scope="session")
def layout(glm_image):
    return GlmImageParts(GlmImageFolder(glm_image)).layout


def processed(theirs, prompt: str, grid) -> dict:
    """What the pipeline hands to ``generate``."""
    said = [[{"role": "user", "content": [{"type": "text", "text": prompt}]}]]
    size = {"target_h": grid[0] * 32, "target_w": grid[1] * 32}
    return theirs.processor.apply_chat_template(said, tokenize=True, return_dict=True, return_tensors="pt", **size)


@pytest.mark.parametrize("grid", GRIDS)
def test_prompts_and_positions_are_those_of_transformers(theirs, layout, grid):
    model = theirs.vision_language_encoder.model
    for prompt in PROMPTS:
        inputs = processed(theirs, prompt, grid)
        ids = inputs["input_ids"][0].tolist()
        assert layout.encode(prompt, grid) == ids
        wanted = [list(grid), list(preview_grid(grid))]
        assert inputs["image_grid_thw"][:, 1:].tolist() == wanted
        prefix, _ = model.get_rope_index(**inputs)
        ours = positions(len(ids), grid)
        assert ours.shape == (len(ids) + drafted(grid), 3)
        np.testing.assert_array_equal(ours[: len(ids)], prefix[:, 0].T.numpy())
        later = model._cached_decode_position_ids[0].T.numpy()
        np.testing.assert_array_equal(ours[len(ids) :], later[:-1])  # the last is of the end that is never drafted


def test_words_become_words(layout):
    ids = layout.encode("a red cat", (4, 4))
    tokens = layout.text.tokenizer.convert_ids_to_tokens(ids)
    assert tokens[:5] == ["[gMASK]", "<|user|>", "a", "red", "cat"]
    assert tokens[5:] == ["<sop>", "4", "4", "<eop>", "<sop>", "1", "6", "1", "6", "<eop>", "<|dit_token_128|>"]
    assert layout.count_tokens("a red cat") == 3


def test_a_draft_is_a_small_grid_and_then_the_picture(layout):
    grid = (2, 3)
    height, width = preview_grid(grid)
    assert (height, width) == (13, 19)
    ids = [*range(100), *[1] * (height * width - 100), 5, 6]
    assert layout.codes(ids[:50], grid).tolist() == [[-1] * 3] * 2
    assert layout.sketch(ids[:50], grid) is None
    assert layout.codes(ids, grid).tolist() == [[5, 6, -1], [-1] * 3]
    sketch = layout.sketch(ids, grid)
    assert sketch.shape == (13, 19)
    assert sketch[0].tolist() == list(range(19))


def test_the_request(layout):
    params = layout.folder.settings
    assert (params.temperature, params.top_p, params.steps, params.render_guidance) == (0.9, 0.75, 50, 1.5)
    request = layout.draw("a cat", (4, 4), 3, params)
    assert (request.limit, request.allowed, request.rows) == (16 + 256, (range(128),), 1)
    assert (request.seed, request.temperature, request.top_p, request.stop) == (3, 0.9, 0.75, None)
    assert request.positions.shape == (len(request.prefix) + request.limit, 3)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"guidance": 3.0}, "guidance means nothing.*render_guidance"),
        ({"contrast": 2}, "contrast"),
        ({"sampler": "heun"}, "sampler"),
        ({"render_guidance": 0.5}, "1 for none"),
    ],
)
def test_parameters_without_meaning_are_refused(layout, change, match):
    with pytest.raises(LantuError, match=match) as found:
        layout.draw("a cat", (4, 4), 0, layout.folder.settings.change(**change))
    assert "\n" not in str(found.value)


def test_sizes(layout):
    assert layout.size == (1024, 1024)
    assert layout.grid_of((768, 1152)) == (36, 24)
    assert layout.size_of((36, 24)) == (768, 1152)
    assert layout.check_size((1024, 1024)) == layout.check_size((768, 1152)) == ""
    assert "768x768" in layout.check_size((128, 128))
    for size in ((1000, 1024), (2080, 1024), (0, 32)):
        with pytest.raises(ImageError, match="multiple of 32, 2048 at most"):
            layout.grid_of(size)


def test_prompts_that_are_too_long_are_refused(layout, monkeypatch):
    monkeypatch.setattr(layout, "longest", 300)
    layout.draw("a cat", (4, 4), 0, layout.folder.settings)
    with pytest.raises(PromptError, match="300 ids"):
        layout.draw("a cat " * 10, (4, 4), 0, layout.folder.settings)


def changed(glm_image, tmp_path, file: str, **changes):
    """A copy of the directory whose JSON file has other values."""
    folder = shutil.copytree(glm_image, tmp_path / "changed")
    path = folder / file
    content = json.loads(path.read_text())
    for key, value in changes.items():
        content[key] = content[key] | value if isinstance(value, dict) else value
    path.write_text(json.dumps(content))
    return folder


LANGUAGE = "vision_language_encoder/config.json"


@pytest.mark.parametrize(
    ("file", "changes", "match"),
    [
        (LANGUAGE, {"model_type": "janus"}, "model_type"),
        (LANGUAGE, {"text_config": 7}, "text_config"),
        (LANGUAGE, {"text_config": {"model_type": "llama"}}, "model_type"),
        (LANGUAGE, {"text_config": {"vision_vocab_size": 100}}, "codes up to 100, the transformer 128"),
        (LANGUAGE, {"text_config": {"max_position_embeddings": 0}}, "max_position_embeddings"),
        (LANGUAGE, {"image_start_token_id": 64}, "codes up to 64, the transformer 128"),
        ("transformer/config.json", {"prior_vq_quantizer_codebook_size": 256}, "codes up to 128, the transformer 256"),
        ("transformer/config.json", {"patch_size": 4}, "64 pixels a side"),
        ("transformer/config.json", {"num_layers": 10**9}, "num_layers"),
        ("transformer/config.json", {"in_channels": 16}, "in_channels"),
        ("vae/config.json", {"latents_mean": [0.0]}, "latents_mean"),
        ("vae/config.json", {"block_out_channels": [8]}, "4 pixels a side"),
        ("text_encoder/config.json", {"d_model": 64}, "text_embed_dim 32"),
        ("text_encoder/config.json", {"num_layers": 10**9}, "num_layers"),
    ],
)
def test_configs_that_do_not_fit_are_named(glm_image, tmp_path, file, changes, match):
    with pytest.raises(ModelError, match=match) as found:
        GlmImageFolder(changed(glm_image, tmp_path, file, **changes))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(("value", "match"), [("hot", "temperature"), (-1, "temperature")])
def test_how_it_samples_is_read_from_its_makers(glm_image, tmp_path, value, match):
    file = "vision_language_encoder/generation_config.json"
    (tmp_path / "good").mkdir()
    folder = changed(glm_image, tmp_path / "good", file, temperature=0.5, top_p=0.6, top_k=9)
    said = GlmImageFolder(folder).settings
    assert (said.temperature, said.top_p, said.top_k, said.steps) == (0.5, 0.6, 9, 50)
    with pytest.raises(ModelError, match=match):
        _ = GlmImageFolder(changed(glm_image, tmp_path, file, temperature=value)).settings


def test_a_tokenizer_without_the_tokens_of_grids_is_refused(glm_image, tmp_path):
    folder = changed(glm_image, tmp_path, "processor/tokenizer_config.json", grid_bos_token=None)
    with pytest.raises(ModelError, match="grid_bos_token"):
        GlmImageParts(GlmImageFolder(folder)).layout.encode("a cat", (4, 4))
    folder = changed(glm_image, tmp_path / "other", "processor/tokenizer_config.json", bos_token="<|dit_token_3|>")
    with pytest.raises(ModelError, match="ends a prompt with 3, not 128"):
        GlmImageParts(GlmImageFolder(folder)).layout.encode("a cat", (4, 4))


def test_positions_do_not_depend_on_transformers():
    assert positions(2, (1, 1))[-1].tolist() == [18, 18, 18]
    assert torch.equal(torch.from_numpy(positions(1, (2, 3))[1:20, 2]), torch.arange(1, 20))
