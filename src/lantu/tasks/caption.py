"""Captions: several are drafted from a picture's codes, and the one that explains the picture best is kept.

Three weaknesses of small captioning models are handled here:

- *Encoding a picture again does not give the codes it was drawn from.* Uniform cells (white paper above all) have many
  codes at nearly the same distance, so the nearest one is random, and the language model has never seen such noise.
  ``denoise`` combines the language model's next-code distribution (the prior of each cell) with the distance to the
  code vectors (the likelihood).
- *The likeliest caption word by word may be wrong as a whole* (猫头鹰 for a cat). The model draws better than it reads,
  so candidates are scored in both directions: log p(caption | codes) + log p(codes | caption), as in noisy-channel
  decoding (arXiv:1611.02554), and the best one is retried with another word at each position.
- *A caption may run on, repeat itself, or switch languages.* Only ids of the requested script are allowed, and
  candidates that end by themselves without repetition are preferred.

Shapes: B batch, h w grid, N = h·w, K codebook size, C candidates.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lantu import images
from lantu.engine.request import Ranges, Request, id_at
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ImageError, PromptError
from lantu.models.lantu.parts import LantuParts
from lantu.models.lantu.requests import MAX_CAPTION
from lantu.models.spec import Grid, Parts
from lantu.models.validation import as_drawn, as_text, nearest_size, require
from lantu.tasks.effects import Compute, Draft, Task
from lantu.tokens import document, grammar
from lantu.tokens.repetition import first_repeat, without_repeats
from lantu.types import MASK_CODE, Caption, Picture

if TYPE_CHECKING:
    from PIL.Image import Image

    from lantu.models.lantu.layout import Example

CANDIDATES = 12
CHANGES = 2  # rounds of changing one word of the best candidate
CANDIDATE_TEMPERATURE = 0.8  # of all candidates but the first, which is greedy
CODE_VARIANCE = 1.2e-4  # of the likelihood of a code vector, as a share of the codebook's variance


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
        LantuError: the temperature is out of range.
        PromptError: an unknown language.
    """
    require(parts.folder, "captioning")
    temperature = SamplingParams(temperature=temperature).temperature
    layout: Any = parts.layout
    drawing, image = (image, image.image) if isinstance(image, Picture) else (None, image)
    image, sizes = as_drawn(images.to_rgb(image), layout), layout.sizes
    if not fit and image.size not in sizes:
        what = f"{as_text(image.size)} pixels, the model reads {', '.join(map(as_text, sizes))}"
        raise ImageError(f"the picture has {what}", "scale it, or have it scaled and cropped with --fit")
    example_ids = layout.example_ids(examples, language) if examples else []
    if drawing and drawing.model == parts.folder.digest and (drawing.codes != MASK_CODE).all():
        return (yield from caption_codes(parts, drawing.codes, language, seed, temperature, example_ids))
    pixels_HWC = np.asarray(images.fit(image, *nearest_size(image.size, sizes)) if fit else image)
    return (yield from caption(parts, pixels_HWC, language, seed, temperature, example_ids))


def caption(
    parts: Parts,
    pixels_HWC: np.ndarray,
    language: str,
    seed: int = 0,
    temperature: float = 0.0,
    examples: Sequence[int] = (),
    *,
    most: int | None = None,
) -> Task[Caption]:
    """The caption of a picture (H, W, 3) uint8 of the model's size; ``most`` as of ``caption_codes``.

    Raises:
        AbilityError: the model can't caption.
        PromptError: an unknown language.
    """
    require(parts.folder, "captioning")
    check_language(language)
    if parts.reads_pixels:
        (text,) = yield Compute(lambda: parts.read(pixels_HWC[None], language, seed, temperature, most))
        return text
    codes_hw = yield from denoise(parts, pixels_HWC)
    return (yield from caption_codes(parts, codes_hw, language, seed, temperature, examples, most=most))


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
    """The caption of a picture from its codes; of only the first ones of a sequence, from what they render to.

    Args:
        temperature: 0 for the best of several candidates; above 0, one caption is sampled.
        examples: ids of examples (``LantuLayout.example_ids``) that precede the picture.
        candidates: how many captions to choose from at temperature 0.
        most: maximum number of ids in the caption.

    Raises:
        AbilityError: the model can't caption.
        PromptError: an unknown language.
    """
    require(parts.folder, "captioning")
    check_language(language)
    if parts.reads_pixels or (codes_hw == MASK_CODE).any():
        pixels_HWC = yield Compute(lambda: parts.render(codes_hw[None], [seed], parts.folder.settings)[0])
        return (yield from caption(parts, pixels_HWC, language, seed, temperature, examples, most=most))
    parts = of_codes(parts)
    request = parts.layout.caption(codes_hw, language, seed, temperature, examples)
    if examples:
        (ids,) = yield Draft((request,))
        return Caption(without_repeats(parts.layout.words(ids)), parts.layout.is_whole(ids))
    limit = min(most or request.limit, request.limit)
    request = replace(request, allowed=script(parts, language), limit=limit)
    if temperature or parts.backend == "vllm":
        candidates = 1
    others = [replace(request, seed=number, temperature=CANDIDATE_TEMPERATURE) for number in range(1, candidates)]
    drafts = yield Draft((request, *others), batched=True)
    return (yield from best(parts, codes_hw, language, drafts))


def of_codes(parts: Parts) -> LantuParts:
    """The parts, known to be of lantu's own family, the only one that captions codes."""
    return cast(LantuParts, parts)


def check_language(language: str) -> None:
    """Refuse a language without captions. Raises PromptError."""
    if language not in document.LANGUAGES:
        raise PromptError(f"no captions in {language}", f"choose {' or '.join(document.LANGUAGES)}")


def denoise(parts: Parts, pixels_HWC: np.ndarray) -> Task[np.ndarray]:
    """The likeliest codes (h, w) int64 of a picture (H, W, 3) uint8, with the language model as prior.

    The nearest codes where the tokenizer has no code vectors, or where the backend supports no bias (vLLM).
    """
    parts = of_codes(parts)

    def distances() -> np.ndarray | None:
        return parts.distances(pixels_HWC[None]) if parts.backend != "vllm" else None

    distance_1NK = yield Compute(distances)
    if distance_1NK is None:
        return (yield Compute(lambda: parts.encode(pixels_HWC[None])[0]))
    height, width = (side // parts.folder.patch for side in pixels_HWC.shape[:2])
    return (yield from likeliest_codes(parts, distance_1NK[0], (height, width)))


def denoise_codes(parts: Parts, codes_hw: np.ndarray) -> Task[np.ndarray]:
    """``denoise`` from codes alone, such as those of a picture that was encoded again: (h, w) int64."""
    if parts.reads_pixels:
        return codes_hw
    parts = of_codes(parts)

    def distances() -> np.ndarray | None:
        vectors_KE = parts.encoder.vectors_KE if parts.backend != "vllm" else None
        if vectors_KE is None:
            return None
        found_NE = vectors_KE[codes_hw.reshape(-1)]
        return (found_NE**2).sum(1, keepdims=True) + (vectors_KE**2).sum(1) - 2 * found_NE @ vectors_KE.T

    distance_NK = yield Compute(distances)
    if distance_NK is None:
        return codes_hw
    return (yield from likeliest_codes(parts, distance_NK, (codes_hw.shape[0], codes_hw.shape[1])))


def likeliest_codes(parts: LantuParts, distance_NK: np.ndarray, grid: Grid) -> Task[np.ndarray]:
    """Codes (h, w) from squared distances to code vectors, with the language model as prior."""
    scale = -0.5 / max(CODE_VARIANCE * parts.encoder.variance, 1e-12)
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
    """The candidate with the best score; complete ones are preferred, and repetitions are cut off.

    The winner is changed one word at a time as long as its score improves.
    """
    candidates = complete(parts, drafts)
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
        others = [other for other in complete(parts, changed) if other not in candidates]
        if not others:
            break
        candidates += others
        scores = yield Compute(lambda others=others: score(parts, codes_hw, language, others))
        if scores.max() <= most:
            break
        text, most = others[int(np.argmax(scores))], float(scores.max())
    return Caption(text)


def complete(parts: LantuParts, drafts: Sequence[Sequence[int]]) -> list[str]:
    """The distinct captions among drafts that ended by themselves and repeat nothing."""
    end = parts.vocabulary.special("eos")
    texts = [parts.text.decode(ids).strip() for ids in drafts if ids and ids[-1] == end]
    return list(dict.fromkeys(text for text in texts if text and is_clean(text)))


def is_clean(text: str) -> bool:
    """Whether a text repeats nothing and has no broken characters."""
    return first_repeat(text) is None and "\ufffd" not in text


def score(parts: LantuParts, codes_hw: np.ndarray, language: str, texts: Sequence[str]) -> np.ndarray:
    """log p(caption | codes) + log p(codes | caption) of each candidate: (C) float64."""
    vocabulary, (height, width) = parts.vocabulary, codes_hw.shape
    written = [list(parts.text.encode(text)) for text in texts]
    captions_C = log_probabilities(
        parts,
        [document.caption_prefix(codes_hw, language, vocabulary)] * len(texts),
        [[*ids, vocabulary.special("eos")] for ids in written],
        grammar.text(vocabulary),
    )
    pictures_C = log_probabilities(
        parts,
        [document.draw_prefix(ids, height, width, vocabulary) for ids in written],
        [document.code_ids(codes_hw, vocabulary)] * len(texts),
        grammar.codes(vocabulary),
    )
    return captions_C + pictures_C


def change_one_word(parts: LantuParts, codes_hw: np.ndarray, language: str, text: str) -> Task[list[list[int]]]:
    """Variants of a caption: at each position, the second likeliest id and its greedy continuation.

    So a name that is the beginning of another (猫 and 猫头鹰) is tried even where the longer one is far likelier.
    """
    prefix, allowed = document.caption_prefix(codes_hw, language, parts.vocabulary), script(parts, language)
    end = parts.vocabulary.special("eos")
    ids = [*parts.text.encode(text), end]
    if not all(any(id_ in ids_ for ids_ in allowed) for id_ in ids):
        return []  # its letters were written one by one, of which together an id of another script is made

    def second_likeliest() -> list[int]:
        (logits_TV,) = continuation_logits(parts, [prefix], [ids], allowed)
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
    parts: LantuParts, prefixes: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]], ranges: Ranges
) -> np.ndarray:
    """log p of each continuation given its prefix, among the ids in ``ranges``: (C) float64."""
    sums = []
    for continuation, logits_TV in zip(
        continuations, continuation_logits(parts, prefixes, continuations, ranges), strict=True
    ):
        peak = logits_TV.max(1)
        chosen = logits_TV[np.arange(len(continuation)), columns_of(ranges, continuation)]
        sums.append((chosen - peak - np.log(np.exp(logits_TV - peak[:, None]).sum(1))).sum())
    return np.array(sums)


def continuation_logits(
    parts: LantuParts, prefixes: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]], ranges: Ranges
) -> list[np.ndarray]:
    """For each continuation, the logits at each of its positions: (its length, number of ids in ``ranges``)."""
    backend: Any = parts.language
    rows = [
        backend.open(len(prefix) + len(continuation))
        for prefix, continuation in zip(prefixes, continuations, strict=True)
    ]
    try:
        # Two reads, because after a first read transformers keeps only the last id's logits.
        backend.read(rows, [list(prefix) for prefix in prefixes])
        logits = [[row_V] for row_V in to_float64(backend.logits(rows, ranges))]
        longer = [place for place, continuation in enumerate(continuations) if len(continuation) > 1]
        if longer:
            backend.read([rows[place] for place in longer], [list(continuations[place][:-1]) for place in longer])
            steps = [(place, back) for place in longer for back in range(len(continuations[place]) - 2, -1, -1)]
            later = to_float64(backend.logits([rows[place] for place, _ in steps], ranges, [back for _, back in steps]))
            for (place, _), row_V in zip(steps, later, strict=True):
                logits[place].append(row_V)
    finally:
        for row in rows:
            backend.close(row)
    return [np.stack(rows_V) for rows_V in logits]


def columns_of(ranges: Ranges, ids: Sequence[int]) -> list[int]:
    """The columns of ids in logits over ``ranges``."""
    starts = np.cumsum([0, *map(len, ranges)])
    return [
        next(int(start) + id_ - ids_.start for ids_, start in zip(ranges, starts, strict=False) if id_ in ids_)
        for id_ in ids
    ]


def to_float64(logits: Any) -> np.ndarray:
    """Logits of any backend as float64."""
    return np.asarray(logits.cpu() if hasattr(logits, "cpu") else logits, np.float64)


def script(parts: LantuParts, language: str) -> Ranges:
    """Ranges of the ids that a caption in a language may contain, including <eos>.

    English captions have no Chinese characters. Chinese captions have Latin letters in names (3D, Noto, T恤), but no
    lower-case English words after a space.
    """
    barred = parts.text.han_ids() if language == "en" else parts.text.english_word_ids()
    ranges, start = [], 0
    for id_ in [*sorted(barred), parts.vocabulary.text_size]:
        if id_ > start:
            ranges.append(range(start, id_))
        start = id_ + 1
    end = parts.vocabulary.special("eos")
    return (*ranges, range(end, end + 1))
