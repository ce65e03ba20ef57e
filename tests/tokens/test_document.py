"""Documents survive being written down as ids, and what is not a document is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lantu.tokens.document import (
    caption_prefix,
    codes_from,
    draw_prefix,
    fill_prefix,
    from_ids,
    read_reply,
    to_ids,
    unconditional_prefix,
)
from lantu.tokens.vocabulary import Vocabulary
from lantu.types import CodeGrid, ContextText, Document, MaskedGrid, Role

VOCABULARY = Vocabulary(256, 50)
texts = st.text(min_size=1, max_size=8)
grids = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1)).map(
    lambda size: CodeGrid(np.random.default_rng(size[2]).integers(0, 50, size[:2]))
)


def encode(text: str) -> list[int]:
    return list(text.encode())


def decode(ids: list[int]) -> str:
    return bytes(ids).decode()


@st.composite
def patches(draw):
    grid = draw(grids)
    holes = draw(st.lists(st.booleans(), min_size=grid.codes.size, max_size=grid.codes.size))
    holes[draw(st.integers(0, len(holes) - 1))] = True
    return MaskedGrid(grid.codes, np.reshape(holes, grid.codes.shape))


turns = st.sampled_from([Role("user"), Role("assistant"), Role("plan")])


@st.composite
def documents(draw):
    """No two texts in a row, and a language exactly where a mark tells it."""
    parts = []
    for part in draw(st.lists(texts | grids | patches() | turns, max_size=6)):
        if not (isinstance(part, str) and parts and isinstance(parts[-1], str)):
            parts.append(part)
    marked = any(
        isinstance(part, str) and isinstance(before, CodeGrid | MaskedGrid)
        for before, part in itertools.pairwise(parts)
    )
    return Document(tuple(parts), draw(st.sampled_from(["", "en", "zh"])) if marked else "")


@given(documents())
def test_ids_say_all_that_a_document_says(document):
    ids, _ = to_ids(document, VOCABULARY, encode)
    assert from_ids(ids, VOCABULARY, decode) == document


def test_what_is_given_joins_the_text_beside_it():
    parts = (Role("plan"), ContextText("cat"), ", ", ContextText("dog"), " yes")
    ids, owners = to_ids(Document(parts), VOCABULARY, encode)
    assert from_ids(ids, VOCABULARY, decode).parts == (Role("plan"), "cat, dog yes")
    assert owners[[2, 5, 7, 10]].tolist() == [1, 2, 3, 4]


def test_a_drawing_and_a_caption_are_written_as_agreed():
    v = VOCABULARY
    grid = CodeGrid([[1, 2, 3], [4, 5, 6]])
    picture = [v.special("boi"), v.side(2), v.side(3), *(v.code(n) for n in range(1, 7)), v.special("eoi")]
    ids, owners = to_ids(Document(("ab", grid), "zh"), v, encode)
    assert ids.tolist() == [v.special("bos"), 97, 98, *picture, v.special("eos")]
    assert owners.tolist() == [-1, 0, 0] + [1] * (len(picture) + 1)
    ids, owners = to_ids(Document((grid, "ab"), "zh"), v, encode)
    assert ids.tolist() == [v.special("bos"), *picture, v.special("zh"), 97, 98, v.special("eos")]
    assert owners.tolist() == [-1] + [0] * len(picture) + [1] * 4
    assert ids.dtype == np.int32


def test_a_patch_and_a_talk_are_written_as_agreed():
    v = VOCABULARY
    bos, eos, boi, eoi, edit, hole = map(v.special, ("bos", "eos", "boi", "eoi", "edit", "hole"))
    patch = MaskedGrid([[1, 2], [3, 4]], [[False, True], [True, False]])
    ids, owners = to_ids(Document(("ab", patch)), v, encode)
    start = [bos, 97, 98, edit, boi, v.side(2), v.side(2), v.code(1), hole, hole, v.code(4), eoi]
    assert ids.tolist() == [*start, v.code(2), v.code(3), eos]
    assert owners.tolist() == [-1, 0, 0] + [-1] * (len(start) - 3) + [1] * 3
    assert fill_prefix(encode("ab"), patch.codes, patch.holes, v) == start
    grid = CodeGrid([[5]])
    talk = Document((Role("user"), grid, "a", Role("assistant"), "b", grid), "en")
    picture = [boi, v.side(1), v.side(1), v.code(5), eoi]
    user, lantu = v.special("user"), v.special("assistant")
    ids, _ = to_ids(talk, v, encode)
    assert ids.tolist() == [bos, user, *picture, v.special("en"), 97, lantu, 98, *picture, eos]
    assert from_ids(ids, v, decode) == talk
    for wrong in (
        lambda: MaskedGrid([[1]], [[False]]),
        lambda: MaskedGrid([[1]], [[True, True]]),
        lambda: Role("nobody"),
    ):
        with pytest.raises(ValueError, match=r"holes|role"):
            wrong()


def test_a_plan_is_not_said_aloud_and_alone_it_asks_for_a_picture():
    v = VOCABULARY
    eos, plan, lantu, boi = map(v.special, ("eos", "plan", "assistant", "boi"))
    spoken = [plan, *encode("ab"), lantu, *encode("c"), eos]
    assert read_reply(spoken, v, decode) == (("c",), "ab", False)
    assert read_reply([plan, *encode("ab"), eos], v, decode) == ((), "ab", True)
    assert read_reply([*encode("c"), eos], v, decode) == (("c",), "", False)
    # Cut short nothing is drawn, for the plan may not be whole.
    assert read_reply([plan, *encode("ab")], v, decode) == ((), "ab", False)
    picture = [boi, v.side(1), v.side(1), v.code(3), v.special("eoi")]
    assert len(read_reply([*picture, v.special("en")], v, decode).parts) == 1  # its text is still to come
    drawn = read_reply(
        [plan, *encode("a"), lantu, boi, v.side(1), v.side(1), v.code(3), v.special("eoi"), eos], v, decode
    )
    assert drawn == ((CodeGrid([[3]]),), "a", False)


def test_prefixes_begin_their_documents():
    grid = CodeGrid([[7, 8], [9, 10]])
    drawing, _ = to_ids(Document(("ab", grid)), VOCABULARY, encode)
    prefix = draw_prefix(encode("ab"), 2, 2, VOCABULARY)
    assert drawing[: len(prefix)].tolist() == prefix
    assert codes_from(drawing[len(prefix) : -2], 2, 2, VOCABULARY).tolist() == grid.codes.tolist()

    dropped, _ = to_ids(Document(("", grid)), VOCABULARY, encode)
    prefix = unconditional_prefix(2, 2, VOCABULARY)
    assert dropped[: len(prefix)].tolist() == prefix

    caption, _ = to_ids(Document((grid, "ab"), "en"), VOCABULARY, encode)
    prefix = caption_prefix(grid.codes, "en", VOCABULARY)
    assert caption.tolist() == [*prefix, *encode("ab"), VOCABULARY.special("eos")]


@pytest.mark.parametrize(
    "document",
    [
        Document(("a", "b")),
        Document(("a",), "fr"),
        Document((CodeGrid([[50]]),)),
        Document((CodeGrid([[-1]]),)),
        Document((CodeGrid(np.zeros((1, 65))),)),
    ],
)
def test_what_can_not_be_written_is_refused(document):
    with pytest.raises(ValueError, match=r"\w"):
        to_ids(document, VOCABULARY, encode)


@given(documents(), st.data())
def test_a_document_cut_short_is_refused(document, data):
    ids, _ = to_ids(document, VOCABULARY, encode)
    cut = ids[: data.draw(st.integers(0, len(ids) - 1))]
    with pytest.raises(ValueError, match=r"\w"):
        from_ids(cut, VOCABULARY, decode)


def test_pictures_that_are_not_whole_are_refused():
    v = VOCABULARY
    bos, eos, boi, eoi = map(v.special, ("bos", "eos", "boi", "eoi"))
    one = [boi, v.side(1), v.side(1), v.code(0)]
    for body in ([boi], [boi, v.side(1), eoi], one, [*one, v.code(1), eoi], [*one[:3], eoi, eoi], [eoi], [v.code(0)]):
        with pytest.raises(ValueError, match=r"\w"):
            from_ids([bos, *body, eos], v, decode)
