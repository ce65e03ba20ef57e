import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lantu.data.packing import block_causal_mask, pack
from lantu.errors import DataError


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(1, 20), max_size=30))
def test_every_document_is_there_once_and_whole(lengths):
    documents = [np.arange(1, length + 1) + 100 * number for number, length in enumerate(lengths)]
    packed = pack(documents, 20, pad=7)
    for number, document in enumerate(documents):
        mine = packed.segments == number
        assert packed.ids[mine].tolist() == document.tolist()
        assert packed.positions[mine].tolist() == list(range(len(document)))
        assert mine.any(axis=1).sum() == 1
    assert (packed.ids[packed.segments == -1] == 7).all()
    assert packed.ids.shape[1] == 20
    # First fit never leaves two rows half empty.
    assert (2 * (packed.segments >= 0).sum(axis=1) < 20).sum() <= 1


def test_a_document_longer_than_a_row_is_refused():
    with pytest.raises(DataError, match="21 ids is longer than a row of 20"):
        pack([range(21)], 20)


def test_the_mask_by_hand():
    mask = block_causal_mask(torch.tensor([[3, 3, 1, -1]]))
    expected = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert mask.shape == (1, 1, 4, 4)
    assert mask[0, 0].int().tolist() == expected


def test_packed_logits_equal_unpacked_ones():
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
    )
    model = Qwen3ForCausalLM(config).eval()
    documents = [np.random.default_rng(length).integers(0, 64, length) for length in (5, 9, 3, 7, 6)]
    packed = pack(documents, 16)
    ids, positions, segments = map(torch.from_numpy, packed)
    with torch.inference_mode():
        logits = model(
            input_ids=ids, position_ids=positions, attention_mask=block_causal_mask(segments), use_cache=False
        ).logits
        for number, document in enumerate(documents):
            alone = model(input_ids=torch.from_numpy(document)[None]).logits[0]
            torch.testing.assert_close(logits[segments == number], alone, atol=1e-4, rtol=1e-4)
