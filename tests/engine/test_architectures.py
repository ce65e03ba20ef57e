"""Directories that transformers has just saved, of every architecture that our forward passes support, against its own
logits: cached as uncached, after a shared prefix, in a batch as alone."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from lantu import kernels
from lantu.engine import masked_diffusion
from lantu.engine.backends import huggingface, native, pytorch, stock, vllm_engine
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.engine.request import Request
from lantu.errors import LantuError, ModelError
from lantu.kernels import plain

IDS = [5, 17, 3, 99, 42, 7, 60]
EVERY = (range(100),)
SMALL = {
    "vocab_size": 100,
    "hidden_size": 64,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 16}
MSCALED = YARN | {"mscale": 1.0, "mscale_all_dim": 0.5, "beta_fast": 8, "beta_slow": 2, "truncate": False}
MODELS = {  # name → model_type, what differs from SMALL
    "qwen2": ("qwen2", {}),
    "qwen2 tied": ("qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", {"head_dim": 32}),
    "mistral": ("mistral", {"sliding_window": None, "head_dim": 32}),
    "smollm2": (
        "llama",
        {"tie_word_embeddings": True, "num_attention_heads": 3, "num_key_value_heads": 1, "hidden_size": 48},
    ),
    "gemma": ("gemma", {"head_dim": 32}),
    "gemma untied": ("gemma", {"head_dim": 32, "tie_word_embeddings": False}),
    "linear": ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.5}}),
    "llama3": ("llama", {"rope_parameters": LLAMA3}),
    "yarn": ("qwen2", {"rope_parameters": YARN}),
    "yarn mscaled": ("llama", {"rope_parameters": MSCALED}),
}
HOMES = ("native", "NumPy", "torch")


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """name → (directory, transformers' model)."""
    kept = {}

    def save(name, dtype=torch.float32):
        from transformers import AutoConfig, AutoModelForCausalLM

        if (name, dtype) not in kept:
            kind, differs = MODELS[name]
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SMALL | differs)).eval()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.normal_(std=0.2)
                    if parameter.ndim == 1 and kind != "gemma":
                        parameter.add_(1)
            folder = tmp_path_factory.mktemp("model")
            model.to(dtype).save_pretrained(folder)
            kept[name, dtype] = folder, model.float()
        return kept[name, dtype]

    return save


def load(home, folder, monkeypatch):
    if home == "torch":
        return pytorch.Language.load(folder, dtype=None)
    if home == "NumPy":
        monkeypatch.setattr(kernels, "_module", lambda: plain)
    elif kernels.reason():
        pytest.skip(kernels.reason())
    return native.Language.load(folder)


def logits(language, rows, ranges=EVERY) -> np.ndarray:
    return np.asarray(language.logits(rows, ranges))


def alone(language, ids) -> np.ndarray:
    row = language.open(len(ids))
    language.read([row], [ids])
    return logits(language, [row])[0]


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_computes_what_transformers_computes(name, home, saved, monkeypatch):
    folder, theirs = saved(name)
    ours = load(home, folder, monkeypatch)
    wanted = theirs(torch.tensor([IDS])).logits[0].numpy()
    assert wanted.std() > 0.1
    # alone, at once
    for length in (1, 4, 7):
        np.testing.assert_allclose(alone(ours, IDS[:length]), wanted[length - 1], rtol=2e-4, atol=2e-4)
    # cached, after a shared prefix, in a batch
    prefix = ours.open(2)
    ours.read([prefix], [IDS[:2]])
    rows = [ours.open(5, prefix), ours.open(5, prefix), ours.open(7)]
    ours.read(rows, [IDS[2:3], IDS[2:5], IDS[:4]])
    ours.read(rows[:2], [IDS[3:6], IDS[5:6]])
    got = logits(ours, rows)
    for place, length in enumerate((6, 6, 4)):
        np.testing.assert_allclose(got[place], wanted[length - 1], rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("name", ["qwen2", "gemma", "mistral"])
def test_in_bfloat16_it_is_nearly_the_same(name, home, saved, monkeypatch):
    folder, theirs = saved(name, torch.bfloat16)
    wanted = theirs(torch.tensor([IDS])).logits[0, -1].numpy()
    assert np.abs(alone(load(home, folder, monkeypatch), IDS) - wanted).max() < 0.06 * np.abs(wanted).max()


@pytest.mark.parametrize("name", ["qwen2", "gemma"])
def test_on_native_code_a_batch_changes_not_one_bit(name, saved, monkeypatch):
    ours = load("native", saved(name, torch.bfloat16)[0], monkeypatch)
    rows = [ours.open(length) for length in range(1, 8)]
    ours.read(rows, [IDS[:length] for length in range(1, 8)])
    for length, together in enumerate(logits(ours, rows), 1):
        assert np.array_equal(alone(ours, IDS[:length]), together)


# ---- GLM-Image: positions of three axes, a half-rotated head, post norms, a short head

GRID = [[1, 4, 4], [1, 2, 2]]  # drawn last to first: the preview, then the picture
PROMPT = [500, 501, 502, 503, 504, 128]
GLM_EVERY = (range(130),)


def glm_config(factor=1.0):
    from transformers import GlmImageConfig

    text = {
        **{"vocab_size": 700, "hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 2},
        **{"num_attention_heads": 2, "num_key_value_heads": 1, "vision_vocab_size": 130},
        **{"pad_token_id": 600, "eos_token_id": 129},
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 500.0,
            "partial_rotary_factor": factor,
            "mrope_section": [4, 6, 6] if factor == 1 else [2, 3, 3],
        },
    }
    return GlmImageConfig(
        text_config=text,
        vision_config={
            **{"depth": 1, "hidden_size": 32, "num_heads": 2},
            **{"intermediate_size": 64, "image_size": 64, "patch_size": 16},
        },
        vq_config={"embed_dim": 16, "num_embeddings": 128, "latent_channels": 32},
        **{"image_token_id": 601, "image_start_token_id": 128, "image_end_token_id": 129},
    )


@pytest.fixture(scope="module", params=[1.0, 0.5])
def glm(request, tmp_path_factory):
    """transformers' model, the language model's config and tensors, positions of prompt and draft (N, 3)."""
    from transformers import GlmImageForConditionalGeneration

    from lantu.weights import arrays

    torch.manual_seed(0)
    model = GlmImageForConditionalGeneration(glm_config(request.param)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    folder = tmp_path_factory.mktemp("glm")
    model.save_pretrained(folder)
    state = {
        name.replace("model.language_model.", "model."): value
        for name, value in arrays.read(folder).items()
        if name.startswith(("model.language_model.", "lm_head."))
    }
    config = json.loads((folder / "config.json").read_text())["text_config"]
    ids = torch.tensor([PROMPT])
    positions, _ = model.model.get_rope_index(ids, torch.tensor(GRID), torch.tensor([2]), torch.ones_like(ids))
    positions_3N = torch.cat([positions[:, 0], model.model._cached_decode_position_ids[0]], 1)
    return model, config, state, positions_3N.T.numpy()


def glm_language(home, glm, monkeypatch):
    _, config, state, _ = glm
    if home == "torch":
        return pytorch.Language(config, {name: torch.from_numpy(value.copy()) for name, value in state.items()})
    if home == "NumPy":
        monkeypatch.setattr(kernels, "_module", lambda: plain)
    elif kernels.reason():
        pytest.skip(kernels.reason())
    return native.Language(config, state, precise=True)


@pytest.mark.parametrize("home", HOMES)
def test_glm_images_text_model_reads_positions_of_three_axes(home, glm, monkeypatch):
    model, _, _, positions_N3 = glm
    ids = [*PROMPT, *range(3, 22)]
    at = torch.from_numpy(positions_N3[: len(ids)].T)[:, None]
    hidden = model.model.language_model(torch.tensor([ids]), position_ids=at).last_hidden_state
    wanted = model.lm_head(hidden)[0].numpy()
    language = glm_language(home, glm, monkeypatch)
    prefix = language.open(6)
    language.read([prefix], [ids[:6]], [positions_N3[:6]])
    rows = [language.open(19, prefix), language.open(19, prefix)]
    language.read(rows, [ids[6:7], ids[6:9]], [positions_N3[6:7], positions_N3[6:9]])
    language.read(rows, [ids[7:25], [1]], [positions_N3[7:25], positions_N3[9:10]])
    np.testing.assert_allclose(logits(language, rows[:1], GLM_EVERY)[0], wanted[-1], rtol=2e-4, atol=2e-4)
    language.rewind(rows[1], 9)  # a rejected draft token
    language.read([rows[1]], [ids[9:13]], [positions_N3[9:13]])
    np.testing.assert_allclose(logits(language, rows[1:], GLM_EVERY)[0], wanted[12], rtol=2e-4, atol=2e-4)
    # text alone counts 0, 1, 2, … on every axis, beside a row with positions
    text = model.lm_head(model.model.language_model(torch.tensor([PROMPT])).last_hidden_state)[0, -1].numpy()
    both = [language.open(6), language.open(6)]
    language.read(both, [PROMPT, PROMPT], [None, positions_N3[:6] + 3])
    np.testing.assert_allclose(logits(language, both, GLM_EVERY)[0], text, rtol=2e-4, atol=2e-4)
    with pytest.raises(IndexError):  # the head has fewer rows than the embedding
        logits(language, rows, (range(120, 140),))


@pytest.mark.parametrize("home", HOMES)
def test_the_engine_drafts_what_glm_image_generates(home, glm, monkeypatch):
    model, _, _, positions_N3 = glm
    out = model.generate(
        input_ids=torch.tensor([PROMPT]),
        image_grid_thw=torch.tensor(GRID),
        images_per_sample=torch.tensor([2]),
        max_new_tokens=20,
        suppress_tokens=[128, 129],
        do_sample=False,
    )
    wanted = out[0, len(PROMPT) :].tolist()
    assert len(wanted) == 20
    assert len(set(wanted)) > 1
    language = glm_language(home, glm, monkeypatch)
    request = Request(PROMPT, (range(128),), limit=20, temperature=0, positions=positions_N3)
    shifted = replace(request, positions=positions_N3 + 5)
    for asked in (request, replace(request, num_draft_tokens=3), replace(request, positions=positions_N3[:25])):
        assert draft(Engine(language), [asked]) == [wanted]
    engine = Engine(language, max_jobs=4)
    assert draft(engine, [request, shifted, request])[::2] == [wanted, wanted]
    assert len(engine.prefixes) == 2  # the same prompt at other positions is another prefix


def test_positions_are_checked(saved, monkeypatch):
    positions = np.zeros((10, 3), int)
    Request([1, 2], EVERY, limit=9, positions=positions)
    for bad in (positions[:9], positions[:, :2], positions - 1, positions + (1 << 40), positions[0]):
        with pytest.raises(ValueError, match="positions must be"):
            Request([1, 2], EVERY, limit=9, positions=bad)
    with pytest.raises(ValueError, match="unconditional"):
        Request([1, 2], EVERY, limit=9, positions=positions, unconditional=[1], guidance=2.0)
    Request(
        [1], EVERY, limit=9, positions=positions, unconditional=[1], guidance=2.0, unconditional_positions=positions
    )
    placed = Request([1, 2], EVERY, limit=9, positions=positions)
    languages = [huggingface.Language(saved("qwen2")[1])]
    languages += [load(home, saved("qwen2")[0], monkeypatch) for home in HOMES]
    for language in languages:  # of positions of one axis
        with pytest.raises(LantuError, match="one axis"):
            draft(Engine(language), [placed])
    with pytest.raises(LantuError, match="three axes"):
        vllm_engine.check(placed)
    with pytest.raises(ValueError, match="positions"):
        masked_diffusion.check(placed)


# ---- what lantu's own code doesn't know

FOREIGN = {
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "gemma2": {"head_dim": 32, "sliding_window": 4, "query_pre_attn_scalar": 32},
    "gemma3_text": {"head_dim": 32, "sliding_window": 4, "query_pre_attn_scalar": 32},
    "mistral": {"sliding_window": 3},
    "llama": {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 500.0, "factor": 2.0}},
    "qwen2": {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_transformers_runs_what_lantus_own_code_refuses(kind, tmp_path):
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SMALL | FOREIGN[kind])).eval()
    theirs.save_pretrained(tmp_path)
    for device in ("cpu", "meta"):  # kernels and torch
        with pytest.raises(ModelError, match="can't draft with") as refused:
            stock.load(tmp_path, device)
        assert "--backend transformers" in str(refused.value.hint)
    ours = stock.load(tmp_path, backend="transformers")
    wanted = theirs(torch.tensor([IDS])).logits[0].numpy()
    prefix = ours.open(2)
    ours.read([prefix], [IDS[:2]])
    rows = [ours.open(5, prefix), ours.open(7)]
    ours.read(rows, [IDS[2:3], IDS[:4]])
    ours.read(rows[:1], [IDS[3:6]])
    for got, length in zip(logits(ours, rows), (6, 4), strict=True):
        np.testing.assert_allclose(got, wanted[length - 1], rtol=2e-4, atol=2e-4)
    ours.read(rows[:1], [[8]])
    ours.rewind(rows[0], 5)  # rejected draft tokens
    ours.read(rows[:1], [IDS[5:7]])
    np.testing.assert_allclose(logits(ours, rows[:1])[0], wanted[6], rtol=2e-4, atol=2e-4)


def test_widths_that_the_kernels_dont_take_run_on_torch(tmp_path):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    theirs = Qwen2ForCausalLM(Qwen2Config(**SMALL | {"hidden_size": 40})).eval()
    theirs.save_pretrained(tmp_path)
    if not kernels.reason():
        assert isinstance(stock.load(tmp_path), pytorch.Language)
    wanted = theirs(torch.tensor([IDS])).logits[0, -1].numpy()
    np.testing.assert_allclose(alone(stock.load(tmp_path), IDS), wanted, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("name", ["qwen2", "gemma"])
def test_a_missing_or_odd_tensor_is_refused_by_name(name, home, saved, monkeypatch, tmp_path):
    from safetensors.torch import load_file, save_file

    folder, _ = saved(name)
    state = load_file(folder / "model.safetensors")
    wrong = "model.layers.1.self_attn.k_proj.bias" if name == "qwen2" else "model.layers.1.mlp.up_proj.weight"
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    for change in ({}, {wrong: state[wrong][:-1].contiguous()}):
        save_file({key: value for key, value in state.items() if key != wrong} | change, tmp_path / "model.safetensors")
        with pytest.raises(ModelError, match=wrong):
            load(home, tmp_path, monkeypatch)


@pytest.mark.parametrize("old", [True, False])
def test_both_spellings_of_rope_are_read(old, saved, tmp_path):
    """Directories written before transformers 5 say rope_scaling and rope_theta, some "type" for "rope_type"."""
    folder, theirs = saved("llama3")
    config = json.loads((folder / "config.json").read_text())
    scaling = config.pop("rope_parameters")
    config |= {"rope_theta": scaling.pop("rope_theta")}
    if old:
        scaling["type"] = scaling.pop("rope_type")
    (tmp_path / "config.json").write_text(json.dumps(config | {"rope_scaling": scaling}))
    shutil.copy(folder / "model.safetensors", tmp_path)
    wanted = theirs(torch.tensor([IDS])).logits[0, -1].numpy()
    np.testing.assert_allclose(alone(pytorch.Language.load(tmp_path), IDS), wanted, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("home", [*HOMES, "transformers"])
def test_ids_that_must_come_need_no_logits_and_heads_are_kept(home, saved, monkeypatch):
    """Rows of codes with an id after each, as in Emu3: one head serves the whole draft."""
    folder, theirs = saved("qwen2")
    language = huggingface.Language(theirs) if home == "transformers" else load(home, folder, monkeypatch)
    codes, end = (range(20, 80),), (range(90, 91),)
    asked = []
    plain_logits = language.logits
    monkeypatch.setattr(
        language, "logits", lambda rows, ranges, backs: asked.append(ranges) or plain_logits(rows, ranges, backs)
    )
    request = Request([1, 2], lambda ids: end if len(ids) % 4 == 3 else codes, limit=16, seed=1, top_k=5)
    (ids,) = draft(Engine(language), [request])
    assert [id_ for id_ in ids if id_ == 90] == ids[3::4] == [90] * 4
    assert set(asked) == {codes}
    assert home == "transformers" or set(language.text.heads_kept) == {codes}
