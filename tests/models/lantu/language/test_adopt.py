"""A pretrained language model gets codes, keeps all that it knew, and stays a stock directory."""

import json
import shutil

import pytest
import torch

import tiny_language
from lantu import recipes  # noqa: F401
from lantu.errors import DiskError, LantuError, ModelError
from lantu.recipes.adopt_language import adopt_language
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights import arrays, tensors
from lantu.weights.language_config import read_grid, read_vocabulary
from lantu.weights.text_codec import read_codec

PROMPTS = ("a red cat on the left", "一只猫在左边", "zebra  Ünïcode\n\n (x)", "<s> hello")
ROWS = 352  # of the embedding: more than the tokenizer has ids


@pytest.fixture
def published(tmp_path):
    tiny_language.write(tmp_path / "published", "llama", True, rows=ROWS)
    return tmp_path / "published"


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", tiny_language.ARCHITECTURES)
def test_an_adopted_model_knows_what_it_knew(tiny_model, tmp_path, architecture, tied):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before = tiny_language.write(tmp_path / "before", architecture, tied, rows=ROWS)
    out = tmp_path / "after"
    facts = adopt_language(str(tmp_path / "before"), out, tiny_model, "codes" if tied else "mean")
    assert facts["licence"] == "apache-2.0"
    vocabulary = read_vocabulary(out)
    assert vocabulary == Vocabulary(ROWS, 32)
    assert read_grid(out) == (4, 4)

    after = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    assert after.config.tie_word_embeddings == tied
    theirs, ours = (AutoTokenizer.from_pretrained(place) for place in (tmp_path / "before", out))
    ids = torch.tensor([theirs(PROMPTS[0])["input_ids"]])
    with torch.inference_mode():
        hidden, again = before.model(ids)[0], after.model(ids)[0]
        old, new = before(ids).logits, after(ids).logits
    assert torch.equal(hidden, again)
    assert torch.equal(before.lm_head.weight, after.lm_head.weight[:ROWS])
    torch.testing.assert_close(new[..., :ROWS], old)
    assert new.shape[-1] == vocabulary.size
    rows = after.lm_head.weight[ROWS:]
    assert 0 < (rows - rows.mean(0)).std() < before.lm_head.weight.std()

    codec = read_codec(out)
    bpe.check(codec, vocabulary)
    for prompt in PROMPTS:
        assert theirs(prompt)["input_ids"] == ours(prompt)["input_ids"]
        assert codec.decode(codec.encode(prompt)).split() == prompt.split()
        assert max(codec.encode(prompt)) < ROWS
    assert codec.encode(PROMPTS[0]) == theirs(PROMPTS[0], add_special_tokens=False)["input_ids"]
    assert ours("<|code_31|>", add_special_tokens=False)["input_ids"] == [vocabulary.code(31)]
    assert ours.convert_tokens_to_ids("<|boi|>") == vocabulary.special("boi")
    assert max(codec.encode("<|boi|>")) < ROWS  # a prompt never spells a special token
    assert codec.han_ids().isdisjoint(codec.english_word_ids())
    assert codec.han_ids()
    assert codec.english_word_ids()


def test_only_what_must_change_changes(published, tiny_model, tmp_path):
    adopt_language(str(published), tmp_path / "out", tiny_model)
    before, after = (json.loads((place / "config.json").read_text()) for place in (published, tmp_path / "out"))
    added = after.pop("lantu")
    assert before | {"vocab_size": ROWS + 128 + 32} == after
    origin = added["adopted"]
    assert (origin["source"], origin["licence"], origin["dtype"]) == ("published", "apache-2.0", "bfloat16")
    old, new = tensors.load(published), tensors.load(tmp_path / "out")
    assert list(old) == list(new)
    assert all(torch.equal(value, new[name][: len(value)]) for name, value in old.items())
    for name in ("generation_config.json", "tokenizer_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (published / name).read_bytes()
    assert (tmp_path / "out" / "SOURCE.md").read_bytes() == (published / "README.md").read_bytes()
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    adopt_language(str(published), tmp_path / "out", tiny_model)  # again, in place of the first
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == first


def test_shards_stay_shards(published, tiny_model, tmp_path):
    state = tensors.load(published)
    tensors.save(state, published, dtype=None, max_shard_bytes=30_000)
    assert len(arrays.shard_paths(published)) > 2
    adopt_language(str(published), tmp_path / "out", tiny_model)
    assert len(arrays.shard_paths(tmp_path / "out")) == len(arrays.shard_paths(published))
    after = tensors.load(tmp_path / "out")
    assert all(torch.equal(value, after[name][: len(value)]) for name, value in state.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_weights_keep_their_dtype(tiny_model, tmp_path, dtype):
    tiny_language.write(tmp_path / "published", "qwen3", False, dtype)
    adopt_language(str(tmp_path / "published"), tmp_path / "out", tiny_model)
    assert {value.dtype for value in tensors.load(tmp_path / "out").values()} == {dtype}


def edit(folder, **changes):
    path = folder / "config.json"
    config = {name: value for name, value in (json.loads(path.read_text()) | changes).items() if value is not ...}
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantization_config": {"quant_method": "fp8"}}, "quantised"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "is not the causal language model of llama"),
        ({"model_type": "t5"}, "no causal language model of type 't5'"),
        ({"model_type": "mixtral", "architectures": ["MixtralForCausalLM"]}, "dense"),
        ({"vocab_size": ...}, "text model"),
        ({"vocab_size": 300}, "model.embed_tokens.weight"),
        ({"hidden_size": 48}, "model.embed_tokens.weight"),
        ({"num_hidden_layers": 3}, "lacks model.layers.2"),
        ({"num_hidden_layers": 1}, "model.layers.1"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"lantu": {}}, "draws already|image codes|lacks"),
    ],
)
def test_what_is_no_causal_language_model_is_refused_by_name(published, tiny_model, tmp_path, changes, message):
    edit(published, **changes)
    with pytest.raises(ModelError, match=message):
        adopt_language(str(published), tmp_path / "out", tiny_model)
    assert not (tmp_path / "out").exists()


def test_damaged_weights_and_tokenizers_are_refused(published, tiny_model, tmp_path):
    def refused(message, change, name="broken"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        change(shutil.copytree(published, tmp_path / name))
        with pytest.raises(ModelError, match=message):
            adopt_language(str(tmp_path / name), tmp_path / "out", tiny_model)
        assert not (tmp_path / "out").exists()

    def without(name):
        def change(folder):
            state = tensors.load(folder)
            del state[name]
            tensors.save(state, folder, None)

        return change

    def truncated(folder):
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])

    def with_token(folder):
        content = json.loads((folder / "tokenizer.json").read_text())
        content["added_tokens"].append({**content["added_tokens"][-1], "id": 337, "content": "<|user|>"})
        (folder / "tokenizer.json").write_text(json.dumps(content))

    refused("lacks model.norm.weight", without("model.norm.weight"))
    refused("bytes of data", truncated)
    refused("no tokenizer.json", lambda folder: (folder / "tokenizer.json").unlink())
    refused("can't be read", lambda folder: (folder / "tokenizer.json").write_text("{}"))
    refused("already has '<|user|>'", with_token)
    refused("more ids than rows", lambda folder: tiny_language.write(folder, rows=300))


def test_other_things_are_not_overwritten(published, tiny_model, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for out in (tmp_path / "out", published):
        with pytest.raises(DiskError):
            adopt_language(str(published), out, tiny_model)
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    with pytest.raises(LantuError, match="can't begin from"):
        adopt_language(str(published), tmp_path / "new", tiny_model, "nothing")
    with pytest.raises(ModelError):
        adopt_language(str(tmp_path / "nowhere"), tmp_path / "new", tiny_model)


def test_an_adopted_model_is_not_adopted_again(published, tiny_model, tmp_path):
    adopt_language(str(published), tmp_path / "once", tiny_model)
    with pytest.raises(ModelError, match="draws already"):
        adopt_language(str(tmp_path / "once"), tmp_path / "twice", tiny_model)


def test_the_command(published, tiny_model, tmp_path, lantu):
    code, out, err = lantu("adopt", "language", published, "-o", tmp_path / "out", "--json")
    assert code == 0, err
    assert json.loads(out).items() >= {"architecture": "LlamaForCausalLM", "codes": 32, "tokenizer": "tiny"}.items()
    code, out, err = lantu("adopt", "language", published, "-o", tmp_path / "out", "--license", "mine")
    assert (code, "licence of" in err, "mine" in err) == (0, True, True)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["lantu"]["adopted"]["licence"] == "mine"
    code, out, err = lantu("adopt", "language", published, "-o", published)
    assert (code, out, err.count("\n")) == (2, "", 1)
