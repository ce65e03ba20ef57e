"""Requests for the engine: a picture, the holes of one, a caption, an answer, a plan.

Shapes: h w grid.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lantu.engine.request import InTurn, Ranges, Request
from lantu.engine.sampling_params import SamplingParams
from lantu.tokens import document, grammar
from lantu.tokens.vocabulary import Vocabulary

MAX_CAPTION = 64


def drawing(
    text_ids: Sequence[int],
    grid: tuple[int, int],
    vocabulary: Vocabulary,
    seed: int,
    settings: SamplingParams,
    guidance_scales: Sequence[float] = (),
    before: Sequence[int] = (),
    bias: Callable[[Sequence[int]], np.ndarray] | None = None,
) -> Request:
    """A picture of a text: exactly h·w codes, or the first ``settings.num_codes`` of them, guided by it.

    Args:
        guidance_scales: guidance scales that the model applies without an unconditional row; any other takes one.
        before: ids of examples, after which the model was not trained to apply guidance by itself.
        bias: the logits that a control adds for the next code, given the codes so far.
    """
    learnt = settings.guidance in guidance_scales and not settings.contrast and not before
    bos, *prompt = document.draw_prefix(text_ids, *grid, vocabulary, settings.guidance if learnt else None)
    return Request(
        [bos, *before, *prompt],
        any_code(vocabulary),
        limit=settings.num_codes or grid[0] * grid[1],
        seed=seed,
        bias=bias,
        stride=grid[1] if bias else 0,
        unconditional=None if learnt else document.unconditional_prefix(*grid, vocabulary),
        guidance=1.0 if learnt else settings.guidance,
        **sampling(settings),
        contrast=settings.contrast,
        num_draft_tokens=settings.num_draft_tokens,
        min_accepted=settings.min_accepted,
        passes=settings.passes,
    )


def filling(
    text_ids: Sequence[int],
    codes_hw: np.ndarray,
    holes_hw: np.ndarray,
    vocabulary: Vocabulary,
    seed: int,
    settings: SamplingParams,
) -> Request:
    """The holes of a picture: one code each, guided by a text."""
    return Request(
        document.fill_prefix(text_ids, codes_hw, holes_hw, vocabulary),
        any_code(vocabulary),
        limit=int(holes_hw.sum()),
        seed=seed,
        unconditional=document.fill_prefix([], codes_hw, holes_hw, vocabulary),
        guidance=settings.guidance,
        **sampling(settings),
        contrast=settings.contrast,
        num_draft_tokens=settings.num_draft_tokens,
        min_accepted=settings.min_accepted,
        passes=settings.passes,
    )


def reading(
    codes_hw: np.ndarray,
    language: str,
    vocabulary: Vocabulary,
    seed: int = 0,
    temperature: float = 0.0,
    before: Sequence[int] = (),
    plans: bool = False,
) -> Request:
    """A picture's caption: text until the end of the document.

    Args:
        before: ids of examples.
        plans: the model may first write a plan of what they mean; then the caption follows <assistant>.
    """
    bos, *picture, mark = document.caption_prefix(codes_hw, language, vocabulary)
    rules, words = grammar.Grammar(vocabulary), grammar.text(vocabulary)
    planned = rules.planned(rules.specials(language), ("assistant",), lambda ids: words)
    return Request(
        [bos, *before, *picture, *([] if plans else [mark])],
        planned if plans else words,
        limit=3 * MAX_CAPTION if plans else MAX_CAPTION,
        stop=vocabulary.special("eos"),
        seed=seed,
        temperature=temperature,
    )


def answering(
    prefix: Sequence[int],
    grid: tuple[int, int],
    vocabulary: Vocabulary,
    seed: int,
    settings: SamplingParams,
    plans: bool = False,
) -> Request:
    """An answer to a conversation: text, pictures or both, as the model decides.

    It has at most as many ids as two pictures and two captions.

    Args:
        grid: of the training pictures.
        plans: the model was trained to plan.
    """
    return Request(
        prefix,
        grammar.Grammar(vocabulary).reply(prefix, plans),
        limit=2 * grid[0] * grid[1] + 2 * MAX_CAPTION,
        stop=vocabulary.special("eos"),
        seed=seed,
        **sampling(settings),
    )


def plan_of_examples(prefix: Sequence[int], vocabulary: Vocabulary) -> Request:
    """After examples and a prompt: a plan of what they mean, or a picture at once; either way the last id is <boi>."""
    rules = grammar.Grammar(vocabulary)
    planned = rules.planned(rules.specials("boi"), ("boi",), lambda ids: ())
    return Request(prefix, planned, limit=2 * MAX_CAPTION, stop=vocabulary.special("boi"), temperature=0.0)


def planning(prefix: Sequence[int], vocabulary: Vocabulary) -> Request:
    """A plan before a picture is changed: in words, what is there and what is to be there."""
    return Request(
        [*prefix, vocabulary.special("plan")],
        grammar.text(vocabulary),
        limit=3 * MAX_CAPTION,
        stop=vocabulary.special("eos"),
        temperature=0.0,
    )


def changing(
    prefix: Sequence[int], grid: tuple[int, int], vocabulary: Vocabulary, seed: int, settings: SamplingParams
) -> Request:
    """After an instruction: a picture of that grid and nothing else."""
    return Request(
        [*prefix, *document.picture_start(*grid, vocabulary)],
        any_code(vocabulary),
        limit=settings.num_codes or grid[0] * grid[1],
        seed=seed,
        **sampling(settings),
        num_draft_tokens=settings.num_draft_tokens,
        min_accepted=settings.min_accepted,
    )


def any_code(vocabulary: Vocabulary) -> Ranges | InTurn:
    """The ids of the codes that may come next: of the levels in turn, where a cell has several codes."""
    if vocabulary.depth == 1:
        return grammar.codes(vocabulary)
    return InTurn(tuple((level,) for level in vocabulary.levels))


def sampling(settings: SamplingParams) -> dict[str, Any]:
    """The sampling fields of a request."""
    return {"temperature": settings.temperature, "top_k": settings.top_k, "top_p": settings.top_p}


def language_of(text: str) -> str:
    """ "zh" for a text with Chinese characters, else "en"."""
    return "zh" if any("\u2e80" <= letter <= "\u9fff" for letter in text) else "en"
