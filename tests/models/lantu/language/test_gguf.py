"""A GGUF file says of a model what llama.cpp asks; where llama.cpp is installed, it computes the same."""

import importlib.util

import numpy as np
import pytest
import torch

from lantu.engine.backends.pytorch import Language
from lantu.errors import LantuError, ModelError
from lantu.kernels import to_float
from lantu.models.lantu.language import gguf
from lantu.models.lantu.language.model import export, make
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights import arrays
from lantu.weights.language_config import read_vocabulary


@pytest.fixture(scope="module", params=["qwen3", "llama"])
def folder(request, tmp_path_factory):
    """A tiny model that draws, of either architecture, with fewer heads of keys than of queries."""
    codec = bpe.train(["a cat on the left", "一只猫"] * 2, 300)
    vocabulary = Vocabulary(codec.size, 64)
    model = make(vocabulary, 64, 2, 4, key_value_heads=2, grid=(4, 4), architecture=request.param)
    folder = tmp_path_factory.mktemp(request.param)
    export(model, folder, codec)
    return folder


@pytest.fixture(scope="module")
def file(folder):
    return gguf.export(folder, folder / "model.gguf")


def test_the_file_holds_sizes_spellings_and_weights(folder, file):
    from gguf import GGUFReader

    reader = GGUFReader(file)
    config, state = arrays.read_config(folder), arrays.read(folder)
    kind, vocabulary = config["model_type"], read_vocabulary(folder)
    told = {name: field.contents() for name, field in reader.fields.items()}
    assert told["general.architecture"] == kind
    assert (told[f"{kind}.block_count"], told[f"{kind}.attention.head_count_kv"]) == (2, 2)
    assert told[f"{kind}.rope.freq_base"] == config["rope_parameters"]["rope_theta"]
    spellings, kinds = told["tokenizer.ggml.tokens"], told["tokenizer.ggml.token_type"]
    assert len(spellings) == len(kinds) == vocabulary.size
    assert spellings[vocabulary.first_code + 3] == "<|code_3|>"
    assert spellings[vocabulary.special("boi")] == "<|boi|>"
    assert (kinds[65], kinds[vocabulary.special("boi")], kinds[vocabulary.first_code]) == (1, 3, 4)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert len(tensors) == len(state)
    embedding = tensors["token_embd.weight"]
    assert embedding.tensor_type.name == "BF16"
    assert np.array_equal(embedding.data.view(np.uint16), state["model.embed_tokens.weight"])
    norm = tensors["blk.1.ffn_norm.weight"]
    assert np.array_equal(norm.data, to_float(state["model.layers.1.post_attention_layernorm.weight"]))


def test_the_halves_of_a_llamas_heads_are_interleaved():
    weight = np.arange(8 * 3).reshape(8, 3)  # two heads of four
    assert gguf.interleaved(weight, 2)[:, 0].tolist() == [0, 6, 3, 9, 12, 18, 15, 21]


def test_what_has_no_place_is_refused(folder, tmp_path):
    with pytest.raises(ModelError, match="has no name for"):
        gguf.renamed("model.layers.0.mlp.experts.weight")
    with pytest.raises(ModelError, match=r"config\.json"):
        gguf.export(tmp_path, tmp_path / "model.gguf")
    assert not list(tmp_path.iterdir())


def test_without_the_package_it_says_so(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(LantuError, match="gguf is not installed"):
        gguf.export(folder, tmp_path / "model.gguf")


def test_the_command(tiny_model, tmp_path, capsys, monkeypatch):
    from lantu.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["export", "gguf", "--model", str(tiny_model), "--json"]) == 0
    assert f'"{tiny_model.name}.gguf"' in capsys.readouterr().out
    assert (tmp_path / f"{tiny_model.name}.gguf").stat().st_size > 1000


@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed")
def test_llama_cpp_computes_the_same(folder, file):
    import llama_cpp

    theirs = llama_cpp.Llama(str(file), n_ctx=64, logits_all=True, verbose=False)
    ids = [5, 70, 80, 90, 100, 110, 3]
    theirs.eval(ids)
    ours = Language.load(folder)
    row = ours.open(len(ids))
    ours.read([row], [ids])
    with torch.inference_mode():
        wanted = ours.logits([row] * len(ids), (range(ours.vocabulary_size),), list(range(len(ids)))[::-1]).numpy()
    assert np.abs(np.array(theirs.scores[: len(ids)]) - wanted).max() < 0.05 * wanted.std()
    text = b" a cat on the left"
    assert theirs.tokenize(text, add_bos=False) == bpe.TextCodec(folder).encode("a cat on the left")


def test_an_adopted_model_keeps_its_own_marks(tiny_model, tmp_path):
    from gguf import GGUFReader

    import tiny_language
    from lantu.recipes.adopt_language import adopt_language

    for architecture in ("qwen3", "llama"):
        tiny_language.write(tmp_path / architecture, architecture, rows=352)
        adopt_language(str(tmp_path / architecture), tmp_path / f"{architecture}-adopted", tiny_model)
    file = gguf.export(tmp_path / "qwen3-adopted", tmp_path / "model.gguf")
    told = {name: field.contents() for name, field in GGUFReader(file).fields.items()}
    config = arrays.read_config(tmp_path / "qwen3")
    vocabulary = read_vocabulary(tmp_path / "qwen3-adopted")
    assert told["tokenizer.ggml.pre"] == "qwen2"
    assert told["tokenizer.ggml.eos_token_id"] == config["eos_token_id"]
    kinds, tokens = told["tokenizer.ggml.token_type"], told["tokenizer.ggml.tokens"]
    assert [kinds[id_] for id_ in (50, vocabulary.special("boi"), vocabulary.code(0))] == [1, 3, 4]
    assert kinds[tokens.index("<|im_end|>")] == 3
    with pytest.raises(ModelError, match="byte-level"):
        gguf.export(tmp_path / "llama-adopted", tmp_path / "other.gguf")
