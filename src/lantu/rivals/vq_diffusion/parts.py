"""The parts of a model that drafts by discrete diffusion. Image tokenizer and decoder are of lantu's own family."""

from functools import cached_property

from lantu.engine.drafting import Drafter
from lantu.engine.request import Request
from lantu.errors import LantuError
from lantu.models.lantu.parts import BATCH
from lantu.models.masked.parts import MaskedParts
from lantu.rivals.vq_diffusion.drafter import DiffusionLanguage, VqDiffusionDrafter, check


class VqDiffusionParts(MaskedParts):
    """See ``LantuParts``; the drafter is ``drafter``."""

    @cached_property
    def language(self) -> DiffusionLanguage:  # pyrefly: ignore[bad-override]
        """The network, on the kernels on a CPU and on torch on a GPU.

        Raises:
            LantuError: a backend of next-token models was asked for.
        """
        if self.backend != "native":
            raise LantuError(f"{self.backend} can't run discrete diffusion", "choose the backend native")
        folder = self.folder.path / "language"
        if self.device == "cpu":
            from lantu.rivals.vq_diffusion.native import VqDiffusionLanguage

            return VqDiffusionLanguage.load(folder)
        from lantu.rivals.vq_diffusion.network import VqDiffusionTransformer

        return VqDiffusionTransformer.load(folder, self.device)

    @cached_property
    def drafter(self) -> Drafter:
        """Drafts requests together only where that changes nothing."""
        return VqDiffusionDrafter(self.language)

    @cached_property
    def batched_drafter(self) -> Drafter:
        """Drafts many requests together even where that rounds sums in another order."""
        return self.drafter if self.drafter.exact else VqDiffusionDrafter(self.language, max_drafts=BATCH)

    def check(self, request: Request) -> None:
        """Refuse what discrete diffusion can't draft.

        Raises:
            LantuError: it can't draft this.
        """
        try:
            check(request)
        except ValueError as problem:
            raise LantuError(str(problem), "draw with a next-token model") from problem
