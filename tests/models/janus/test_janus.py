"""Janus in lantu against Janus in transformers: prompts, codes, pixels and captions, on tiny random weights."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from lantu import images
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.errors import ImageError, ModelError
from lantu.models.janus import native, pytorch, weights
from lantu.models.janus.config import Config
from lantu.models.janus.folder import PARAMS
from lantu.models.janus.parts import JanusFolder, JanusParts
from lantu.models.janus.vision import Reader, Vq
from lantu.weights import expected, manifest
from tiny_janus import make

PROMPTS = ["a red cat", "the blue dog on the left and a cat on the right", "dog"]
GREEDY = PARAMS.change(temperature=0)


@pytest.fixture(scope="session")
def layout(janus):
    return JanusParts(JanusFolder(janus)).layout


@pytest.fixture(scope="session", params=[native, pytorch], ids=["native", "torch"])
def language(request, janus):
    return request.param.load(janus)


def said(processor, *parts: dict) -> str:
    """A user's message in the chat template."""
    return processor.apply_chat_template([{"role": "user", "content": list(parts)}], add_generation_prompt=True)


def prompted(processor, prompt: str) -> dict:
    """What transformers' documentation hands to ``generate``."""
    text = said(processor, {"type": "text", "text": prompt})
    return processor(text=text, generation_mode="image", return_tensors="pt")


def drawn(theirs, prompt: str, **options) -> torch.Tensor:
    """Codes (1, 16) of transformers' own generation."""
    model, processor = theirs
    return model.generate(
        **prompted(processor, prompt), generation_mode="image", do_sample=False, guidance_scale=5, **options
    )


def test_prompts_are_those_of_the_processor(theirs, layout):
    for prompt in PROMPTS:
        assert layout.encode(prompt) == prompted(theirs[1], prompt)["input_ids"][0].tolist()
    assert layout.unconditional([1, 23, 22, 7, 4]) == [1, 0, 0, 0, 4]


def test_codes_are_those_of_transformers(theirs, layout, language):
    wanted = [drawn(theirs, prompt)[0].tolist() for prompt in PROMPTS]
    assert len(set(map(tuple, wanted))) == 3
    assert min(len(set(codes)) for codes in wanted) >= 4  # not one id for ever
    requests = [layout.draw(prompt, layout.config.grid, 0, GREEDY) for prompt in PROMPTS]
    drafts = draft(Engine(language, max_jobs=3), requests)
    assert [layout.codes(ids, layout.config.grid).ravel().tolist() for ids in drafts] == wanted
    ahead = GREEDY.change(num_draft_tokens=3)
    assert draft(Engine(language), [layout.draw(PROMPTS[0], layout.config.grid, 0, ahead)]) == drafts[:1]


def test_pixels_are_those_of_transformers(janus, theirs):
    model, processor = theirs
    codes = drawn(theirs, PROMPTS[1])
    with torch.inference_mode():
        wanted = model.decode_image_tokens(codes)[0].numpy()
    decoder = Vq.load(janus)
    grids = codes.numpy().reshape(1, 4, 4)
    np.testing.assert_array_equal(decoder.pixels(grids)[0].transpose(1, 2, 0), wanted)
    assert wanted.std() > 0.1
    picture = processor.postprocess([wanted.transpose(2, 0, 1)], return_tensors="PIL.Image.Image")["pixel_values"][0]
    np.testing.assert_array_equal(images.to_bytes(decoder.decode(grids))[0], np.asarray(picture))
    both = np.concatenate([grids, grids[:, ::-1]])
    np.testing.assert_array_equal(decoder.pixels(both)[:1], decoder.pixels(grids))


def test_pictures_become_codes_as_in_transformers(janus, theirs):
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32)
    with torch.inference_mode():
        wanted = theirs[0].model.vqmodel.encode(torch.from_numpy(pixels)).image_tokens.numpy().reshape(2, 4, 4)
    np.testing.assert_array_equal(Vq.load(janus).encode(pixels), wanted)


def test_captions_are_those_of_transformers(theirs, layout, language):
    model, processor = theirs
    levels = np.random.default_rng(1).integers(0, 256, (40, 64, 3), np.uint8)  # not square: the processor pads it
    picture = images.to_rgb(Image.fromarray(levels))
    text = said(processor, {"type": "image"}, {"type": "text", "text": "describe this picture"})
    inputs = processor(text=text, images=[picture], generation_mode="text", return_tensors="pt")
    wanted = model.generate(**inputs, do_sample=False, max_new_tokens=12, max_length=None)
    wanted = wanted[0, inputs["input_ids"].shape[1] :].tolist()
    prompt = Reader(layout, language.vectors).prompt(picture, "describe this picture")
    (answer,) = draft(Engine(language), [replace(layout.read(prompt), limit=12)])
    assert answer == wanted


def test_sampling_is_decided_by_the_seed_alone(layout, language):
    requests = [layout.draw(PROMPTS[0], layout.config.grid, seed, PARAMS) for seed in (1, 2, 3)]
    together = draft(Engine(language, max_jobs=3), requests)
    assert len(set(map(tuple, together))) == 3
    if language.exact:
        assert together == [draft(Engine(language), [request])[0] for request in requests]


def test_a_partial_draft_has_a_grid(layout):
    codes = layout.codes([99 + 5, 99 + 63], layout.config.grid)
    assert codes.tolist() == [[5, 63, -1, -1], *[[-1] * 4] * 3]


def test_only_the_one_size_is_drawn(layout):
    assert layout.grid_of((64, 64)) == (4, 4)
    with pytest.raises(ImageError, match="64x64"):
        layout.grid_of((128, 64))


@pytest.mark.parametrize("change", [{"num_key_value_heads": 2}, {"rope_parameters": {"rope_theta": 500.0}}])
def test_other_llamas_are_the_same_too(change, tmp_path):
    """Shared keys and another rope, a text head of its own, no chat template, no BOI in the generation config."""
    from transformers import JanusForConditionalGeneration, JanusProcessor

    make(tmp_path, template=None, tied=False, **change)
    (tmp_path / "generation_config.json").unlink()
    model, processor = (
        JanusForConditionalGeneration.from_pretrained(tmp_path).eval(),
        JanusProcessor.from_pretrained(tmp_path),
    )
    inputs = processor(text=PROMPTS[0], generation_mode="image", return_tensors="pt")
    model.generation_config.generation_kwargs = {"boi_token_id": 4}
    wanted = model.generate(**inputs, generation_mode="image", do_sample=False, guidance_scale=5)
    layout = JanusParts(JanusFolder(tmp_path)).layout
    assert layout.encode(PROMPTS[0]) == inputs["input_ids"][0].tolist()
    (ids,) = draft(Engine(native.load(tmp_path)), [layout.draw(PROMPTS[0], layout.config.grid, 0, GREEDY)])
    assert layout.codes(ids, layout.config.grid).ravel().tolist() == wanted[0].tolist()
    assert layout.ids_of([{"type": "image"}, {"type": "text", "text": "a cat"}])[1] == layout.config.image_token
    picture, language = Image.new("RGB", (64, 64), "red"), native.load(tmp_path)
    assert language.text.head_VD is not language.text.embedding_VD
    inputs = processor(text="<image_placeholder>a cat", images=[picture], generation_mode="text", return_tensors="pt")
    answer = model.generate(**inputs, do_sample=False, max_new_tokens=6, max_length=None)
    prompt = Reader(layout, language.vectors).prompt(picture, "a cat")
    (ids,) = draft(Engine(language), [replace(layout.read(prompt), limit=6)])
    assert ids == answer[0, inputs["input_ids"].shape[1] :].tolist()


def test_bfloat16_stays_bfloat16(janus, tmp_path):
    make(tmp_path, dtype=torch.bfloat16)
    assert native.load(tmp_path).text.precise is False
    assert native.load(janus).text.precise is True
    assert pytorch.load(tmp_path).dtype == torch.bfloat16
    assert Vq.load(tmp_path).network.dtype == torch.bfloat16
    layout = JanusParts(JanusFolder(tmp_path)).layout
    (ids,) = draft(Engine(native.load(tmp_path)), [layout.draw(PROMPTS[0], layout.config.grid, 0, GREEDY)])
    assert np.isfinite(Vq.load(tmp_path).decode(layout.codes(ids, layout.config.grid)[None])).all()


def test_every_tensor_of_janus_pro_1b_is_where_it_is_looked_for():
    """The published sizes on the meta device; no weights are made."""
    from transformers import JanusConfig, JanusForConditionalGeneration, LlamaConfig

    text = LlamaConfig(
        vocab_size=102400,
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=24,
        num_attention_heads=16,
        num_key_value_heads=16,
        max_position_embeddings=16384,
    )
    with torch.device("meta"):
        model = JanusForConditionalGeneration(JanusConfig(text_config=text.to_dict()))
    config = Config.of(model.config.to_dict(), {"bos_token_id": 100000, "eos_token_id": 100001, "pad_token_id": 100002})
    assert (config.grid, config.patch, config.codebook_size, config.text_size) == ((24, 24), 16, 16384, 102400)
    state = model.state_dict()
    found = {name: tuple(value.shape) for name, value in state.items()}
    wanted = {weights.CODES + name: shape for name, shape in weights.image_shapes(config).items()}
    text_config, text_state = weights.language(state, config)
    for name, (shape, _) in expected.language(text_config).items():
        wanted[weights.LANGUAGE + name.removeprefix("model.") if name != "lm_head.weight" else name] = shape
    assert wanted.items() <= found.items()
    manifest.check("language", text_config, text_state)
    assert weights.image_codes(state, config)
    rest = {name for name in found if name not in wanted and name != "lm_head.weight"}
    assert all(name.startswith((weights.VQ, weights.TOWER, weights.ALIGNER)) for name in rest)


@pytest.mark.parametrize(
    ("file", "changes", "match"),
    [
        ("config.json", {"vq_config": {"num_embeddings": 32}}, "embeddings.weight"),
        ("config.json", {"vq_config": {"projection_dim": 32}}, "projection_dim"),
        ("config.json", {"vq_config": {"hidden_act": "relu"}}, "hidden_act"),
        ("config.json", {"vision_config": {"image_size": 80}}, "num_image_tokens"),
        ("config.json", {"vision_config": {"num_hidden_layers": 10**9}}, "num_hidden_layers"),
        ("config.json", {"vision_config": {"depth": 10**9}}, "depth"),
        ("config.json", {"vq_config": {"num_res_blocks": "two"}}, "num_res_blocks"),
        ("config.json", {"text_config": {"num_hidden_layers": 3}}, "layers.2"),
        ("config.json", {"text_config": {"model_type": "mamba"}}, "model_type"),
        ("config.json", {"text_config": 7}, "text_config"),
        ("generation_config.json", {"generation_kwargs": {"boi_token_id": 1000}}, "boi_token_id"),
        ("generation_config.json", {"pad_token_id": "none"}, "pad_token_id"),
    ],
)
def test_what_does_not_fit_is_named(janus, tmp_path, file, changes, match):
    folder = shutil.copytree(janus, tmp_path / "damaged")
    content = json.loads((folder / file).read_text())
    for key, change in changes.items():
        content[key] = content[key] | change if isinstance(change, dict) else change
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=match):
        native.load(folder)


@pytest.mark.parametrize(
    ("part", "change", "match"),
    [
        ("vq_config", {"base_channels": 64}, "vqmodel"),
        ("vq_config", {"base_channels": 1 << 20}, "vqmodel"),  # terabytes
        ("vision_config", {"hidden_size": 1 << 20}, "vision_model"),
        ("vision_config", {"num_attention_heads": 5}, "vision_model"),
    ],
)
def test_what_transformers_is_to_compute_is_checked(janus, tmp_path, part, change, match):
    folder = shutil.copytree(janus, tmp_path / "damaged")
    content = json.loads((folder / "config.json").read_text())
    content[part] |= change
    (folder / "config.json").write_text(json.dumps(content))
    parts = JanusParts(JanusFolder(folder))
    with pytest.raises(ModelError, match=match) as found:
        _ = parts.vq, parts.reader
    assert "\n" not in str(found.value)


def test_a_template_that_fails_is_refused(janus, tmp_path):
    folder = shutil.copytree(janus, tmp_path / "damaged")
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no\\nno') }}")
    with pytest.raises(ModelError, match=r"can't encode a prompt \(no\)"):
        JanusParts(JanusFolder(folder)).layout.encode("a cat")


def test_a_template_with_places_for_two_pictures_is_refused(janus, tmp_path):
    folder = shutil.copytree(janus, tmp_path / "damaged")
    (folder / "chat_template.jinja").write_text("<image_placeholder> <image_placeholder>")
    with pytest.raises(ModelError, match="2 places for a picture"):
        JanusParts(JanusFolder(folder)).read(np.zeros((1, 64, 64, 3), np.uint8), "en", 0, 0.0)


def test_an_encoder_of_damaged_weights_is_refused(janus):
    parts = JanusParts(JanusFolder(janus))
    parts.vq.network.quantize.embedding.weight.data[3] = float("nan")
    with pytest.raises(ModelError, match="image tokenizer computes numbers that are not finite"):
        parts.encode(np.zeros((1, 64, 64, 3), np.uint8))
