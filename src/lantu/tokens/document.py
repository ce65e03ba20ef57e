"""Interleaved documents ↔ ids.

    drawing    <bos> text <boi> height width codes… <eoi> <eos>
    captioning <bos> <boi> height width codes… <eoi> <en|zh> text <eos>
    filling    <bos> text <edit> <boi> height width codes and holes… <eoi> the holes' codes… <eos>
    a gap      <bos> text <hole> text <boi> height width codes… <eoi> <en|zh> the gap's words <eos>
    talking    <bos> <user> parts… <assistant> parts… <user> … <eos>
    planning   <bos> <user> parts… <assistant> <plan> text <assistant> parts… <eos>

Longer documents combine these: parts in order, with the token of its language before each text that follows a picture.

A drawing without text is unconditional, as guidance needs it. The codes of holes follow the rest of the picture (causal
masking, arXiv:2201.07520), so that a causal model sees both sides of a hole.
Shapes: N ids, h w grid.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lantu.tokens.vocabulary import Vocabulary
from lantu.types import MASK_CODE, ROLES, CodeGrid, ContextText, Document, Gap, MaskedGrid, Part, Role

LANGUAGES = ("en", "zh")
NEXT = ";"  # between the steps of a plan, the last of which says what to draw


class Reply(NamedTuple):
    """A model's answer.

    Attributes:
        parts: of the answer proper.
        plan: written before it; "" for none.
        draws: there is only a plan: the picture of its last step is to be drawn.
    """

    parts: tuple[Part, ...]
    plan: str = ""
    draws: bool = False


def to_ids(
    document: Document, vocabulary: Vocabulary, encode_text: Callable[[str], Sequence[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Encode a document as ids.

    A text without ids is left out, together with its language token.

    Args:
        encode_text: text → ids below ``vocabulary.text_size``.

    Returns:
        (N,) int32 ids, and (N,) int32: the index of the part that each id belongs to. <eos> belongs to the last part.
        <bos> and the visible cells of a picture with holes have -1: they are excluded from the loss.

    Raises:
        ValueError: two texts in a row, an unknown language, a code outside the codebook, or a side too long.
    """
    if document.language not in ("", *LANGUAGES):
        raise ValueError(f"unknown language {document.language!r}, choose {' and '.join(LANGUAGES)}")
    ids, owners = [vocabulary.special("bos")], [-1]
    before: Part | None = None
    for number, part in enumerate(document.parts):
        if isinstance(part, CodeGrid):
            written = picture_ids(part.codes, vocabulary)
        elif isinstance(part, MaskedGrid):
            start = patch_start(part.codes, part.holes, vocabulary)
            ids, owners = ids + start, owners + [-1] * len(start)
            written = code_ids(part.codes[part.holes], vocabulary)
        elif isinstance(part, Role):
            written = [vocabulary.special(part.name)]
        elif isinstance(part, Gap):
            written = [vocabulary.special("hole")]
        elif text := list(encode_text(part)):
            if isinstance(before, str) and not isinstance(before, ContextText) and not isinstance(part, ContextText):
                raise ValueError("two adjacent texts can't be separated again: join them")
            marked = isinstance(before, CodeGrid | MaskedGrid) and document.language
            written = [vocabulary.special(document.language), *text] if marked else text
        else:
            continue
        before = part
        ids, owners = ids + written, owners + [number] * len(written)
    return np.array([*ids, vocabulary.special("eos")], np.int32), np.array([*owners, owners[-1]], np.int32)


def from_ids(ids: Sequence[int], vocabulary: Vocabulary, decode_text: Callable[[list[int]], str]) -> Document:
    """Decode a document: the inverse of ``to_ids``, except for a language without a token.

    Raises:
        ValueError: the ids are not a complete document.
    """
    ids = [int(id_) for id_ in ids]
    if len(ids) < 2 or ids[0] != vocabulary.special("bos") or ids[-1] != vocabulary.special("eos"):
        raise ValueError("a document must begin with <|bos|> and end with <|eos|>")
    marks = {vocabulary.special(language): language for language in LANGUAGES}
    roles = {vocabulary.special(role): role for role in ROLES}
    parts: list[Part] = []
    language, place, last = "", 1, len(ids) - 1
    while place < last:
        if ids[place] == vocabulary.special("boi"):
            codes, place = read_picture(ids, place, vocabulary)
            parts.append(CodeGrid(codes))
            continue
        if ids[place] == vocabulary.special("edit"):
            patch, place = read_patch(ids, place, vocabulary)
            parts.append(patch)
            continue
        if ids[place] in roles:
            parts.append(Role(roles[ids[place]]))
            place += 1
            continue
        if ids[place] == vocabulary.special("hole"):
            parts.append(Gap())
            place += 1
            continue
        if ids[place] in marks and parts and isinstance(parts[-1], CodeGrid | MaskedGrid):
            language, place = marks[ids[place]], place + 1
        end = place
        while end < last and ids[end] < vocabulary.text_size:
            end += 1
        if end == place:
            raise ValueError(f"unexpected id {ids[place]} at position {place}")
        parts.append(decode_text(ids[place:end]))
        place = end
    return Document(tuple(parts), language)


def read_reply(ids: Sequence[int], vocabulary: Vocabulary, decode_text: Callable[[list[int]], str]) -> Reply:
    """Decode an answer that ends with <eos> or is truncated; a truncated picture is left out."""
    ids = [int(id_) for id_ in ids]
    ended = bool(ids) and ids[-1] == vocabulary.special("eos")
    if not ended:
        start = max((place for place, id_ in enumerate(ids) if id_ == vocabulary.special("boi")), default=-1)
        if start >= 0 and vocabulary.special("eoi") not in ids[start:]:
            ids = ids[:start]
        if ids and ids[-1] in {vocabulary.special(language) for language in LANGUAGES}:
            ids = ids[:-1]  # of a text that is still to come
        ids = [*ids, vocabulary.special("eos")]
    parts = from_ids([vocabulary.special("bos"), *ids], vocabulary, decode_text).parts
    if not parts or parts[0] != Role("plan"):
        return Reply(parts)
    proper = parts.index(Role("assistant")) if Role("assistant") in parts else len(parts)
    plan = "".join(part for part in parts[1:proper] if isinstance(part, str))
    return Reply(parts[proper + 1 :], plan, ended and proper == len(parts))


def goal_of(plan: str) -> str:
    """The last step of a plan: what to draw."""
    return plan.rpartition(NEXT)[2].strip()


def picture_ids(codes_hw: np.ndarray, vocabulary: Vocabulary) -> list[int]:
    """The ids of a complete picture: <boi>, its sides, its codes row by row, <eoi>.

    Raises:
        ValueError: a code outside the codebook, or a side too long.
    """
    height, width = codes_hw.shape
    return [*picture_start(height, width, vocabulary), *code_ids(codes_hw, vocabulary), vocabulary.special("eoi")]


def code_ids(codes: np.ndarray, vocabulary: Vocabulary) -> list[int]:
    """The ids of codes in reading order.

    Raises:
        ValueError: a code outside the codebook.
    """
    for edge in (codes.min(), codes.max()):
        vocabulary.code(int(edge))  # or it raises
    return (codes.ravel().astype(np.int64) + vocabulary.first_code).tolist()


def patch_start(codes_hw: np.ndarray, holes_hw: np.ndarray, vocabulary: Vocabulary) -> list[int]:
    """The ids of a picture with holes, which the codes of the holes follow.

    Raises:
        ValueError: a code outside the codebook, or a side too long.
    """
    picture = [vocabulary.special("edit"), *picture_ids(np.where(holes_hw, 0, codes_hw), vocabulary)]
    for place in np.flatnonzero(holes_hw):
        picture[4 + place] = vocabulary.special("hole")
    return picture


def read_patch(ids: Sequence[int], place: int, vocabulary: Vocabulary) -> tuple[MaskedGrid, int]:
    """Decode the picture with holes whose <edit> is at ``place``.

    Returns:
        the completed picture, and the position after its last code.

    Raises:
        ValueError: it is incomplete.
    """
    hole = vocabulary.special("hole")
    picture = [vocabulary.first_code if id_ == hole else id_ for id_ in ids]
    if place + 1 >= len(ids) or ids[place + 1] != vocabulary.special("boi"):
        raise ValueError(f"expected a picture at position {place + 1}")
    codes_hw, end = read_picture(picture, place + 1, vocabulary)
    start = place + 4
    holes = np.array([id_ == hole for id_ in ids[start : start + codes_hw.size]])
    fill = ids[end : end + int(holes.sum())]
    codes_hw.reshape(-1)[holes] = codes_from(fill, 1, int(holes.sum()), vocabulary)[0]
    return MaskedGrid(codes_hw, holes.reshape(codes_hw.shape)), end + len(fill)


def picture_start(height: int, width: int, vocabulary: Vocabulary) -> list[int]:
    """The ids before the codes of a picture of h by w codes."""
    return [vocabulary.special("boi"), vocabulary.side(height), vocabulary.side(width)]


def read_picture(ids: Sequence[int], place: int, vocabulary: Vocabulary) -> tuple[np.ndarray, int]:
    """Decode the picture whose <boi> is at ``place``.

    Returns:
        (h, w) codes, and the position after its <eoi>.

    Raises:
        ValueError: the picture is incomplete.
    """
    sides = [vocabulary.side_length(id_) for id_ in ids[place + 1 : place + 3]]
    if len(sides) < 2 or sides[0] is None or sides[1] is None:
        raise ValueError(f"the picture at position {place} has no size")
    start, end = place + 3, place + 3 + sides[0] * sides[1]
    codes = codes_from(ids[start:end], sides[0], sides[1], vocabulary)
    if end >= len(ids) or ids[end] != vocabulary.special("eoi"):
        raise ValueError(f"the picture at position {place} doesn't end where its size says")
    return codes, end + 1


def fill(codes_hw: np.ndarray, holes_hw: np.ndarray, ids: Sequence[int], vocabulary: Vocabulary) -> np.ndarray:
    """Codes (h, w) with their holes filled by ids in reading order; holes without an id stay as they are."""
    filled, places = codes_hw.copy(), np.flatnonzero(holes_hw)[: len(ids)]
    filled.reshape(-1)[places] = np.array(ids, np.int64) - vocabulary.first_code
    return filled


def codes_from(ids: Sequence[int], height: int, width: int, vocabulary: Vocabulary) -> np.ndarray:
    """The h·w ids of a picture's codes → (h, w) int64 codes.

    Raises:
        ValueError: they are too few or too many, or not all codes.
    """
    codes = np.array(ids, np.int64) - vocabulary.first_code
    if codes.size != height * width or codes.min() < 0 or codes.max() >= vocabulary.codebook_size:
        raise ValueError(f"expected {height}·{width} ids of codes")
    return codes.reshape(height, width)


def partial_codes(ids: Sequence[int], height: int, width: int, vocabulary: Vocabulary) -> np.ndarray:
    """As many ids as there are of a picture's codes, in reading order → (h, w) int64 codes.

    MASK_CODE stands where an id is missing, or negative (a draft that is not made in reading order).

    Raises:
        ValueError: they are too many, or not all codes.
    """
    codes = np.full(height * width, MASK_CODE, np.int64)
    known = np.array(ids, np.int64)
    if known.size > codes.size:
        raise ValueError(f"{known.size} ids are more than the {height}·{width} codes of a picture")
    drafted = known >= 0
    if drafted.any():
        codes[: known.size][drafted] = codes_from(known[drafted].tolist(), 1, int(drafted.sum()), vocabulary)[0]
    return codes.reshape(height, width)


def draw_prefix(
    text_ids: Sequence[int], height: int, width: int, vocabulary: Vocabulary, guidance: float | None = None
) -> list[int]:
    """The prompt for a picture of h by w codes.

    Args:
        guidance: scale of distilled guidance, one of ``vocabulary.GUIDANCE_SCALES``.
    """
    guided = [] if guidance is None else [vocabulary.special(f"guidance_{guidance:g}")]
    return [vocabulary.special("bos"), *text_ids, *guided, *picture_start(height, width, vocabulary)]


def fill_prefix(
    text_ids: Sequence[int], codes_hw: np.ndarray, holes_hw: np.ndarray, vocabulary: Vocabulary
) -> list[int]:
    """The prompt for the codes of a picture's holes, in reading order."""
    return [vocabulary.special("bos"), *text_ids, *patch_start(codes_hw, holes_hw, vocabulary)]


def unconditional_prefix(height: int, width: int, vocabulary: Vocabulary) -> list[int]:
    """The unconditional prompt for a picture of h by w codes."""
    return draw_prefix([], height, width, vocabulary)


def caption_prefix(codes_hw: np.ndarray, language: str, vocabulary: Vocabulary) -> list[int]:
    """The prompt for a picture's caption.

    Args:
        language: "en" or "zh".
    """
    if language not in LANGUAGES:
        raise ValueError(f"no language {language!r}, only {' and '.join(LANGUAGES)}")
    picture = picture_ids(np.asarray(codes_hw), vocabulary)
    return [vocabulary.special("bos"), *picture, vocabulary.special(language)]
