"""The mapping to Megatron's weights, without Megatron: what goes there comes back bit for bit."""

import sys
from pathlib import Path

import pytest
import torch

from tiny_language import write

STACKS = Path(__file__).parents[2] / "benchmarks" / "stacks"


@pytest.fixture
def mapping(monkeypatch):
    monkeypatch.syspath_prepend(str(STACKS))
    monkeypatch.delitem(sys.modules, "megatron_mapping", raising=False)
    import megatron_mapping

    return megatron_mapping


@pytest.mark.parametrize("tied", [True, False])
def test_there_and_back_is_bit_for_bit(mapping, tmp_path, tied):
    model = write(tmp_path, "qwen3", tied=tied)
    config = model.config.to_dict()
    mapping.check(config)
    there = mapping.to_megatron(model.state_dict(), config)
    assert ("output_layer.weight" in there) is not tied
    back = mapping.from_megatron(there, config)
    assert back.keys() == model.state_dict().keys()
    assert all(torch.equal(back[name], weight) for name, weight in model.state_dict().items())


def test_queries_stand_with_their_key(mapping):
    config = {"num_key_value_heads": 2, "num_attention_heads": 4, "head_dim": 1}
    queries, keys, values = torch.arange(4.0)[:, None], torch.tensor([[10.0], [11]]), torch.tensor([[20.0], [21]])
    joined = mapping.join([queries, keys, values], config)
    assert joined.flatten().tolist() == [0, 1, 10, 20, 2, 3, 11, 21]


def test_other_architectures_are_refused(mapping, tmp_path):
    config = write(tmp_path, "llama").config.to_dict()
    with pytest.raises(ValueError, match="only 'qwen3'"):
        mapping.check(config)
    with pytest.raises(ValueError, match="not mapped"):
        mapping.check({"model_type": "qwen3", "rope_parameters": {"rope_type": "yarn"}})


def test_a_weight_without_a_place_is_named(mapping, tmp_path):
    model = write(tmp_path, "qwen3")
    state = model.state_dict() | {"model.layers.0.self_attn.q_proj.bias": torch.zeros(4)}
    with pytest.raises(ValueError, match=r"q_proj\.bias"):
        mapping.to_megatron(state, model.config.to_dict())
