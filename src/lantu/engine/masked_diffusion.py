"""Drafting by masked diffusion: all codes begin masked, and each forward pass keeps the most confident predictions.

MaskGIT (arXiv:2202.04200): of N codes, ``floor(N · cos(π/2 · t/T))`` are still masked after pass t of T. So a picture
takes T passes for any N; a next-token model takes N.

Shapes: N codes of a draft, V ids that may be drawn.
"""

import collections
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from lantu import kernels
from lantu.engine.drafting import MASK_ID
from lantu.engine.request import Ranges, Request, id_at
from lantu.kernels import Choice

OnStep = Callable[[Sequence[int]], None]


class MaskedLanguage(Protocol):
    """A bidirectional language model that predicts masked ids.

    Attributes:
        exact: a sequence computed in a batch is bit for bit the sequence computed alone.
        passes: forward passes of a draft, unless its request says how many.
        choice_temperature: scale of the Gumbel noise on confidences at the first pass; it falls linearly to 0.
    """

    exact: bool
    passes: int
    choice_temperature: float

    def logits(
        self, prompts: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]], ranges: Ranges
    ) -> list[np.ndarray]:
        """One forward pass: for each prompt and draft (MASK_ID where masked) (N, V) float32, of the ids in ranges."""
        ...


class MaskedDraft:
    """A request on its way.

    Attributes:
        ids: as many as the request's limit; MASK_ID where one is not drafted yet.
        wanted: places of those that are not given.
        passes: forward passes so far.
        total: forward passes in all.
        state: "waiting", "running", "done" or "cancelled".
    """

    def __init__(self, request: Request, on_step: OnStep | None, passes: int):
        self.request, self.on_step = request, on_step
        self.ids = list(request.given) or [MASK_ID] * request.limit
        self.wanted = [place for place, id_ in enumerate(self.ids) if id_ == MASK_ID]
        self.passes, self.total = 0, request.passes or passes
        self.state = "waiting"
        self.random = np.random.default_rng((request.seed, 0))

    @property
    def ended(self) -> bool:
        """Whether it is complete or cancelled."""
        return self.state in ("done", "cancelled")

    @property
    def prompts(self) -> list[Sequence[int]]:
        """The conditional prompt, and with guidance the unconditional one."""
        request = self.request
        return [request.prefix_ids, request.unconditional_ids] if request.guided else [request.prefix_ids]


class MaskedDrafter:
    """A ``lantu.engine.drafting.Drafter`` by masked diffusion.

    It ignores ``num_draft_tokens`` and ``min_accepted``: every pass drafts many codes.
    ``temperature`` scales all randomness; at 0 each pass keeps the likeliest codes.

    Args:
        language: predicts masked ids.
        max_rows: sequences of a forward pass, at most; a guided draft takes two.
        max_drafts: drafts that may share forward passes; as many as fit if the language model is exact, else one at a
            time, so that a draft depends on nothing but its own seed.
    """

    def __init__(self, language: MaskedLanguage, max_rows: int = 64, max_drafts: int | None = None):
        self.language, self.max_rows = language, max_rows
        self.max_drafts = max_drafts or (max_rows if language.exact else 1)
        self.waiting: collections.deque[MaskedDraft] = collections.deque()
        self.running: list[MaskedDraft] = []

    @property
    def exact(self) -> bool:
        """Whether a draft is the same, bit for bit, alone and with others."""
        return self.language.exact

    @property
    def busy(self) -> bool:
        """Whether some draft has not ended."""
        return bool(self.waiting or self.running)

    def submit(self, request: Request, on_step: OnStep | None = None) -> MaskedDraft:
        """Queue a request; nothing is computed yet.

        Args:
            on_step: called with ``ids`` after each pass.

        Raises:
            ValueError: the request is of a kind that only next-token drafting can serve.
        """
        check(request)
        return self.queue(MaskedDraft(request, on_step, self.language.passes))

    def queue(self, draft: MaskedDraft) -> MaskedDraft:
        """Let a draft wait for its turn. Raises ValueError where it takes more rows than there are."""
        if draft.request.rows > self.max_rows:
            raise ValueError(f"a request of {draft.request.rows} rows, the drafter has {self.max_rows}")
        self.waiting.append(draft)
        return draft

    def cancel(self, draft: MaskedDraft) -> None:
        """End a draft now."""
        if draft.state == "waiting":
            self.waiting.remove(draft)
        elif draft.state == "running":
            self.running.remove(draft)
        if not draft.ended:
            draft.state = "cancelled"

    def step(self) -> bool:
        """One forward pass for every draft that runs; False when there is nothing left to do."""
        self.schedule()
        for ranges in dict.fromkeys(ranges_of(draft.request) for draft in self.running):
            group = [draft for draft in self.running if ranges_of(draft.request) == ranges]
            prompts = [prompt for draft in group for prompt in draft.prompts]
            drafts = [draft.ids for draft in group for _ in draft.prompts]
            logits = iter(self.language.logits(prompts, drafts, ranges))
            for draft in group:
                conditional_NV = next(logits)
                unconditional_NV = next(logits) if draft.request.guided else None
                if not draft.ended:  # by another draft's callback
                    self.advance(draft, conditional_NV, unconditional_NV, ranges)
        return self.busy

    def schedule(self) -> None:
        """Let waiting drafts run while there is room, first come first served."""
        while self.waiting and len(self.running) < self.max_drafts:
            draft = self.waiting[0]
            if sum(each.request.rows for each in self.running) + draft.request.rows > self.max_rows:
                break
            self.waiting.popleft()
            if draft.wanted:
                self.running.append(draft)
                draft.state = "running"
            else:
                draft.state = "done"

    def advance(
        self, draft: MaskedDraft, conditional_NV: np.ndarray, unconditional_NV: np.ndarray | None, ranges: Ranges
    ) -> None:
        """Sample the masked ids of a draft, and keep the most confident of them."""
        draft.passes += 1
        sample(draft, conditional_NV, unconditional_NV, ranges, self.language)
        if MASK_ID not in draft.ids:
            draft.state = "done"
            self.running.remove(draft)
        if draft.on_step:
            draft.on_step(draft.ids)


def sample(
    draft: MaskedDraft,
    conditional_NV: np.ndarray,
    unconditional_NV: np.ndarray | None,
    ranges: Ranges,
    language: MaskedLanguage,
) -> None:
    """One pass of MaskGIT's iterative decoding, figure 3 of arXiv:2202.04200.

    Every position has random numbers of its own in each pass, so that a draft depends on its seed and logits alone.
    """
    request, count = draft.request, len(draft.ids)
    uniform_N, noise_N = draft.random.random(count), draft.random.random(count)
    masked = [place for place, id_ in enumerate(draft.ids) if id_ == MASK_ID]
    logits_RV = conditional_NV if unconditional_NV is None else np.concatenate([conditional_NV, unconditional_NV])
    choices = [
        Choice(
            place,
            -1 if unconditional_NV is None else count + place,
            request.guidance,
            request.temperature,
            request.top_k,
            request.top_p,
            float(uniform_N[place]),
            request.contrast,
        )
        for place in masked
    ]
    columns = kernels.choose(logits_RV, choices)
    confidence = log_probabilities(conditional_NV, unconditional_NV, request)[masked, columns]
    scale = language.choice_temperature * request.temperature * max(0.0, 1 - draft.passes / draft.total)
    confidence = confidence + scale * gumbel(noise_N[masked])
    left = min(len(masked) - 1, masked_after(draft.passes, draft.total, len(draft.wanted)))
    for chosen in np.argsort(-confidence, kind="stable")[: len(masked) - left].tolist():
        draft.ids[masked[chosen]] = id_at(ranges, columns[chosen])


def masked_after(passed: int, passes: int, count: int) -> int:
    """How many of ``count`` ids are still masked after ``passed`` of ``passes``: the cosine schedule."""
    return math.floor(count * math.cos(math.pi / 2 * passed / passes)) if passed < passes else 0


def log_probabilities(conditional_NV: np.ndarray, unconditional_NV: np.ndarray | None, request: Request) -> np.ndarray:
    """(N, V) of the guided distribution at temperature 1; with contrastive decoding of the conditional one."""
    logits_NV = conditional_NV
    if unconditional_NV is not None and not request.contrast:
        logits_NV = unconditional_NV + np.float32(request.guidance) * (conditional_NV - unconditional_NV)
    shifted_NV = logits_NV - logits_NV.max(-1, keepdims=True)
    return shifted_NV - np.log(np.exp(shifted_NV).sum(-1, keepdims=True))


def gumbel(uniform: np.ndarray) -> np.ndarray:
    """Standard Gumbel noise of uniform numbers in [0, 1)."""
    return -np.log(-np.log(np.clip(uniform, 1e-12, 1 - 1e-12)))


def ranges_of(request: Request) -> Ranges:
    """The ids that may be drawn, which ``check`` has found to be the same everywhere."""
    assert not callable(request.allowed)
    return request.allowed


def check(request: Request) -> None:
    """Refuse a request that only next-token drafting can serve.

    Raises:
        ValueError: its ids depend on one another, it has an end of its own, or something is added to its logits.
    """
    if callable(request.allowed) or request.stop is not None:
        raise ValueError("masked diffusion drafts as many ids as there are, each from the same ids")
    if request.bias:
        raise ValueError("masked diffusion can't follow a bias that depends on the ids before")
    if request.positions is not None:
        raise ValueError("masked diffusion counts positions itself")
