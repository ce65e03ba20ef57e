"""Drafting vectors in random order, several a pass (Li et al. 2024, arXiv:2406.11838, sections 3.4 and 4.2).

Each draft has an order of its own. After pass t of T, ``floor(n · cos(π/2 · t/T))`` of n cells are still masked, as in
MaskGIT. Guidance rises with the share of cells that are known, to its whole scale at the end (as in the authors' code,
github.com/LTH14/mar). Shapes: n cells, R of them that a pass drafts, S steps, E numbers of a vector, D width.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from lantu.diffusion.arrays import Array
from lantu.engine.drafting import MASK_ID
from lantu.engine.masked_diffusion import MaskedDraft, MaskedDrafter, OnStep, check, masked_after
from lantu.engine.request import Request
from lantu.rivals.continuous.backend import Head
from lantu.rivals.continuous.levels import Levels


class VectorLanguage(Protocol):
    """A bidirectional transformer over cells and a prompt.

    Attributes:
        exact: a sequence computed in a batch is bit for bit the sequence computed alone.
        passes: forward passes of a draft, unless its request says how many.
    """

    exact: bool
    passes: int

    def cells(self, prompts: Sequence[Sequence[int]], drafts: Sequence[np.ndarray]) -> list[Array]:
        """For each prompt and draft the hidden states (n, D) that a ``Head`` reads.

        Args:
            drafts: embeddings (n, D) float32 of the cells, NaN where one is still to come.
        """
        ...


class VectorDraft(MaskedDraft):
    """A request on its way; its "ids" are tuples of levels.

    Attributes:
        order: of the cells that are wanted.
        cells: embeddings (n, D) of the cells that are known, NaN of the others; None before the first pass.
    """

    def __init__(self, request: Request, on_step: OnStep | None, passes: int):
        super().__init__(request, on_step, passes)
        # At temperature 0 the seed decides nothing.
        self.random = np.random.default_rng((request.seed if request.temperature else 0, 0))
        self.order = self.random.permutation(self.wanted)
        self.cells: np.ndarray | None = None

    @property
    def drafted(self) -> int:
        """Wanted cells that are known."""
        return len(self.wanted) - self.ids.count(MASK_ID)


class RandomOrderDrafter(MaskedDrafter):
    """A ``lantu.engine.drafting.Drafter`` of vectors in random order; see ``MaskedDrafter``.

    Args:
        language, head, levels: of the model.
        steps: noise vectors that the head takes for one vector.
        channels: E.
    """

    language: Any

    def __init__(
        self,
        language: VectorLanguage,
        head: Head,
        levels: Levels,
        steps: int,
        channels: int,
        max_drafts: int | None = None,
    ):
        predicting: Any = language
        super().__init__(predicting, max_drafts=max_drafts)
        self.head, self.levels, self.steps, self.channels = head, levels, steps, channels

    def submit(self, request: Request, on_step: OnStep | None = None) -> MaskedDraft:
        """Queue a request; nothing is computed yet.

        Raises:
            ValueError: the request is of a kind that only next-token drafting can serve.
        """
        check(request)
        return self.queue(VectorDraft(request, on_step, self.language.passes))

    def step(self) -> bool:
        """One forward pass for every draft that runs; False when there is nothing left to do."""
        self.schedule()
        drafts = [draft for draft in self.running if isinstance(draft, VectorDraft)]
        if not drafts:
            return self.busy
        for draft in drafts:
            if draft.cells is None:
                draft.cells = self.embedded(draft)
        prompts = [prompt for draft in drafts for prompt in draft.prompts]
        cells = [draft.cells for draft in drafts for _ in draft.prompts]
        hidden = iter(self.language.cells(prompts, cells))
        for draft in drafts:
            conditional_nD = next(hidden)
            unconditional_nD = next(hidden) if draft.request.guided else None
            if not draft.ended:  # by another draft's callback
                self.take(draft, conditional_nD, unconditional_nD)
        return self.busy

    def embedded(self, draft: VectorDraft) -> np.ndarray:
        """The embeddings (n, D) of a draft's cells, NaN of those to come."""
        blank = (0,) * self.channels
        known_n = np.array([id_ != MASK_ID for id_ in draft.ids])
        levels_nE = np.array([id_ if known else blank for id_, known in zip(draft.ids, known_n, strict=True)])
        return np.where(known_n[:, None], self.head.embed(self.levels.vectors(levels_nE)), np.float32(np.nan))

    def take(self, draft: VectorDraft, conditional_nD: Array, unconditional_nD: Array | None) -> None:
        """Draft the next cells of a draft's order."""
        request, drafted, count = draft.request, draft.drafted, len(draft.order)
        draft.passes += 1
        left = min(count - drafted - 1, masked_after(draft.passes, draft.total, count))
        chosen_R = draft.order[drafted : count - left]
        guidance = 1 + (request.guidance - 1) * (1 - left / len(draft.ids))
        guidance_R1, temperature_R1 = (
            np.full((len(chosen_R), 1), value, np.float32) for value in (guidance, request.temperature)
        )
        noise_SRE = draft.random.standard_normal((self.steps, len(chosen_R), self.channels), np.float32)
        without_RD = None if unconditional_nD is None else unconditional_nD[chosen_R]
        found_RE = self.head.sample(conditional_nD[chosen_R], without_RD, guidance_R1, temperature_R1, noise_SRE)
        levels_RE = self.levels.of(found_RE)
        assert draft.cells is not None
        draft.cells[chosen_R] = self.head.embed(self.levels.vectors(levels_RE))
        ids: Any = draft.ids
        for place, levels in zip(chosen_R.tolist(), levels_RE.tolist(), strict=True):
            ids[place] = tuple(levels)
        if not left:
            draft.state = "done"
            self.running.remove(draft)
        if draft.on_step:
            draft.on_step(draft.ids)
