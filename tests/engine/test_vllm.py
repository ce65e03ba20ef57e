"""vLLM behind the engine's interface: what it is asked for, and (where it is installed) what it gives."""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from lantu.engine.backends.vllm_engine import Engine
from lantu.engine.drafting import draft
from lantu.engine.request import Request
from lantu.errors import LantuError

CODES = (range(40, 60),)
REAL = importlib.util.find_spec("vllm") is not None


class Llm:
    """Stands for vLLM's LLMEngine: each step draws for every request the next of its allowed ids, cumulatively."""

    def __init__(self):
        self.requests, self.told = {}, {}

    def add_request(self, key, prompt, parameters):
        self.requests[key], self.told[key] = (prompt["prompt_token_ids"], parameters), []

    def abort_request(self, keys):
        for key in keys:
            del self.requests[key]

    def step(self):
        outputs = []
        for key, (_, parameters) in list(self.requests.items()):
            ids = self.told[key]
            ids.append(parameters.allowed_token_ids[len(ids) % len(parameters.allowed_token_ids)])
            finished = len(ids) == parameters.max_tokens or ids[-1] in (parameters.stop_token_ids or ())
            outputs.append(
                SimpleNamespace(
                    request_id=key,
                    num_cached_tokens=32,
                    finished=finished,
                    outputs=[SimpleNamespace(token_ids=list(ids))],
                )
            )
            if finished:
                del self.requests[key]
        return outputs


@pytest.fixture
def engine(monkeypatch):
    """An engine on the double, with what vLLM was started with."""
    module = ModuleType("vllm")
    module.EngineArgs = lambda **settings: settings
    module.SamplingParams = lambda **settings: SimpleNamespace(**settings)
    module.LLMEngine = SimpleNamespace(from_engine_args=lambda settings: started.update(settings) or Llm())
    started: dict = {}
    monkeypatch.setitem(sys.modules, "vllm", module)
    made = Engine("some/folder", dtype="float32")
    assert started["model"] == "some/folder"
    assert started["enable_prefix_caching"]
    assert started["dtype"] == "float32"
    return made


def test_drafts_end_at_their_limit_or_their_stop(engine):
    told = []
    picture = Request([1, 2], CODES, limit=5, seed=3, temperature=0.5, top_k=7, top_p=0.9)
    words = Request([1], (range(4), range(9, 10)), limit=20, stop=3)
    assert draft(engine, [picture, words], lambda place, ids: told.append((place, len(ids)))) == [
        [40, 41, 42, 43, 44],
        [0, 1, 2, 3],
    ]
    assert sorted(told) == [(0, n) for n in range(1, 6)] + [(1, n) for n in range(1, 5)]
    assert not engine.busy


def test_what_vllm_is_asked_for(engine):
    picture = Request([1, 2], CODES, limit=5, seed=3, temperature=0.5, top_k=7, top_p=0.9)
    job = engine.submit(picture)
    ((prefix, asked),) = engine.llm.requests.values()
    assert prefix == [1, 2]
    assert (asked.max_tokens, asked.min_tokens, asked.seed) == (5, 5, 3)
    assert (asked.temperature, asked.top_k, asked.top_p) == (0.5, 7, 0.9)
    assert asked.allowed_token_ids == list(range(40, 60))
    engine.step()
    assert job.shared == 32
    engine.cancel(job)
    engine.cancel(job)
    assert (job.state, engine.busy, engine.llm.requests) == ("cancelled", False, {})


def test_a_callback_may_end_its_own_draft_and_another(engine):
    jobs = []

    def end_all(ids):
        if len(ids) == 2:
            for job in jobs:
                engine.cancel(job)

    jobs += [engine.submit(Request([1], CODES, limit=5), end_all) for _ in range(2)]
    while engine.step():
        pass
    assert [job.state for job in jobs] == ["cancelled"] * 2
    assert [len(job.ids) for job in jobs] == [2, 1]


def test_pairs_are_refused_before_anything_starts(engine, tiny_model, monkeypatch):
    guided = Request([1], CODES, limit=5, unconditional=[2], guidance=2.0)
    with pytest.raises(LantuError, match="has not learnt a guidance of 2"):
        engine.submit(guided)
    size = sum(map(len, CODES))
    with pytest.raises(LantuError, match="nothing by a picture of control"):
        engine.submit(Request([1], CODES, limit=5, bias=lambda ids: np.zeros(size, np.float32)))
    import lantu

    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    model = lantu.load(tiny_model, device="cpu", backend="vllm")
    with pytest.raises(LantuError, match="vLLM has no pairs"):
        model.draw("a cat", seed=1, guidance=3.0)
    assert "engine" not in vars(model.parts)


def test_nothing_asked_is_nothing_drawn(engine):
    assert draft(engine, [Request([1], CODES, limit=0)]) == [[]]


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="vLLM is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_real_one_drafts_from_the_directory_as_it_is(tmp_path):
    """In an environment of its own: see docs/backends.md."""
    from lantu.models.lantu.language.model import export, make
    from lantu.tokens import bpe
    from lantu.tokens.vocabulary import Vocabulary

    codec = bpe.train(["a cat", "一只猫"] * 2, 300)
    # A head of 64, for its kernels know few widths.
    export(make(Vocabulary(codec.size, 64), width=64, layers=2, heads=1, grid=(4, 4)), tmp_path, codec)
    engine = Engine(tmp_path, max_model_len=512)
    requests = [Request([1, *range(2, 40), seed % 2], CODES, limit=9, seed=seed) for seed in range(4)]
    first = draft(engine, requests)
    assert all(len(ids) == 9 and all(40 <= id_ < 60 for id_ in ids) for ids in first)
    assert draft(engine, requests[:1]) == first[:1]
    job = engine.submit(requests[0])
    engine.step()
    assert job.shared == 32  # a page of the prefix was read by another
    engine.cancel(job)
    assert not engine.busy
    words = Request([1, 2, 3], (range(30), range(35, 36)), limit=50, stop=35, seed=1)
    (ids,) = draft(engine, [words])
    assert 35 not in ids[:-1]
    assert ids[-1] == 35 or len(ids) == 50
