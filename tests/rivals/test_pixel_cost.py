"""The cost of pixel drafts: the formula against torch's own count, a line through measured steps."""

import pytest

from lantu.rivals.pixel_ar.cost import cost, fitted, weights_of


def test_operations_are_what_torch_counts():
    import torch

    from lantu.models.lantu.language.model import make
    from lantu.tokens.vocabulary import Vocabulary
    from lantu.training.flops import counted

    model = make(Vocabulary(256, 16), width=64, layers=2, heads=2, inner=192, grid=(6, 6))
    config = model.config.to_dict()
    ids = torch.zeros(1, 36, dtype=torch.int64)
    with torch.no_grad():
        whole = counted(lambda: model(input_ids=ids, use_cache=False))
    head = 2 * 64 * (config["vocab_size"] - 16) * 36  # of ids that a draft never draws
    attention = 4 * 2 * 64 * (36 * 36 - 36 * 37 / 2)  # which a pass over all ids computes and masks
    assert cost(config, 16, 6).flops == pytest.approx(whole - head - attention, rel=0.01)
    assert weights_of(config, 16) < sum(each.numel() for each in model.parameters())


def test_seconds_add_up():
    line = fitted([0, 100, 200], [0.001, 0.002, 0.003])
    assert line == pytest.approx((0.001, 1e-5))
    config = {"hidden_size": 8, "intermediate_size": 8, "head_dim": 8, "num_hidden_layers": 1}
    config |= {"num_attention_heads": 1, "num_key_value_heads": 1}
    made = cost(config, 4, 2, line)
    assert made.seconds == pytest.approx(4 * 0.001 + 1e-5 * 10)
    assert made.cache_bytes == 2 * 8 * 4 * 2
    assert fitted([0, 100], [0.002, 0.001])[1] == 0
