"""Captions: several are drafted from a picture's codes, and the one that explains the picture best is kept.

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
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lantu import images
from lantu.engine.request import Ranges, Request, id_at
from lantu.errors import ImageError, PromptError
from lantu.models.lantu.parts import LantuParts
from lantu.models.lantu.requests import MAX_CAPTION
from lantu.models.spec import Grid, Parts
from lantu.models.validation import require
from lantu.tasks.effects import Compute, Draft, Task
from lantu.tokens import document, grammar
from lantu.tokens.repetition import first_repeat, without_repeats
from lantu.types import Caption, Picture

if TYPE_CHECKING:
    from PIL.Image import Image

    from lantu.models.lantu.layout import Example

CANDIDATES = 12
CHANGES = 2  # of the best of them, one place at a time
FREEDOM = 0.8  # temperature of all candidates but the first, which is the likeliest word by word
SURE = 1.2e-4  # variance of the likelihood of a code vector, as a share of the codebook's


def caption_picture(
    parts: Parts,
    image: "Picture | Image",
    language: str,
    seed: int = 0,
    temperature: float = 0.0,
    examples: "Sequence[Example]" = (),
    *,
    fit: bool = False,
) -> Task[Caption]:
    """The caption of a picture; one that this model drew is read from its codes.

    Args:
        temperature: 0 for the best of several candidates; above 0, one caption is sampled.
        examples: captions and pictures that the model reads first.
        fit: scale and crop a picture of another size.

    Raises:
        AbilityError: the model can't caption.
        ImageError: the picture is not of the model's size.
        PromptError: an unknown language.
    """
    require(parts.folder, "captioning")
    layout: Any = parts.layout
    drawing, image = (image, image.image) if isinstance(image, Picture) else (None, image)
    image, size = images.to_rgb(image), layout.size_of(parts.folder.grid)
    if not fit and image.size != size:
        what = "{}x{} pixels, the model reads {}x{}".format(*image.size, *size)
        raise ImageError(f"the picture has {what}", "scale it, or have it scaled and cropped with --fit")
    example_ids = layout.example_ids(examples, language) if examples else []
    if drawing and drawing.model == parts.folder.digest:
        return (yield from caption_codes(parts, drawing.codes, language, seed, temperature, example_ids))
    pixels_HWC = np.asarray(images.fit(image, *size) if fit else image)
    return (yield from caption(parts, pixels_HWC, language, seed, temperature, example_ids))


def caption(
    parts: Parts,
    pixels_HWC: np.ndarray,
    language: str,
    seed: int = 0,
    temperature: float = 0.0,
    examples: Sequence[int] = (),
) -> Task[Caption]:
    """The caption of any picture, (H, W, 3) uint8, of the size that the model reads.

    Raises:
        PromptError: an unknown language.
    """
    check_language(language)
    if parts.reads_pixels:
        (text,) = yield Compute(lambda: parts.read(pixels_HWC[None], language, seed, temperature))
        return Caption(text)
    codes_hw = yield from denoise(parts, pixels_HWC)
    return (yield from caption_codes(parts, codes_hw, language, seed, temperature, examples))


def caption_codes(
    parts: Parts,
    codes_hw: np.ndarray,
    language: str,
    seed: int = 0,
    temperature: float = 0.0,
    examples: Sequence[int] = (),
    *,
    candidates: int = CANDIDATES,
    most: int | None = None,
) -> Task[Caption]:
    """The caption of a picture that is given as codes.

    Args:
        temperature: 0 for the best of several; above it one is drawn as the model puts it, by the seed.
        examples: ids of examples (``LantuLayout.example_ids``), which the caption follows.
        candidates: captions to choose from at temperature 0.
        most: ids of a caption.

    Raises:
        PromptError: an unknown language.
    """
    check_language(language)
    if parts.reads_pixels:
        pixels_HWC = yield Compute(lambda: parts.render(codes_hw[None], [seed], parts.folder.settings)[0])
        return (yield from caption(parts, pixels_HWC, language, seed, temperature))
    parts = of_codes(parts)
    request = parts.layout.caption(codes_hw, language, seed, temperature, examples)
    if examples:
        (ids,) = yield Draft((request,))
        return Caption(without_repeats(parts.layout.words(ids)), parts.layout.is_whole(ids))
    limit = min(most or request.limit, request.limit)
    request = replace(request, allowed=script(parts, language), limit=limit)
    if temperature or parts.backend == "vllm":
        candidates = 1
    others = [replace(request, seed=number, temperature=FREEDOM) for number in range(1, candidates)]
    drafts = yield Draft((request, *others), batched=True)
    return (yield from best(parts, codes_hw, language, drafts))


def of_codes(parts: Parts) -> LantuParts:
    """The parts of a model that reads pictures from their codes: one of lantu's own family."""
    return cast(LantuParts, parts)


def check_language(language: str) -> None:
    """Raises PromptError where there are no captions in a language."""
    if language not in document.LANGUAGES:
        raise PromptError(f"no captions in {language}", f"choose {' or '.join(document.LANGUAGES)}")


def denoise(parts: Parts, pixels_HWC: np.ndarray) -> Task[np.ndarray]:
    """The likeliest codes of a picture (H, W, 3) uint8 by the language model's own expectation: (h, w) int64.

    The plain nearest codes where the tokenizer has no code vectors, or where the backend takes no bias (vLLM).
    """
    parts = of_codes(parts)

    def look() -> np.ndarray | None:
        return parts.distances(pixels_HWC[None]) if parts.backend != "vllm" else None

    distance_1NK = yield Compute(look)
    if distance_1NK is None:
        return (yield Compute(lambda: parts.encode(pixels_HWC[None])[0]))
    height, width = (side // parts.folder.patch for side in pixels_HWC.shape[:2])
    return (yield from likeliest_codes(parts, distance_1NK[0], (height, width)))


def denoise_codes(parts: Parts, codes_hw: np.ndarray) -> Task[np.ndarray]:
    """The same from codes alone, which may come from a picture that was encoded anew: (h, w) int64."""
    if parts.reads_pixels:
        return codes_hw
    parts = of_codes(parts)

    def look() -> np.ndarray | None:
        vectors_KE = parts.encoder.vectors_KE if parts.backend != "vllm" else None
        if vectors_KE is None:
            return None
        seen_NE = vectors_KE[codes_hw.reshape(-1)]
        return (seen_NE**2).sum(1, keepdims=True) + (vectors_KE**2).sum(1) - 2 * seen_NE @ vectors_KE.T

    distance_NK = yield Compute(look)
    if distance_NK is None:
        return codes_hw
    return (yield from likeliest_codes(parts, distance_NK, (codes_hw.shape[0], codes_hw.shape[1])))


def likeliest_codes(parts: LantuParts, distance_NK: np.ndarray, grid: Grid) -> Task[np.ndarray]:
    """Codes (h, w) by squared distances from code vectors and the language model's own expectation."""
    scale = -0.5 / max(SURE * parts.encoder.variance, 1e-12)
    bias_NK = (scale * (distance_NK - distance_NK.min(1, keepdims=True))).astype(np.float32)
    request = Request(
        document.unconditional_prefix(*grid, parts.vocabulary),
        grammar.codes(parts.vocabulary),
        limit=len(bias_NK),
        temperature=0.0,
        bias=lambda ids: bias_NK[len(ids)],
    )
    (ids,) = yield Draft((request,), batched=True)
    return parts.layout.codes(ids, grid)


def best(parts: LantuParts, codes_hw: np.ndarray, language: str, drafts: Sequence[Sequence[int]]) -> Task[Caption]:
    """The candidate that explains the picture best; whole ones go first, and what is repeated is cut off.

    The best is changed at one place at a time as long as that explains the picture better.
    """
    candidates = whole(parts, drafts)
    if len(drafts) == 1 or not candidates:
        texts = candidates or [parts.text.decode(ids).strip() for ids in drafts]
        scores = [0.0]
        if len(texts) > 1:
            scores = yield Compute(lambda: score(parts, codes_hw, language, texts))
        text = texts[int(np.argmax(scores))]
        return Caption(without_repeats(text.replace("\ufffd", "")), ended=bool(candidates))
    scores = yield Compute(lambda: score(parts, codes_hw, language, candidates))
    text, most = candidates[int(np.argmax(scores))], float(scores.max())
    for _ in range(CHANGES):
        changed = yield from change_one_word(parts, codes_hw, language, text)
        others = [other for other in whole(parts, changed) if other not in candidates]
        if not others:
            break
        candidates += others
        scores = yield Compute(lambda others=others: score(parts, codes_hw, language, others))
        if scores.max() <= most:
            break
        text, most = others[int(np.argmax(scores))], float(scores.max())
    return Caption(text)


def whole(parts: LantuParts, drafts: Sequence[Sequence[int]]) -> list[str]:
    """The captions among drafts that ended by themselves and repeat nothing, each once."""
    end = parts.vocabulary.special("eos")
    texts = [parts.text.decode(ids).strip() for ids in drafts if ids and ids[-1] == end]
    return list(dict.fromkeys(text for text in texts if text and is_clean(text)))


def is_clean(text: str) -> bool:
    """Whether a text repeats nothing and has whole characters alone."""
    return first_repeat(text) is None and "\ufffd" not in text


def score(parts: LantuParts, codes_hw: np.ndarray, language: str, texts: Sequence[str]) -> np.ndarray:
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


def change_one_word(parts: LantuParts, codes_hw: np.ndarray, language: str, text: str) -> Task[list[list[int]]]:
    """A caption with another word at one place: at each place the second likeliest id, and the likeliest behind it.

    So a name that begins as another does (猫 and 猫头鹰) is tried even where the longer one is the likelier by far.
    """
    prefix, allowed = document.caption_prefix(codes_hw, language, parts.vocabulary), script(parts, language)
    end = parts.vocabulary.special("eos")
    ids = [*parts.text.encode(text), end]

    def second_likeliest() -> list[int]:
        (logits_TV,) = logits_behind(parts, [prefix], [ids], allowed)
        logits_TV[np.arange(len(ids)), columns_of(allowed, ids)] = -np.inf
        return [id_at(allowed, int(column)) for column in logits_TV.argmax(1)]

    others = yield Compute(second_likeliest)
    starts = [[*ids[:place], other] for place, other in enumerate(others) if other != end]
    requests = [
        Request([*prefix, *start], allowed, limit=max(1, MAX_CAPTION - len(start)), stop=end, temperature=0.0)
        for start in starts
    ]
    drafts = yield Draft(requests, batched=True)
    return [[*start, *rest] for start, rest in zip(starts, drafts, strict=True)]


def log_probabilities(
    parts: LantuParts, prefixes: Sequence[Sequence[int]], endings: Sequence[Sequence[int]], ranges: Ranges
) -> np.ndarray:
    """log p of each ending behind its prefix among the ids in ``ranges``: (C) float64."""
    sums = []
    for ending, logits_TV in zip(endings, logits_behind(parts, prefixes, endings, ranges), strict=True):
        peak = logits_TV.max(1)
        chosen = logits_TV[np.arange(len(ending)), columns_of(ranges, ending)]
        sums.append((chosen - peak - np.log(np.exp(logits_TV - peak[:, None]).sum(1))).sum())
    return np.array(sums)


def logits_behind(
    parts: LantuParts, prefixes: Sequence[Sequence[int]], endings: Sequence[Sequence[int]], ranges: Ranges
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


def script(parts: LantuParts, language: str) -> Ranges:
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
