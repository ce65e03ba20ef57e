"""The config.json of a discrete diffusion model."""

from pydantic import Field

from lantu.models.masked.config import BidirectionalConfig
from lantu.rivals.vq_diffusion.transitions import Schedule
from lantu.weights.names import VQ_DIFFUSION


class VqDiffusionConfig(BidirectionalConfig):
    """See ``BidirectionalConfig``; ``passes`` is at most ``steps``.

    Attributes:
        steps: of the diffusion.
        masked: share of codes that are masked at its end; the others are random.
    """

    architectures: tuple[str, ...] = ("VqDiffusionTransformer",)
    model_type: str = VQ_DIFFUSION
    passes: int = Field(25, ge=1)
    steps: int = Field(100, ge=1)
    masked: float = Field(0.9, gt=0, lt=1)

    @property
    def schedule(self) -> Schedule:
        """The transitions of its steps."""
        return Schedule(self.steps, self.lantu["codebook_size"], self.masked)
