"""The grammar admits every document and nothing else, and a picture has exactly the codes of its size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lantu.tokens.document import from_ids, to_ids
from lantu.tokens.grammar import START, Grammar, State, codes, text
from lantu.tokens.vocabulary import Vocabulary
from lantu.types import CodeGrid, Document, Gap, MaskedGrid, Role

VOCABULARY = Vocabulary(256, 20)
GRAMMAR = Grammar(VOCABULARY, max_side=3)


def walk(draw, grammar: Grammar, steps: int) -> list[int]:
    """Ids drawn by chance among those allowed, to the end of the document or for a number of steps."""
    state, ids = START, []
    while (allowed := grammar.allowed(state)) and len(ids) < steps:
        ids.append(draw(st.sampled_from(draw(st.sampled_from(allowed)))))
        state = grammar.advance(state, ids[-1])
    return ids


def decode(ids: list[int]) -> str:
    return bytes(ids).decode("latin-1")


@given(st.data())
def test_whatever_the_grammar_allows_is_a_document(data):
    ids = walk(data.draw, GRAMMAR, 60)
    if GRAMMAR.read(ids).place == "end":
        document = from_ids(ids, VOCABULARY, decode)
        for part in document.parts:
            assert isinstance(part, str | Role | Gap) or max(part.height, part.width) <= 3
    else:
        with pytest.raises(ValueError, match=r"\w"):
            from_ids(ids, VOCABULARY, decode)


@given(
    st.lists(st.sampled_from(["text", "grid", "patch", "gap", "user", "assistant", "plan"]), max_size=5),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(["", "en", "zh"]),
)
def test_every_document_is_allowed(kinds, height, width, language):
    kinds = [kind for place, kind in enumerate(kinds) if kind != "text" or place == 0 or kinds[place - 1] != "text"]
    grid = CodeGrid(np.arange(height * width).reshape(height, width))
    parts = {"text": "ab", "grid": grid, "patch": MaskedGrid(grid.codes, grid.codes % 2 == 0), "gap": Gap()}
    document = Document(tuple(parts[kind] if kind in parts else Role(kind) for kind in kinds), language)
    ids, _ = to_ids(document, VOCABULARY, lambda text: list(text.encode()))
    assert GRAMMAR.read(ids.tolist()) == State("end")


@given(st.integers(1, 3), st.integers(1, 3))
def test_a_picture_has_exactly_the_codes_of_its_size(height, width):
    v = VOCABULARY
    state = GRAMMAR.read([v.special("bos"), v.special("boi"), v.side(height), v.side(width)])
    for _ in range(height * width):
        assert GRAMMAR.allowed(state) == codes(v)
        state = GRAMMAR.advance(state, v.code(7))
    assert GRAMMAR.allowed(state) == (range(v.special("eoi"), v.special("eoi") + 1),)


@given(st.data())
def test_what_is_not_allowed_is_refused(data):
    state = GRAMMAR.read(walk(data.draw, GRAMMAR, data.draw(st.integers(0, 30))))
    id_ = data.draw(st.integers(-1, VOCABULARY.size))
    if any(id_ in ids for ids in GRAMMAR.allowed(state)):
        GRAMMAR.advance(state, id_)
    else:
        with pytest.raises(ValueError, match="is not allowed"):
            GRAMMAR.advance(state, id_)


@given(st.data())
def test_following_a_prefix_is_reading_it_whole(data):
    ids = walk(data.draw, GRAMMAR, 30)
    cut = data.draw(st.integers(0, len(ids)))
    allowed = GRAMMAR.follow(ids[:cut])
    for _ in range(2):
        for end in range(cut, len(ids) + 1):
            assert allowed(ids[cut:end]) == GRAMMAR.allowed(GRAMMAR.read(ids[:end]))


def test_a_size_beyond_the_longest_side_is_refused():
    v = VOCABULARY
    with pytest.raises(ValueError, match="is not allowed"):
        GRAMMAR.read([v.special("bos"), v.special("boi"), v.side(4)])


def test_text_may_end():
    assert text(VOCABULARY)[1] == range(VOCABULARY.special("eos"), VOCABULARY.special("eos") + 1)
    assert VOCABULARY.code(0) not in [id_ for ids in text(VOCABULARY) for id_ in ids]


def test_a_reply_may_begin_with_a_plan_where_that_is_learnt():
    v = VOCABULARY
    bos, user, lantu, plan, eos, boi = map(v.special, ("bos", "user", "assistant", "plan", "eos", "boi"))
    prefix = [bos, user, 97, lantu]

    def may(ids, id_, plans=True):
        return any(id_ in ids_ for ids_ in GRAMMAR.reply(prefix, plans)(ids))

    assert may([], plan)
    assert not may([], plan, plans=False)
    assert all(may([], id_) for id_ in (97, boi, eos))
    for ids in ([plan], [plan, 97]):
        assert all(may(ids, id_) for id_ in (97, lantu, eos))
        assert not any(may(ids, id_) for id_ in (plan, user, boi))
    spoken = [plan, 97, lantu]
    assert all(may(spoken, id_) for id_ in (97, boi, eos))
    assert not any(may(ids, id_) for ids in (spoken, [97]) for id_ in (plan, user, lantu))
