"""A drafter that denoises: each step takes all running drafts one step of the sampler further.

The sampler is Euler's on the straight path, which is DDIM on a variance-preserving schedule (arXiv:2010.02502, equation
12): see ``lantu.diffusion.samplers``. Cells that are known (editing) are put back after each step with the noise that
belongs to its time (arXiv:2201.09865, section 4.1, without its resampling).

Shapes: B batch, C channels, H W positions of the latents, N numbers.
"""

import collections
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lantu.diffusion.latent_codes import LatentCodes
from lantu.diffusion.samplers import first_point, velocity
from lantu.engine.drafting import MASK_ID
from lantu.engine.request import Request
from lantu.rivals.latent_diffusion.layout import DenoisingRequest
from lantu.rivals.latent_diffusion.network import LatentDenoiser
from lantu.weights.manifest import check_finite

OnStep = Callable[[Sequence[int]], None]


class DenoisingDraft:
    """A request on its way.

    Attributes:
        ids: as many as the latent has numbers; MASK_ID before the first step, then see ``marked``.
        done: steps so far.
        state: "waiting", "running", "done" or "cancelled".
    """

    def __init__(self, request: DenoisingRequest, on_step: OnStep | None):
        self.request, self.on_step = request, on_step
        self.ids = [MASK_ID] * request.limit
        self.done, self.state = 0, "waiting"
        self.times: list[float] = []
        self.x_CHW: Any = None
        self.noise_CHW: Any = None
        self.known_CHW: Any = None
        self.holes_HW: Any = None

    @property
    def ended(self) -> bool:
        """Whether it is complete or cancelled."""
        return self.state in ("done", "cancelled")

    @property
    def alike(self) -> tuple[Any, ...]:
        """What drafts must have in common to share a step."""
        return self.request.grid, self.times[self.done], self.times[self.done + 1], self.request.guided


class DenoisingDrafter:
    """A ``lantu.engine.drafting.Drafter``.

    Args:
        max_drafts: drafts that may share a step; one, so that a draft depends on nothing but its own seed.
    """

    exact = False  # torch's sums depend on what is computed beside them

    def __init__(self, denoiser: LatentDenoiser, latent: LatentCodes, max_drafts: int = 1):
        self.denoiser, self.latent, self.max_drafts = denoiser, latent, max_drafts
        self.waiting: collections.deque[DenoisingDraft] = collections.deque()
        self.running: list[DenoisingDraft] = []

    @property
    def busy(self) -> bool:
        """Whether some draft has not ended."""
        return bool(self.waiting or self.running)

    def submit(self, request: Request, on_step: OnStep | None = None) -> DenoisingDraft:
        """Queue a request; nothing is computed yet. Raises ValueError where it is none of this drafter's."""
        if not isinstance(request, DenoisingRequest):
            raise ValueError("a denoiser of latents drafts no text")
        draft = DenoisingDraft(request, on_step)
        self.waiting.append(draft)
        return draft

    def cancel(self, draft: DenoisingDraft) -> None:
        """End a draft now."""
        if draft.state == "waiting":
            self.waiting.remove(draft)
        elif draft.state == "running":
            self.running.remove(draft)
        if not draft.ended:
            draft.state = "cancelled"

    def step(self) -> bool:
        """One step for every draft that runs; False when there is nothing left to do."""
        while self.waiting and len(self.running) < self.max_drafts:
            draft = self.waiting.popleft()
            self.start(draft)
            self.running.append(draft)
        for alike in dict.fromkeys(draft.alike for draft in self.running):
            self.advance([draft for draft in self.running if draft.alike == alike])
        return self.busy

    def start(self, draft: DenoisingDraft) -> None:
        """Draw the noise of a draft's own seed."""
        request, device = draft.request, self.denoiser.device
        height, width = (side // self.latent.side for side in request.grid)
        draft.times = self.denoiser.times(request.steps, height * width)
        shape = self.latent.channels, height, width
        noise = np.random.default_rng((request.seed, 0)).standard_normal(shape, np.float32)
        draft.noise_CHW = torch.from_numpy(noise).to(device)
        draft.x_CHW = first_point(draft.noise_CHW, draft.times[0])
        if request.known is not None and request.holes is not None:
            draft.known_CHW = torch.from_numpy(self.latent.unpack(request.known[None])[0]).to(device)
            draft.holes_HW = torch.from_numpy(self.latent.positions(request.holes)).to(device)
            draft.x_CHW = self.kept(draft, draft.x_CHW, draft.times[0])
        draft.state = "running"

    def kept(self, draft: DenoisingDraft, x_CHW: Tensor, t: float) -> Tensor:
        """``x_CHW`` with what is known of the picture, noised to time t, outside the holes."""
        return torch.where(draft.holes_HW, x_CHW, t * draft.known_CHW + (1 - t) * draft.noise_CHW)

    def advance(self, drafts: list[DenoisingDraft]) -> None:
        """One step of drafts that are at the same time."""
        now, then = drafts[0].alike[1:3]
        x_BCHW = torch.stack([draft.x_CHW for draft in drafts])
        clean_BCHW = self.guided(drafts, x_BCHW, now)
        check_finite("decoder", clean_BCHW.cpu().numpy())
        slope = velocity(clean_BCHW, x_BCHW, now, self.denoiser.schedule.min_noise)
        moved_BCHW = clean_BCHW if then == 1 else x_BCHW + (then - now) * slope
        for draft, x_CHW, clean_CHW in zip(drafts, moved_BCHW, clean_BCHW, strict=True):
            if draft.ended:  # by another draft's callback
                continue
            held = draft.known_CHW is not None
            draft.x_CHW = self.kept(draft, x_CHW, then) if held else x_CHW
            draft.done += 1
            codes = self.latent.pack((self.kept(draft, clean_CHW, 1.0) if held else clean_CHW)[None].cpu().numpy())
            draft.ids = marked(codes.reshape(-1), draft.done / (len(draft.times) - 1))
            if draft.done == len(draft.times) - 1:
                draft.state = "done"
                self.running.remove(draft)
            if draft.on_step:
                draft.on_step(draft.ids)

    def guided(self, drafts: list[DenoisingDraft], x_BCHW: Tensor, t: float) -> Tensor:
        """Clean estimates (B, C, H, W), with classifier-free guidance where it is asked for."""
        context = self.denoiser.context
        prompts_BND = torch.stack([context(draft.request.prefix_ids) for draft in drafts])
        if not drafts[0].request.guided:
            return self.denoiser.clean(x_BCHW, t, prompts_BND)
        empty_BND = torch.stack([context(draft.request.unconditional_ids) for draft in drafts])
        both = self.denoiser.clean(torch.cat([x_BCHW, x_BCHW]), t, torch.cat([prompts_BND, empty_BND]))
        conditional, unconditional = both.chunk(2)
        scale = torch.tensor([draft.request.guidance for draft in drafts], device=x_BCHW.device)[:, None, None, None]
        return unconditional + scale * (conditional - unconditional)


def marked(codes_N: np.ndarray, share: float) -> list[int]:
    """The ids of a draft after a share of its steps: an estimate of each code, of which that share counts as done.

    All others are written as negative numbers, ``MASK_ID - 1 - code``, which count as missing, so that progress and
    previews advance by steps. At the end all are codes.
    """
    count = int(len(codes_N) * share + 1e-9)
    return [*codes_N[:count].tolist(), *(MASK_ID - 1 - codes_N[count:]).tolist()]
