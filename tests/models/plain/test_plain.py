"""Described models in lantu against transformers' guided generate and its decoders, on tiny random weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from guided_generate import generated
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.errors import AbilityError, DataError, ImageError, LantuError, ModelError, PromptError
from lantu.kernels import MULTIPLE
from lantu.models.plain.folder import PlainFolder
from lantu.models.plain.parts import PlainParts
from lantu.weights import manifest
from lantu.weights.architecture import Sizes
from tiny_plain import CODES, LAYOUT, TEXT, language, make, tokenizer

PROMPT = "a red cat"
GREEDY = {"temperature": 0, "top_k": 0}


def opened(folder, backend="native") -> PlainParts:
    return PlainParts(PlainFolder(folder).check(), "cpu", backend)


def written(folder, content) -> None:
    (folder / "lantu_layout.json").write_text(json.dumps(content))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma"])
@pytest.mark.parametrize("grid", [(4, 4), (2, 6)])
def test_codes_are_those_of_transformers(architecture, grid, tmp_path):
    make(tmp_path, architecture)
    text, codes = f"{PROMPT} <boi> {grid[0]}*{grid[1]}", range(TEXT, TEXT + CODES)
    wanted = generated(tmp_path, text, "<unconditional><boi>", codes, grid[0] * grid[1], 3.0)
    assert len(set(wanted)) >= 2
    for backend in ("native", "transformers"):
        parts = opened(tmp_path, backend)
        params = parts.folder.settings.change(**GREEDY)
        (ids,) = draft(parts.drafter, [parts.layout.draw(PROMPT, grid, 0, params)])
        assert ids == wanted
        assert (parts.layout.codes(ids, grid).ravel() + TEXT).tolist() == wanted


def test_rows_may_end_with_an_id(tmp_path):
    make(tmp_path, row_end="<eol>")
    end = tokenizer().convert_tokens_to_ids("<eol>")
    text, codes = f"{PROMPT} <boi> 3*5", range(TEXT, TEXT + CODES)
    drawn = generated(tmp_path, text, "<unconditional><boi>", codes, 18, 3.0, row=(5, end))
    parts = opened(tmp_path)
    (ids,) = draft(parts.drafter, [parts.layout.draw(PROMPT, (3, 5), 0, parts.folder.settings.change(**GREEDY))])
    assert ids == [id_ for id_ in drawn if id_ != end]
    height, width = parts.folder.grid
    assert parts.folder.describe()["ids"] == height * (width + 1)


def test_codes_may_be_tokens_and_prompts_conversations(tmp_path):
    """As Tar has them: a chat template, a token for each code, no guidance, and no BOS."""
    from transformers import AutoTokenizer

    words = tokenizer(tuple(f"<I{code}>" for code in range(CODES)))
    language(tmp_path, "qwen2", TEXT + CODES + 3, words=words)
    (tmp_path / "decoder").mkdir()
    chat = [{"role": "system", "content": "the cat"}, {"role": "user", "content": "{prompt}"}]
    codes = {"token": "<I{}>", "size": CODES}
    changes = {"chat": chat, "prompt": "{chat}<im_start><S0>", "special_tokens": False, "codes": codes, "sampling": {}}
    written(tmp_path, {**LAYOUT, **changes, "unconditional": None})
    words = AutoTokenizer.from_pretrained(tmp_path)
    text = words.apply_chat_template(
        [{"role": "system", "content": "the cat"}, {"role": "user", "content": PROMPT}], tokenize=False
    )
    parts = opened(tmp_path)
    request = parts.layout.draw(PROMPT, (4, 4), 0, parts.folder.settings.change(temperature=0))
    assert request.prefix == words(f"{text}<im_start><S0>", add_special_tokens=False)["input_ids"]
    assert (request.unconditional, request.guided) == (None, False)
    drawn = generated(tmp_path, f"{text}<im_start><S0>", "a", range(TEXT, TEXT + CODES), 16, 1.0, special=False)
    assert draft(parts.drafter, [request]) == [drawn]
    written(tmp_path, {**LAYOUT, "codes": {"token": "<I{}>", "size": CODES + 1}})
    with pytest.raises(ModelError, match="<I64>"):
        _ = opened(tmp_path).layout.first_code


@pytest.mark.parametrize(
    ("name", "architecture", "ids", "first", "prompt", "unconditional"),
    [
        ("liquid", "gemma", 264192, 256000, "{} Generate an image based on this description.<boi>",
         "<unconditional><boi>"),
        ("simplear", "qwen2", TEXT + 64000, TEXT, "<|t2i|>A highly realistic image of {}<|soi|>", None),
    ],
)  # fmt: skip
def test_published_directories_are_known(name, architecture, ids, first, prompt, unconditional, tmp_path):
    """Their own config, ids and templates; 12 codes of many, for speed."""
    class_name = "SimpARForCausalLM" if name == "simplear" else ""
    language(tmp_path, architecture, ids, class_name=class_name, hidden_size=32, max_position_embeddings=8192)
    folder = PlainFolder(tmp_path)
    assert folder.describe()["layout"].lower() == name
    with pytest.raises(ModelError, match="no decoder"):
        folder.check()
    parts = PlainParts(folder)
    request = parts.layout.draw(PROMPT, folder.grid, 0, folder.settings.change(**GREEDY, top_p=1.0))
    assert request.limit == folder.grid[0] * folder.grid[1]
    assert request.allowed == (range(first, first + folder.codebook_size),)
    negative = unconditional or folder.description.unconditional
    drawn = generated(tmp_path, prompt.format(PROMPT), negative, *request.allowed, 12, folder.settings.guidance)
    assert draft(parts.drafter, [replace(request, limit=12)]) == [drawn]


@pytest.mark.parametrize(
    ("architecture", "sizes"),
    [
        ("gemma", {"vocab_size": 264192}),  # Liquid: transformers' defaults are those of Gemma 7B
        ("qwen2", {"vocab_size": 217216}),  # SimpleAR-1.5B and Tar-1.5B: Qwen2.5-1.5B with more ids
        ("qwen2", {"vocab_size": 217216, "tie_word_embeddings": False}),
    ],
)
def test_every_tensor_of_published_sizes_is_where_it_is_looked_for(architecture, sizes):
    """On the meta device; no weights are made."""
    from transformers import GemmaConfig, GemmaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    qwen = {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12}
    qwen |= {"num_key_value_heads": 2, "max_position_embeddings": 32768, "tie_word_embeddings": True}
    with torch.device("meta"):
        if architecture == "gemma":
            model = GemmaForCausalLM(GemmaConfig(**sizes))
        else:
            model = Qwen2ForCausalLM(Qwen2Config(**{**qwen, **sizes}))
    config, state = model.config.to_dict(), model.state_dict()
    if config["tie_word_embeddings"]:
        del state["lm_head.weight"]  # which transformers does not save twice
    manifest.check("language", config, state)
    found = Sizes.of(config)
    assert found.ids == sizes["vocab_size"]
    assert not found.width % MULTIPLE + found.head_width % MULTIPLE  # the kernels take it


def test_a_drawing_is_the_same_alone_and_among_others(plain):
    parts = opened(plain)
    settings = parts.folder.settings
    requests = [
        parts.layout.draw(PROMPT, grid, seed, settings) for seed, grid in ((1, (4, 4)), (2, (2, 6)), (3, (5, 5)))
    ]
    together = draft(Engine(parts.language, max_jobs=3), requests)
    assert together == [draft(Engine(parts.language), [request])[0] for request in requests]
    ahead = replace(requests[0], num_draft_tokens=3)
    assert draft(Engine(parts.language), [ahead]) == together[:1]


def test_pixels_are_those_of_transformers(plain):
    from transformers.models.janus.modeling_janus import JanusVQVAE

    codes = np.random.default_rng(0).integers(0, CODES, (2, 4, 4))
    model = JanusVQVAE.from_pretrained(plain / "decoder").eval()
    with torch.inference_mode():
        wanted = model.decode(torch.from_numpy(codes).flatten(1)).numpy()
    parts = opened(plain)
    np.testing.assert_allclose(parts.renderer.pixels(codes), wanted, atol=3e-6)  # another library's attention
    levels = np.rint((wanted.clip(-1, 1) + 1) * 127.5).transpose(0, 2, 3, 1)
    found = parts.render(codes, [0, 0], parts.folder.settings)
    assert np.abs(found.astype(int) - levels).max() <= 1
    np.testing.assert_array_equal(found[:1], parts.render(codes[:1], [0], parts.folder.settings))
    with pytest.raises(DataError, match="7x7"):
        parts.render(np.zeros((1, 7, 7), np.int64), [0], parts.folder.settings)


def test_emu3s_vq_model_renders_too(tmp_path):
    from transformers import Emu3VQVAE, Emu3VQVAEConfig

    sizes = {"base_channels": 32, "channel_multiplier": [1, 1, 1], "num_res_blocks": 1, "temporal_downsample_factor": 2}
    model = Emu3VQVAE(Emu3VQVAEConfig(codebook_size=CODES, hidden_size=32, attn_resolutions=[1], **sizes)).eval()
    language(tmp_path, "llama", TEXT + CODES)
    model.save_pretrained(tmp_path / "decoder")
    written(tmp_path, {**LAYOUT, "decoder": {"kind": "emu3"}})
    codes = np.random.default_rng(0).integers(0, CODES, (1, 3, 5))
    with torch.inference_mode():
        wanted = model.decode(torch.from_numpy(codes)).numpy()
    parts = opened(tmp_path)
    found = parts.render(codes, [0], parts.folder.settings)
    np.testing.assert_array_equal(found, np.rint((wanted.clip(-1, 1) + 1) * 127.5).transpose(0, 2, 3, 1))


def test_a_decoder_of_lantus_own_renders_too(tmp_path, tiny_model):
    language(tmp_path, "llama", TEXT + 32)
    decoder = {"kind": "lantu", "folder": "decoder"}
    written(tmp_path, {**LAYOUT, "codes": {"first": "tokenizer", "size": 32}, "patch": 8, "decoder": decoder})
    (tmp_path / "decoder").symlink_to(tiny_model / "decoder")
    from lantu.pipeline import Model

    model, ours = Model.load(tmp_path, "cpu"), Model.load(tiny_model, "cpu")
    picture = model.draw(PROMPT, seed=3, steps=2)
    again = ours.render(picture.codes, seed=3, steps=2)
    assert picture.image.tobytes() == again.image.tobytes()
    assert model.parts.previews
    assert len(list(model.stream(PROMPT, seed=3, steps=1))) > 1
    written(tmp_path, {**LAYOUT, "decoder": decoder})
    with pytest.raises(ModelError, match="32 codes of 8 pixels"):
        opened(tmp_path).render(np.zeros((1, 4, 4), np.int64), [0], model.folder.settings)


def test_a_pipeline_renders_features_of_codes(tmp_path):
    from diffusers import SanaPipeline
    from safetensors.torch import save_file

    from tiny_tar import WIDTH, make_sana

    language(tmp_path, "llama", TEXT + CODES)
    make_sana(tmp_path / "decoder")
    torch.manual_seed(1)
    state = {
        "codes": torch.randn(CODES, WIDTH),
        "positions": torch.randn(16, WIDTH),
        "negative": torch.zeros(16, WIDTH),
    }
    save_file(state, tmp_path / "decoder" / "features.safetensors")
    written(tmp_path, {**LAYOUT, "patch": 8, "decoder": {"kind": "pipeline"}})
    parts, codes = opened(tmp_path), np.random.default_rng(0).integers(0, CODES, (1, 4, 4))
    params = parts.folder.settings.change(steps=2, render_guidance=3.0)
    pipeline = SanaPipeline.from_pretrained(tmp_path / "decoder", text_encoder=None, tokenizer=None)
    features = (state["codes"][torch.from_numpy(codes).flatten()] + state["positions"])[None]
    mask = torch.ones(1, 16)
    wanted = pipeline(
        prompt_embeds=features,
        prompt_attention_mask=mask,
        negative_prompt=None,
        negative_prompt_embeds=state["negative"][None],
        negative_prompt_attention_mask=mask,
        num_inference_steps=2,
        guidance_scale=3.0,
        width=32,
        height=32,
        use_resolution_binning=False,
        generator=torch.Generator().manual_seed(5),
    ).images[0]
    assert np.abs(parts.render(codes, [5], params)[0].astype(int) - np.asarray(wanted)).max() <= 1
    unused = {"sampler", "refine", "refine_steps", "passes", "shots", "num_codes"}
    assert set(parts.folder.unused_params) == unused
    save_file({**state, "codes": torch.randn(CODES, 3)}, tmp_path / "decoder" / "features.safetensors")
    with pytest.raises(ModelError, match="differ in width"):
        opened(tmp_path).render(codes, [5], params)


@pytest.mark.parametrize(
    ("ask", "error", "match"),
    [
        (lambda parts: parts.layout.grid_of((28, 28)), ImageError, "choose 16x16 or 24x8 or sides from 8 to 20"),
        (lambda parts: parts.layout.draw("a " * 300, (4, 4), 0, parts.folder.settings), PromptError, "256 ids"),
        (lambda parts: parts.layout.draw("a", (4, 4), 0, parts.folder.settings.change(steps=3)), LantuError, "steps"),
        (lambda parts: parts.encode(np.zeros((1, 16, 16, 3), np.uint8)), AbilityError, "no encoder"),
        (lambda parts: PlainParts(parts.folder, "cpu", "vllm"), LantuError, "vLLM"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(plain, ask, error, match):
    with pytest.raises(error, match=match) as found:
        ask(opened(plain))
    assert "\n" not in str(found.value)
