"""What the engine is asked for: a picture of words, the holes of one, a caption, an answer, a plan.

Shapes: h w grid.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lantu.engine.request import Request
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
    strengths: Sequence[float] = (),
    before: Sequence[int] = (),
    bias: Callable[[Sequence[int]], np.ndarray] | None = None,
) -> Request:
    """What the engine is asked for a picture of some words: exactly h·w codes, guided by them.

    Args:
        strengths: of guidance that the model has learnt to apply by itself; any other takes a second row.
        before: ids of examples, behind which no guidance was learnt.
        bias: what a control makes of each code behind those drawn so far.
    """
    learnt = settings.guidance in strengths and not settings.contrast and not before
    bos, *asked = document.draw_prefix(text_ids, *grid, vocabulary, settings.guidance if learnt else None)
    return Request(
        [bos, *before, *asked],
        grammar.codes(vocabulary),
        limit=grid[0] * grid[1],
        seed=seed,
        bias=bias,
        stride=grid[1] if bias else 0,
        unconditional=None if learnt else document.unconditional_prefix(*grid, vocabulary),
        guidance=1.0 if learnt else settings.guidance,
        **sampling(settings),
        contrast=settings.contrast,
        num_draft_tokens=settings.num_draft_tokens,
        min_accepted=settings.min_accepted,
    )


def filling(
    text_ids: Sequence[int],
    codes_hw: np.ndarray,
    holes_hw: np.ndarray,
    vocabulary: Vocabulary,
    seed: int,
    settings: SamplingParams,
) -> Request:
    """What the engine is asked for the holes of a picture: as many codes, guided by some words."""
    return Request(
        document.fill_prefix(text_ids, codes_hw, holes_hw, vocabulary),
        grammar.codes(vocabulary),
        limit=int(holes_hw.sum()),
        seed=seed,
        unconditional=document.fill_prefix([], codes_hw, holes_hw, vocabulary),
        guidance=settings.guidance,
        **sampling(settings),
        contrast=settings.contrast,
        num_draft_tokens=settings.num_draft_tokens,
        min_accepted=settings.min_accepted,
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
    """What the engine is asked for a picture's caption: words until the end of the document.

    Args:
        before: ids of examples.
        plans: the model may first note down what they mean; then its words come after <assistant>.
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
    """What the engine is asked for after what was said: words, pictures or both, as the model decides.

    As many ids at most as two pictures and two captions take.

    Args:
        grid: of the pictures that the model was trained on.
        plans: it has learnt to plan.
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
    """What the engine is asked for behind examples and a prompt: a plan of what they mean, or a picture at once.

    Either way <boi> is the last id.
    """
    rules = grammar.Grammar(vocabulary)
    planned = rules.planned(rules.specials("boi"), ("boi",), lambda ids: ())
    return Request(prefix, planned, limit=2 * MAX_CAPTION, stop=vocabulary.special("boi"), temperature=0.0)


def planning(prefix: Sequence[int], vocabulary: Vocabulary) -> Request:
    """What the engine is asked for before a picture is changed: in words, what is there and what is to be there."""
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
    """What the engine is asked for after an instruction: a picture of that grid and nothing else."""
    return Request(
        [*prefix, *document.picture_start(*grid, vocabulary)],
        grammar.codes(vocabulary),
        limit=grid[0] * grid[1],
        seed=seed,
        **sampling(settings),
        num_draft_tokens=settings.num_draft_tokens,
        min_accepted=settings.min_accepted,
    )


def sampling(settings: SamplingParams) -> dict[str, Any]:
    """How an id is chosen."""
    return {"temperature": settings.temperature, "top_k": settings.top_k, "top_p": settings.top_p}


def language_of(text: str) -> str:
    """ "zh" for a text with Chinese characters, else "en"."""
    return "zh" if any("\u2e80" <= letter <= "\u9fff" for letter in text) else "en"
