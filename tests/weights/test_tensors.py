import json

import pytest
import torch

from lantu.errors import DiskError, ModelError
from lantu.weights import tensors


def state():
    generator = torch.Generator().manual_seed(0)
    return {
        "a": torch.randn(30, 10, generator=generator),
        "b": torch.randn(20, 10, generator=generator).T,
        "count": torch.tensor(7),
        "open": torch.tensor(True),
    }


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_floats_are_cast_and_the_rest_is_kept(tmp_path):
    tensors.save(state(), tmp_path)
    loaded = tensors.load(tmp_path)
    assert loaded["a"].dtype == torch.bfloat16
    assert loaded["count"].dtype == torch.int64
    assert torch.equal(loaded["b"], state()["b"].bfloat16())
    assert bool(loaded["open"]) is True


def test_shards_follow_the_hub_layout(tmp_path):
    tensors.save(state(), tmp_path, dtype=None, max_shard_bytes=1000)
    index = json.loads((tmp_path / tensors.INDEX).read_text())
    assert index["weight_map"]["a"] == "model-00001-of-00002.safetensors"
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in state().values())
    assert same(tensors.load(tmp_path), state())


@pytest.mark.parametrize(("first", "then"), [(1000, 1 << 20), (1 << 20, 1000), (1000, 500)])
def test_saving_again_leaves_nothing_of_the_former(tmp_path, first, then):
    tensors.save({**state(), "old": torch.zeros(400)}, tmp_path, dtype=None, max_shard_bytes=first)
    tensors.save(state(), tmp_path, dtype=None, max_shard_bytes=then)
    assert same(tensors.load(tmp_path), state())
    assert {path for path in tmp_path.iterdir() if path.suffix == ".safetensors"} == set(tensors.shard_paths(tmp_path))


def test_tensors_that_share_memory_are_all_there(tmp_path):
    table = torch.randn(4, 4)
    tensors.save({"embed": table, "head": table, "row": table[1]}, tmp_path, dtype=None)
    loaded = tensors.load(tmp_path)
    assert torch.equal(loaded["head"], table)
    assert torch.equal(loaded["row"], table[1])


def test_files_are_as_open_as_their_folder(tmp_path):
    tmp_path.chmod(0o755)
    tensors.save(state(), tmp_path)
    assert (tmp_path / tensors.SINGLE).stat().st_mode & 0o777 == 0o644


def test_damage_is_named(tmp_path):
    with pytest.raises(ModelError, match="can't read the weights"):
        tensors.load(tmp_path)
    tensors.save(state(), tmp_path, dtype=None, max_shard_bytes=1000)
    shard = tmp_path / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-8])
    with pytest.raises(ModelError, match="can't read the weights"):
        tensors.load(tmp_path)
    shard.unlink()
    with pytest.raises(ModelError, match="can't read the weights"):
        tensors.load(tmp_path)


def test_a_place_that_is_no_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError):
        tensors.save(state(), tmp_path / "file")


def test_digest_knows_weights_and_settings(tmp_path):
    with pytest.raises(ModelError):
        tensors.digest(tmp_path)
    tensors.save(state(), tmp_path / "part")
    first = tensors.digest(tmp_path)
    assert first == tensors.digest(tmp_path)
    (tmp_path / "part" / "config.json").write_text("{}")
    assert tensors.digest(tmp_path) != first


def test_transformers_reads_the_shards(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.Qwen3Config(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, head_dim=16
    )
    model = transformers.Qwen3ForCausalLM(config)
    config.save_pretrained(tmp_path)
    tensors.save(model.state_dict(), tmp_path, dtype=None, max_shard_bytes=20_000)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert same(dict(loaded.named_parameters()), dict(model.named_parameters()))
