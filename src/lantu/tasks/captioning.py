"""From a picture's codes to a caption: several are drafted, and the one that explains the picture best is kept.

Three faults of a small model that reads are met here:

- *A picture that is encoded anew has other codes than it was drawn from.* Cells that look alike (white paper most of
  all) have many codes at nearly the same distance, and the nearest is then a matter of chance, which the language model
  has never read. ``denoised`` takes the language model's own view of which code follows as the prior of each cell, and
  the distance to the code vectors as the likelihood.
- *The likeliest caption word by word may be wrong as a whole* (猫头鹰 for a cat). The model draws better than it reads,
  so candidates are scored in both directions: log p(caption | codes) + log p(codes | caption), as in noisy-channel
  decoding (arXiv:1611.02554), and the best is tried with another word at each place.
- *It may run on, repeat itself, or change its language.* Only ids of the asked script may come, and candidates that end
  by themselves without a repetition go first.

Shapes: B batch, h w grid, N = h·w, K codebook size, C candidates.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lantu.engine.drafting import draft
from lantu.engine.request import Ranges, Request, id_at
from lantu.models.loader import Parts
from lantu.tasks.requests import MAX_CAPTION, reading
from lantu.tokens import document, grammar
from lantu.tokens.repetition import first_repeat, without_repeats
from lantu.types import Caption

CANDIDATES = 12
CHANGES = 2  # of the best of them, one place at a time
FREEDOM = 0.8  # temperature of all candidates but the first, which is the likeliest word by word
SURE = 1.2e-4  # variance of the likelihood of a code vector, as a share of the codebook's


def denoised(parts: Parts, pictures: np.ndarray) -> np.ndarray:
    """The likeliest codes of pictures (B, H, W, 3) uint8 to the eyes of the language model: (B, h, w) int64.

    The plain nearest codes where the tokenizer has no code vectors, or where the backend takes no bias (vLLM).
    """
    distance_BNK = parts.distances(pictures) if parts.backend != "vllm" else None
    if distance_BNK is None:
        return parts.encode(pictures)
    height, width = (side // parts.folder.patch for side in pictures.shape[1:3])
    return likeliest_codes(parts, distance_BNK, (height, width))


def denoised_codes(parts: Parts, codes_Bhw: np.ndarray) -> np.ndarray:
    """The same from codes alone, which may come from pictures that were encoded anew: (B, h, w) int64."""
    vectors_KE = parts.encoder.vectors_KE if parts.backend != "vllm" else None
    if vectors_KE is None:
        return codes_Bhw
    seen_BNE = vectors_KE[codes_Bhw.reshape(len(codes_Bhw), -1)]
    norms_K = (vectors_KE**2).sum(1)
    distance_BNK = (seen_BNE**2).sum(2, keepdims=True) + norms_K - 2 * seen_BNE @ vectors_KE.T
    return likeliest_codes(parts, distance_BNK, codes_Bhw.shape[1:])


def likeliest_codes(parts: Parts, distance_BNK: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Codes (B, h, w) by squared distances from code vectors and the language model's own expectation."""
    scale = -0.5 / max(SURE * parts.encoder.variance, 1e-12)
    biases = [(scale * (one - one.min(1, keepdims=True))).astype(np.float32) for one in distance_BNK]
    drafts = draft(parts.company, [likeliest(bias_NK, grid, parts) for bias_NK in biases])
    return np.stack([document.codes_from(ids, *grid, parts.vocabulary) for ids in drafts])


def likeliest(bias_NK: np.ndarray, grid: tuple[int, int], parts: Parts) -> Request:
    """What the engine is asked for a grid: codes by the model's own expectation and by what is seen in each cell."""
    return Request(
        document.unconditional_prefix(*grid, parts.vocabulary),
        grammar.codes(parts.vocabulary),
        limit=len(bias_NK),
        temperature=0.0,
        bias=lambda ids: bias_NK[len(ids)],
    )


def captions(
    parts: Parts, codes_Bhw: Sequence[np.ndarray] | np.ndarray, language: str, seed: int = 0, temperature: float = 0.0
) -> list[Caption]:
    """A caption of each grid of codes in "en" or "zh".

    Args:
        temperature: 0 for the best of several; above it one is drawn as the model puts it, by the seed.
    """
    allowed, vocabulary = script(parts, language), parts.vocabulary
    requests = [
        replace(reading(codes, language, vocabulary, seed, temperature), allowed=allowed) for codes in codes_Bhw
    ]
    best_of_several = not temperature and parts.backend != "vllm"
    if best_of_several:
        requests = [
            replace(request, seed=number, temperature=FREEDOM) if number else request
            for request in requests
            for number in range(CANDIDATES)
        ]
    drafts = draft(parts.company, requests)
    each = len(drafts) // max(1, len(codes_Bhw))
    return [
        chosen(parts, codes, language, drafts[place * each : (place + 1) * each])
        for place, codes in enumerate(codes_Bhw)
    ]


def chosen(parts: Parts, codes_hw: np.ndarray, language: str, drafts: Sequence[Sequence[int]]) -> Caption:
    """The candidate that explains the picture best; whole ones go first, and what is repeated is cut off.

    The best is changed at one place at a time as long as that explains the picture better.
    """
    candidates = whole(parts, drafts)
    if len(drafts) == 1 or not candidates:
        texts = candidates or [parts.text.decode(ids).strip() for ids in drafts]
        scores = explained(parts, codes_hw, language, texts) if len(texts) > 1 else [0.0]
        text = texts[int(np.argmax(scores))]
        return Caption(without_repeats(text.replace("\ufffd", "")), ended=bool(candidates))
    scores = explained(parts, codes_hw, language, candidates)
    best, most = candidates[int(np.argmax(scores))], float(scores.max())
    for _ in range(CHANGES):
        others = [text for text in whole(parts, branches(parts, codes_hw, language, best)) if text not in candidates]
        if not others:
            break
        candidates += others
        scores = explained(parts, codes_hw, language, others)
        if scores.max() <= most:
            break
        best, most = others[int(np.argmax(scores))], float(scores.max())
    return Caption(best)


def whole(parts: Parts, drafts: Sequence[Sequence[int]]) -> list[str]:
    """The captions among drafts that ended by themselves and repeat nothing, each once."""
    end = parts.vocabulary.special("eos")
    texts = [parts.text.decode(ids).strip() for ids in drafts if ids and ids[-1] == end]
    return list(dict.fromkeys(text for text in texts if text and is_clean(text)))


def is_clean(text: str) -> bool:
    """Whether a text repeats nothing and has whole characters alone."""
    return first_repeat(text) is None and "\ufffd" not in text


def explained(parts: Parts, codes_hw: np.ndarray, language: str, texts: Sequence[str]) -> np.ndarray:
    """log p(caption | codes) + log p(codes | caption) of each candidate: (C) float64."""
    vocabulary, (height, width) = parts.vocabulary, codes_hw.shape
    written = [list(parts.text.encode(text)) for text in texts]
    said = log_probabilities(
        parts,
        [document.caption_prefix(codes_hw, language, vocabulary)] * len(texts),
        [[*ids, vocabulary.special("eos")] for ids in written],
        grammar.text(vocabulary),
    )
    drawn = log_probabilities(
        parts,
        [document.draw_prefix(ids, height, width, vocabulary) for ids in written],
        [document.code_ids(codes_hw, vocabulary)] * len(texts),
        grammar.codes(vocabulary),
    )
    return said + drawn


def branches(parts: Parts, codes_hw: np.ndarray, language: str, text: str) -> list[list[int]]:
    """A caption with another word at one place: at each place the second likeliest id, and the likeliest behind it.

    So a name that begins as another does (猫 and 猫头鹰) is tried even where the longer one is the likelier by far.
    """
    prefix, allowed = document.caption_prefix(codes_hw, language, parts.vocabulary), script(parts, language)
    ids = [*parts.text.encode(text), parts.vocabulary.special("eos")]
    (logits_TV,) = logits_behind(parts, [prefix], [ids], allowed)
    logits_TV[np.arange(len(ids)), columns_of(allowed, ids)] = -np.inf
    others = [id_at(allowed, int(column)) for column in logits_TV.argmax(1)]
    end = parts.vocabulary.special("eos")
    starts = [[*ids[:place], other] for place, other in enumerate(others) if other != end]
    requests = [
        Request([*prefix, *start], allowed, limit=max(1, MAX_CAPTION - len(start)), stop=end, temperature=0.0)
        for start in starts
    ]
    drafts = draft(parts.company, requests)
    return [[*start, *rest] for start, rest in zip(starts, drafts, strict=True)]


def log_probabilities(
    parts: Parts, prefixes: Sequence[Sequence[int]], endings: Sequence[Sequence[int]], ranges: Ranges
) -> np.ndarray:
    """log p of each ending behind its prefix among the ids in ``ranges``: (C) float64."""
    sums = []
    for ending, logits_TV in zip(endings, logits_behind(parts, prefixes, endings, ranges), strict=True):
        peak = logits_TV.max(1)
        chosen = logits_TV[np.arange(len(ending)), columns_of(ranges, ending)]
        sums.append((chosen - peak - np.log(np.exp(logits_TV - peak[:, None]).sum(1))).sum())
    return np.array(sums)


def logits_behind(
    parts: Parts, prefixes: Sequence[Sequence[int]], endings: Sequence[Sequence[int]], ranges: Ranges
) -> list[np.ndarray]:
    """Of each ending, the logits of the ids in ``ranges`` where each of its ids comes: (its ids, ids in ranges)."""
    backend: Any = parts.language
    rows = [backend.open(len(prefix) + len(ending)) for prefix, ending in zip(prefixes, endings, strict=True)]
    try:
        # Two reads: transformers keeps the logits of a first read's last id alone.
        backend.read(rows, [list(prefix) for prefix in prefixes])
        logits = [[one] for one in numbers(backend.logits(rows, ranges))]
        longer = [place for place, ending in enumerate(endings) if len(ending) > 1]
        if longer:
            backend.read([rows[place] for place in longer], [list(endings[place][:-1]) for place in longer])
            steps = [(place, back) for place in longer for back in range(len(endings[place]) - 2, -1, -1)]
            told = numbers(backend.logits([rows[place] for place, _ in steps], ranges, [back for _, back in steps]))
            for (place, _), one in zip(steps, told, strict=True):
                logits[place].append(one)
    finally:
        for row in rows:
            backend.close(row)
    return [np.stack(its) for its in logits]


def columns_of(ranges: Ranges, ids: Sequence[int]) -> list[int]:
    """Where ids stand among the ids in ranges."""
    starts = np.cumsum([0, *map(len, ranges)])
    return [
        next(int(start) + id_ - its.start for its, start in zip(ranges, starts, strict=False) if id_ in its)
        for id_ in ids
    ]


def numbers(logits: Any) -> np.ndarray:
    """Logits of any backend as float64."""
    return np.asarray(logits.cpu() if hasattr(logits, "cpu") else logits, np.float64)


def script(parts: Parts, language: str) -> Ranges:
    """Text ids that a caption in a language may hold, and <eos>, in ranges.

    English has no Chinese characters. Chinese has Latin letters in names (3D, Noto, T恤), but no English words with a
    space and a small letter before them.
    """
    barred = parts.text.han_ids() if language == "en" else parts.text.english_word_ids()
    ranges, start = [], 0
    for id_ in [*sorted(barred), parts.vocabulary.text_size]:
        if id_ > start:
            ranges.append(range(start, id_))
        start = id_ + 1
    end = parts.vocabulary.special("eos")
    return (*ranges, range(end, end + 1))
