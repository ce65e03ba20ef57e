"""A pretrained denoiser of diffusers with an adapter: noisy latents, a time and codes → its prediction.

Shapes: B batch, C channels, H W sides of the latents, h w grid.
"""

from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

from lantu.models.diffusers.calls import CALLS, About, as_inlet
from lantu.models.diffusers.conditioning import Adapter
from lantu.models.diffusers.kinds import kind_of

RESIDUAL: ContextVar[Tensor | None] = ContextVar("residual", default=None)  # of the forward pass of this thread

Encoded = tuple[Tensor, Tensor | None, Tensor]


class PretrainedNetwork(nn.Module):
    """See the module. Its weights may be of another dtype than the adapter's.

    Args:
        adapter: turns codes into conditions.
        network: one of ``lantu.models.diffusers.kinds.KINDS``.
        about: what it is told beside the codes.
    """

    def __init__(self, adapter: Adapter, network: Any, about: About):
        super().__init__()
        config = {**network.config, "_class_name": type(network).__name__}
        self.kind = kind_of(config, "the network's config")
        self.side = self.kind.patch(config)
        self.about = about
        self.adapter, self.network = adapter, network
        network.get_submodule(self.kind.inlet).register_forward_hook(add_residual)

    def forward(self, x_t_BCHW: Tensor, timestep_B: Tensor, codes_Bhw: Tensor) -> Tensor:
        """What the network predicts (B, C, H, W) float32, by its own parameterisation.

        Args:
            x_t_BCHW: noisy latents, ``α · x + σ · ε`` by its own schedule.
            timestep_B: by its own schedule; need not be whole.
            codes_Bhw: int64; MASK_CODE where a code is not known.
        """
        return self.predict(x_t_BCHW, timestep_B, self.adapter(codes_Bhw))

    def predict(self, x_t_BCHW: Tensor, timestep_B: Tensor, encoded: Encoded, through: Any = None) -> Tensor:
        """``forward`` with what the adapter made of the codes, which all steps of a sampler share.

        Args:
            through: what is called in the place of the network, and calls it: with a ControlNet.
        """
        context, pooled, features = encoded
        dtype = next(self.network.parameters()).dtype
        height, width = (side // self.side for side in x_t_BCHW.shape[2:])
        residual = as_inlet(self.kind.name, self.adapter.residual(features, height, width))
        token = RESIDUAL.set(residual.to(dtype))
        try:
            pooled = None if pooled is None else pooled.to(dtype)
            call = CALLS[self.kind.name]
            return call(
                through or self.network, x_t_BCHW.to(dtype), timestep_B, context.to(dtype), pooled, self.about
            ).float()
        finally:
            RESIDUAL.reset(token)


def add_residual(inlet: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    """A forward hook of the network's first layer: adds the spatial branch of the pass that is running."""
    residual = RESIDUAL.get()
    return output if residual is None else output + residual
