"""Drafts keep to what is allowed, to their seed, and to what the slow way would draw."""

from dataclasses import replace

import pytest
import torch

from lantu.engine.drafting import Request, draft
from lantu.engine.transformer import Transformer

CODES = (range(40, 60),)


class Counter:
    """A double of a language model: after a row of ids, the likeliest id is their sum, padding left out."""

    device = torch.device("cpu")

    def __init__(self):
        self.rows: list[int] = []

    def cache(self, lengths, new):
        return {"lengths": list(lengths), "sums": [0] * len(lengths), "room": max(lengths) + new}

    def __call__(self, ids_RN, cache):
        self.rows.append(len(ids_RN))
        cache["room"] -= ids_RN.shape[1]
        assert cache["room"] >= 0
        for row, ids in enumerate(ids_RN.tolist()):
            seen = ids[-cache["lengths"][row] :] if ids_RN.shape[1] > 1 else ids
            cache["sums"][row] += sum(seen)
        return torch.tensor(cache["sums"], dtype=torch.float32)[:, None, None].expand(-1, ids_RN.shape[1], 1)

    def logits(self, hidden_RD, ranges):
        ids = torch.tensor([id_ for allowed in ranges for id_ in allowed])
        return -((hidden_RD - ids) % 61) / 10


def real() -> Transformer:
    """A tiny model with random weights."""
    config = {
        "model_type": "qwen3",
        "hidden_act": "silu",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_theta": 1e4},
        "tie_word_embeddings": True,
    }
    generator = torch.Generator().manual_seed(0)
    sizes = {**dict.fromkeys(["q_proj", "k_proj", "v_proj", "o_proj"], (32, 32)), "q_norm": (16,), "k_norm": (16,)}
    embedding = torch.randn(70, 32, generator=generator)
    # A small last norm leaves several ids likely.
    state = {"model.embed_tokens.weight": embedding, "model.norm.weight": torch.full((32,), 0.3)}
    for layer in range(2):
        at = f"model.layers.{layer}"
        for name, size in sizes.items():
            state[f"{at}.self_attn.{name}.weight"] = torch.randn(size, generator=generator) / 4
        for name, size in {"gate_proj": (48, 32), "up_proj": (48, 32), "down_proj": (32, 48)}.items():
            state[f"{at}.mlp.{name}.weight"] = torch.randn(size, generator=generator) / 4
        state[f"{at}.input_layernorm.weight"] = state[f"{at}.post_attention_layernorm.weight"] = torch.ones(32)
    return Transformer(config, state)


def requests() -> list[Request]:
    """Of several lengths, seeds, ranges and dials, guided and not."""
    guided = Request([1, 2, 3, 4, 5], CODES, limit=9, seed=1, unconditional=[1, 5], guidance=2.0)
    return [
        guided,
        Request([1, 9], CODES, limit=4, seed=2, top_k=5),
        replace(guided, seed=3, guidance=1.0),
        replace(guided, prefix=[1, 7], seed=4, temperature=0.0),
        Request([1, 2, 3], (range(30), range(35, 36)), limit=12, stop=35, seed=5, top_p=0.9),
        Request([6], lambda ids: CODES if len(ids) < 3 else (), limit=99, seed=6),
    ]


def test_a_draft_has_only_allowed_ids_and_its_length():
    drafts = draft(real(), requests())
    assert [len(ids) for ids in drafts[:4]] == [9, 4, 9, 9]
    assert all(40 <= id_ < 60 for ids in drafts[:4] for id_ in ids)
    assert len(drafts[5]) == 3
    assert all(id_ < 30 or id_ == 35 for id_ in drafts[4])
    assert 35 not in drafts[4][:-1]


def test_company_changes_nothing():
    model = real()
    alone = [draft(model, [request])[0] for request in requests()]
    assert draft(model, requests()) == alone
    assert draft(model, requests()[::-1]) == alone[::-1]


def test_batched_drafts_are_those_drawn_alone_where_rounding_is_none():
    for asked in (requests(), requests()[::-1], [*requests()] * 8):
        assert draft(Counter(), asked, batched=True) == draft(Counter(), asked)


def test_the_seed_decides():
    model, request = real(), requests()[0]
    drafts = draft(model, [replace(request, seed=seed) for seed in (1, 2, 1)])
    assert drafts[0] == drafts[2] != drafts[1]


def test_a_stop_ends_a_draft_and_is_returned():
    request = Request([35], (range(30), range(35, 36)), limit=12, stop=35, temperature=0.0)
    assert draft(Counter(), [request]) == [[35]]


def test_a_guided_request_is_two_rows_of_one_forward_pass():
    model = Counter()
    request = Request([1, 2], CODES, limit=3, unconditional=[1], guidance=3.0)
    draft(model, [request])
    assert model.rows == [2, 2, 2]
    model.rows.clear()
    draft(model, [request, replace(request, guidance=1.0)], batched=True)
    assert model.rows == [3, 3, 3]


@pytest.mark.parametrize("guidance", [0.5, 3.0])
def test_the_likeliest_draft_is_what_reading_anew_at_each_step_gives(guidance):
    model = real()
    prefix, unconditional = [1, 2, 3, 4, 5], [1, 5]
    request = Request(prefix, CODES, limit=8, unconditional=unconditional, guidance=guidance, temperature=0.0)
    (fast,) = draft(model, [request])

    def log_probabilities(ids: list[int]) -> torch.Tensor:
        hidden = model(torch.tensor([ids]), model.cache([len(ids)], 0))
        return model.logits(hidden[:, -1], CODES)[0].log_softmax(-1)

    slow: list[int] = []
    while len(slow) < 8:
        with_prompt, without = log_probabilities(prefix + slow), log_probabilities(unconditional + slow)
        slow.append(40 + int((without + guidance * (with_prompt - without)).argmax()))
    assert fast == slow


def test_steps_are_told():
    told: list[tuple[int, int]] = []
    draft(real(), requests()[:2], on_step=lambda place, ids: told.append((place, len(ids))))
    assert told == [(0, n) for n in range(1, 10)] + [(1, n) for n in range(1, 5)]


def test_nothing_asked_is_nothing_drawn():
    assert draft(Counter(), []) == []
    assert draft(Counter(), [Request([1], CODES, limit=0)]) == [[]]
