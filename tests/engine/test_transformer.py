"""Our forward pass against transformers', cached against uncached, padded against alone."""

import subprocess
import sys

import pytest
import torch

from lantu.engine.transformer import Transformer
from lantu.errors import ModelError

IDS = torch.tensor([[5, 17, 3, 99, 42, 7, 60]])
EVERY = (range(100),)


def pair(architecture: str, tied: bool = True, dtype: torch.dtype = torch.float32):
    """The same random weights, in transformers and in ours. Norms are random too, that their use may show."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        architecture,
        vocab_size=100,
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        tie_word_embeddings=tied,
    )
    torch.manual_seed(0)
    theirs = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.uniform_(-0.3, 0.3) if parameter.ndim > 1 else parameter.uniform_(0.5, 1.5)
    theirs = theirs.to(dtype)
    return theirs, Transformer(config.to_dict(), theirs.state_dict(), dtype)


def read(model: Transformer, ids_RN: torch.Tensor) -> torch.Tensor:
    """(R, N, V): logits of every id at every place, read at once."""
    return model.logits(model(ids_RN, model.cache([ids_RN.shape[1]] * len(ids_RN), 0)), EVERY)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("architecture", ["qwen3", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_it_computes_what_transformers_computes(architecture, tied):
    theirs, ours = pair(architecture, tied)
    wanted = theirs(IDS).logits
    assert wanted.std() > 0.1
    torch.testing.assert_close(read(ours, IDS), wanted, rtol=1e-4, atol=1e-4)


def test_in_bfloat16_it_computes_nearly_that():
    theirs, ours = pair("qwen3", dtype=torch.bfloat16)
    wanted = theirs.float()(IDS).logits
    assert (read(ours, IDS) - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_reading_in_pieces_is_reading_at_once():
    _, model = pair("qwen3")
    wanted = read(model, IDS)
    for sizes in ([1] * 7, [3, 1, 1, 2], [6, 1]):
        cache = model.cache([3], 4)
        pieces = [model.logits(model(piece, cache), EVERY) for piece in IDS.split(sizes, 1)]
        torch.testing.assert_close(torch.cat(pieces, 1), wanted, rtol=1e-5, atol=1e-5)


def test_padding_and_company_change_nothing():
    _, model = pair("qwen3")
    cache = model.cache([5, 3], 2)
    padded = IDS[:, :5].repeat(2, 1)
    padded[1] = torch.tensor([77, 78, *IDS[0, :3].tolist()])
    rest = torch.tensor([[42, 7], [99, 42]])
    pieces = [model(padded, cache), model(rest[:, :1], cache), model(rest[:, 1:], cache)]
    hidden = torch.cat(pieces, 1)
    alone_long = read(model, torch.cat([IDS[:, :5], rest[:1]], 1))
    alone_short = read(model, torch.cat([IDS[:, :3], rest[1:]], 1))
    torch.testing.assert_close(model.logits(hidden[:1], EVERY), alone_long, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.logits(hidden[1:, 2:], EVERY), alone_short, rtol=1e-5, atol=1e-5)


def test_logits_of_some_ids_are_a_part_of_all():
    _, model = pair("qwen3", tied=False)
    hidden = model(IDS, model.cache([7], 0))
    every = model.logits(hidden, EVERY)
    some = model.logits(hidden, (range(10, 20), range(50, 51)))
    torch.testing.assert_close(some, every[..., [*range(10, 20), 50]])
    for number in range(20):  # more than are kept
        torch.testing.assert_close(model.logits(hidden, (range(number, 30),)), every[..., number:30])


def test_other_architectures_are_refused():
    from transformers import GPT2Config, LlamaConfig

    scaled = {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}
    for config in (GPT2Config(), LlamaConfig(attention_bias=True), LlamaConfig(rope_parameters=scaled)):
        with pytest.raises(ModelError):
            Transformer(config.to_dict(), {})


def test_what_is_missing_is_told(tmp_path):
    from transformers import Qwen3Config

    with pytest.raises(ModelError, match="embed_tokens"):
        Transformer(Qwen3Config().to_dict(), {})
    with pytest.raises(ModelError, match="num_attention_heads"):
        Transformer({"model_type": "qwen3", "hidden_act": "silu"}, {})
    with pytest.raises(ModelError, match=r"config\.json"):
        Transformer.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError):
        Transformer.load(tmp_path)


def test_drafting_starts_without_the_heavy_libraries():
    look = "import sys, lantu.engine.drafting; print({'transformers', 'diffusers'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
