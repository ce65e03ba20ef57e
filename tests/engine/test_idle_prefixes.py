"""Prefixes that stay cached when no job uses them, and the memory that they take."""

import pytest
from doubles import CONFIG, Counter, weights

from lantu.engine.drafting import draft
from lantu.engine.engine import IDLE_IDS, Engine
from lantu.engine.request import Request

CODES = (range(10, 70),)


def requests(count):
    return [Request([1, 2, 3 + place], CODES, limit=8, seed=place) for place in range(count)]


@pytest.fixture
def language():
    torch = pytest.importorskip("torch")
    from lantu.engine.backends.pytorch import Language

    return Language(CONFIG, {name: torch.from_numpy(value) for name, value in weights().items()})


def test_idle_prefixes_take_no_slots_on_torch(language):
    engine, fresh = Engine(language), Engine(language, cached_prefixes=0)
    first = [draft(engine, [request]) for request in requests(40)]
    assert len(engine.prefixes) == 32
    assert language.memory.shape[2] == 2  # of the row that drafts, and of a prefix that is read beside it
    assert [draft(engine, [request]) for request in requests(40)[-5:]] == first[-5:]  # after what is cached
    assert [draft(fresh, [request]) for request in requests(40)] == first
    assert sorted(language.free) == [0, 1]


def test_a_prefix_of_rows_is_read_no_further(language):
    prefix = language.open(4)
    language.read([prefix], [[1, 2]])
    row = language.open(4, prefix)
    with pytest.raises(ValueError, match="read no further"):
        language.read([prefix], [[3]])
    language.close(prefix)
    language.read([row], [[3]])
    assert row.length == 3


def test_long_prefixes_are_forgotten_sooner_but_for_the_newest_pair():
    backend = Counter()
    engine = Engine(backend)
    for number in range(6):
        draft(engine, [Request([number] * (IDLE_IDS // 4), CODES, limit=2)])
    assert len(engine.prefixes) == len(backend.open_rows) == 4
    for number in range(3):
        draft(engine, [Request([number] * 2 * IDLE_IDS, CODES, limit=2)])
    assert [key[0] for key in engine.prefixes] == [1, 2]
