"""Drafting by discrete diffusion (ancestral sampling): all codes are noise, and each pass takes them back in time.

Of T steps a draft may take fewer passes, evenly spaced: the posterior is known between any two times (arXiv:2111.14822,
section 4.3). Shapes: N codes, V ids that may be drawn, K codebook size.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from lantu.engine import masked_diffusion
from lantu.engine.drafting import MASK_ID
from lantu.engine.masked_diffusion import MaskedDraft, MaskedDrafter, OnStep, ranges_of
from lantu.engine.request import Ranges, Request, id_at
from lantu.rivals.vq_diffusion.transitions import Schedule, posterior


class DiffusionLanguage(Protocol):
    """A bidirectional language model that predicts clean ids from noisy ones.

    Attributes:
        exact: a sequence computed in a batch is bit for bit the sequence computed alone.
        passes: forward passes of a draft, unless its request says how many.
        schedule: of the diffusion that it was trained on.
    """

    exact: bool
    passes: int
    schedule: Schedule

    def predict(
        self, prompts: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]], ranges: Ranges, t: int
    ) -> list[np.ndarray]:
        """For each prompt and noisy draft (MASK_ID where masked) at time t the logits (N, V) of the clean ids."""
        ...


class NoisyDraft(MaskedDraft):
    """A draft that begins as noise: most ids are masked, the others random.

    Attributes:
        columns: (N,) of ``ids`` among the ids that may be drawn, V where masked.
        kept: (N,) bool, those that are given, which stay as they are at any time.
    """

    def __init__(self, request: Request, on_step: OnStep | None, passes: int, schedule: Schedule):
        super().__init__(request, on_step, passes)
        self.total = min(self.total, schedule.steps)
        # At temperature 0 the seed decides nothing.
        self.random = np.random.default_rng((request.seed if request.temperature else 0, 0))
        self.ranges = ranges_of(request)
        size, (chance, other) = sum(map(len, self.ranges)), self.random.random((2, request.limit))
        self.columns = np.where(chance < schedule.masked, size, (other * size).astype(np.int64))
        self.kept = np.ones(request.limit, bool)
        self.kept[self.wanted] = False
        ids = [id_ for allowed in self.ranges for id_ in allowed] if request.given else []
        for place in np.flatnonzero(self.kept).tolist():
            self.columns[place] = ids.index(request.given[place])
        self.name()

    def time(self, steps: int, behind: int = 0) -> int:
        """The time of the draft after its passes so far and ``behind`` more."""
        return round(steps * max(0, self.total - self.passes - behind) / self.total)

    def name(self) -> None:
        """Take ``ids`` from ``columns``."""
        size = sum(map(len, self.ranges))
        self.ids[:] = [MASK_ID if each == size else id_at(self.ranges, each) for each in self.columns.tolist()]


class VqDiffusionDrafter(MaskedDrafter):
    """A ``lantu.engine.drafting.Drafter`` by discrete diffusion; see ``MaskedDrafter``.

    ``temperature``, ``top_k`` and ``top_p`` (the paper's truncation) shape the distribution of the clean codes.
    """

    language: DiffusionLanguage  # pyrefly: ignore[bad-override]

    def __init__(self, language: DiffusionLanguage, max_rows: int = 64, max_drafts: int | None = None):
        predicting: Any = language
        super().__init__(predicting, max_rows, max_drafts)

    def submit(self, request: Request, on_step: OnStep | None = None) -> MaskedDraft:
        """Queue a request; nothing is computed yet.

        Raises:
            ValueError: the request is of a kind that only next-token drafting can serve.
        """
        check(request)
        return self.queue(NoisyDraft(request, on_step, self.language.passes, self.language.schedule))

    def step(self) -> bool:
        """One forward pass for every draft that runs; False when there is nothing left to do."""
        self.schedule()
        steps = self.language.schedule.steps
        drafts = [draft for draft in self.running if isinstance(draft, NoisyDraft)]
        for ranges, t in dict.fromkeys((draft.ranges, draft.time(steps)) for draft in drafts):
            group = [draft for draft in drafts if (draft.ranges, draft.time(steps)) == (ranges, t)]
            prompts = [prompt for draft in group for prompt in draft.prompts]
            ids = [draft.ids for draft in group for _ in draft.prompts]
            logits = iter(self.language.predict(prompts, ids, ranges, t))
            for draft in group:
                conditional_NV = next(logits)
                unconditional_NV = next(logits) if draft.request.guided else None
                if not draft.ended:  # by another draft's callback
                    self.take(draft, conditional_NV, unconditional_NV, t)
            drafts = [draft for draft in drafts if draft not in group]
        return self.busy

    def take(self, draft: NoisyDraft, conditional_NV: np.ndarray, unconditional_NV: np.ndarray | None, t: int) -> None:
        """Sample the ids of an earlier time."""
        schedule, s = self.language.schedule, draft.time(self.language.schedule.steps, 1)
        chances_NV = chances(conditional_NV, unconditional_NV, draft.request)
        until = schedule.until(s), schedule.between(s, t), schedule.until(t)
        sums_NV = posterior(chances_NV, draft.columns, *until).cumsum(-1)
        # Every position has a random number of its own in each pass, so a draft depends on its seed and logits alone.
        wanted_N1 = draft.random.random(len(draft.columns))[:, None] * sums_NV[:, -1:]
        draft.columns = np.where(draft.kept, draft.columns, (sums_NV <= wanted_N1).sum(-1))
        draft.passes += 1
        draft.name()
        if draft.passes == draft.total:
            draft.state = "done"
            self.running.remove(draft)
        if draft.on_step:
            draft.on_step(draft.ids)


def chances(conditional_NV: np.ndarray, unconditional_NV: np.ndarray | None, request: Request) -> np.ndarray:
    """The guided distribution of each clean code, (N, V) float64, at the request's temperature and truncation."""
    logits_NV = conditional_NV.astype(np.float64)
    if unconditional_NV is not None:
        logits_NV = unconditional_NV + request.guidance * (logits_NV - unconditional_NV)
    order_NV = np.argsort(-logits_NV, -1, kind="stable")
    sorted_NV = np.take_along_axis(logits_NV, order_NV, -1)
    if request.temperature:
        sorted_NV = np.exp((sorted_NV - sorted_NV[:, :1]) / request.temperature)
    else:
        sorted_NV = (np.arange(sorted_NV.shape[1]) == 0) * np.ones_like(sorted_NV)
    if request.top_k:
        sorted_NV[:, request.top_k :] = 0
    sorted_NV /= sorted_NV.sum(-1, keepdims=True)
    before_NV = sorted_NV.cumsum(-1) - sorted_NV
    sorted_NV[before_NV >= request.top_p] = 0
    found_NV = np.empty_like(sorted_NV)
    np.put_along_axis(found_NV, order_NV, sorted_NV / sorted_NV.sum(-1, keepdims=True), -1)
    return found_NV


def check(request: Request) -> None:
    """Refuse a request that discrete diffusion can't serve.

    Raises:
        ValueError: see ``lantu.engine.masked_diffusion.check``; or it asks for contrastive decoding.
    """
    masked_diffusion.check(request)
    if request.contrast:
        raise ValueError("discrete diffusion mixes distributions, which contrastive decoding does not give")
