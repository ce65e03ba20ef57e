"""Control by a picture: edges, the places of things, or colours.

The codes determine nearly all of a picture, and a decoder that is to contradict them draws badly. So a control acts
twice. First on the draft: it predicts which codes fit the picture of control at each place, for any prompt, and adds
their log ratio to the logits of the language model, which stays as it is (a product of experts):

    p(code | prompt, control) ~ p(code | prompt) (p(code | control) / p(code)^b)^s

Each factor is conditioned on the codes before it; the control sees those of the rows above, so that it continues their
colours and style. b = s = 1 would be Bayes' rule if all probabilities were exact, and a cell's control depended on
its code alone. But rare codes have the largest ratios, and a language model that is sure of its layout needs a stronger
push. Then it acts on the decoder, for what is finer than codes.

The network is a copy of the decoder's first blocks that sees the control and the codes, and no noise. Its output is
added to the decoder's tokens (ControlNet, arXiv:2302.05543): before all blocks, which moves where things stand, and
after them, which moves lines within a cell. The output layer starts at zero, so that an untrained control, and a scale
of 0, leave the decoder as it is, bit for bit. It depends on neither noise nor time, so it is computed once a picture,
not once a step.

Shapes: B batch, C = 3 channels, H W pixels, h w grid, N = h·w, D width, K codebook size, P patch.
"""

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from lantu.models.lantu import saving
from lantu.models.lantu.controls import KINDS
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.models.lantu.layers import Block, rotation, to_patches

NOTHING = len(KINDS)  # the kind that stands for no control: the picture is ignored
STRENGTHS = (2.0, 0.0, 2.0)  # chosen by benchmarks/control.py, see docs/log.md


class ControlConfig(BaseModel):
    """Sizes of a control; all but ``layers`` must equal its decoder's.

    Attributes:
        strengths: of the bias, s, for each of ``KINDS``; 0 for a kind that acts on the decoder alone.
        prior: b, the exponent of the codes' probability without a control.
        tokenizer: the codes digest of the tokenizer whose codes it was trained on; "" if unknown.
        decoder: the SHA-256 of the weights of the decoder that it was trained for; "" if unknown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patch: int = 16
    width: int = 256
    layers: int = 3
    codebook_size: int = Field(4096, ge=2, le=65536)
    strengths: tuple[float, ...] = Field(STRENGTHS, min_length=len(KINDS), max_length=len(KINDS))
    prior: float = Field(0.5, ge=0, le=1)
    tokenizer: str = ""
    decoder: str = ""

    @property
    def heads(self) -> int:
        """Attention heads, 64 wide or less."""
        return max(1, self.width // 64)


class ControlNetwork(nn.Module):
    """A picture of control, its kind and the codes → residuals for the decoder, and a bias for the draft."""

    def __init__(self, config: ControlConfig):
        super().__init__()
        self.config = config
        D = config.width
        self.picture = nn.Linear(3 * config.patch**2, D)
        self.kinds = nn.Embedding(len(KINDS) + 1, D)  # the last one is NOTHING
        self.codes = nn.Embedding(config.codebook_size + 1, D)  # the last one is MASK_CODE
        nn.init.normal_(self.kinds.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(D, config.heads) for _ in range(config.layers))
        self.out = nn.Linear(D, 2 * D)
        self.fit = nn.Linear(D, config.codebook_size)
        for layer in (self.out, self.fit):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, control_BCHW: Tensor, kind_B: Tensor, codes_Bhw: Tensor) -> Tensor:
        """The residuals, added to the decoder's tokens before and after all blocks: (2, B, N, D).

        Args:
            control_BCHW: in [-1, 1]; H = h·P, W = w·P.
            kind_B: int64, indices into ``KINDS``, or NOTHING.
            codes_Bhw: int64; MASK_CODE where not known.
        """
        x_BND = self.features(control_BCHW, kind_B, codes_Bhw)
        return self.out(x_BND).unflatten(-1, (2, -1)).permute(2, 0, 1, 3)

    def code_logits(self, control_BCHW: Tensor, kind_B: Tensor, codes_Bhw: Tensor) -> Tensor:
        """Logits of the code at each place, given the picture of control and the known codes: (B, N, K)."""
        return self.fit(self.features(control_BCHW, kind_B, codes_Bhw))

    def bias(self, control_BCHW: Tensor, kind_B: Tensor, codes_Bhw: Tensor, row: int) -> Tensor:
        """What is added to the language model's logits in one row of codes: (B, w, K).

        Args:
            codes_Bhw: known above that row, MASK_CODE from it on.
        """
        width, nothing_B = codes_Bhw.shape[2], torch.full_like(kind_B, NOTHING)
        there = slice(row * width, (row + 1) * width)
        strength_B11 = torch.tensor(self.config.strengths, device=kind_B.device)[kind_B][:, None, None]
        with_BwK, without_BwK = (
            self.fit(self.features(control_BCHW, kind, codes_Bhw)[:, there]).log_softmax(-1)
            for kind in (kind_B, nothing_B)
        )
        return strength_B11 * (with_BwK - self.config.prior * without_BwK)

    def features(self, control_BCHW: Tensor, kind_B: Tensor, codes_Bhw: Tensor) -> Tensor:
        """Of control and codes together, after all blocks: (B, N, D)."""
        _, height, width = codes_Bhw.shape
        table = torch.where(codes_Bhw < 0, self.config.codebook_size, codes_Bhw).flatten(1)
        control_BCHW = control_BCHW * (kind_B != NOTHING)[:, None, None, None]
        x_BND = self.picture(to_patches(control_BCHW, self.config.patch)) + self.codes(table)
        x_BND = x_BND + self.kinds(kind_B)[:, None]
        rotation_2NK = rotation(height, width, self.config.width // self.config.heads, device=x_BND.device)
        for block in self.blocks:
            x_BND = block(x_BND, rotation_2NK)
        return x_BND

    @classmethod
    def for_decoder(cls, decoder: PixelDecoder, layers: int = 3) -> "ControlNetwork":
        """A new control that starts as a copy of the decoder's first blocks and its embedding of codes."""
        own = decoder.config
        layers = min(layers, own.layers)
        made = cls(ControlConfig(patch=own.patch, width=own.width, layers=layers, codebook_size=own.codebook_size))
        state = decoder.state_dict()
        copied = {name: value for name, value in state.items() if name.startswith(("blocks.", "codes."))}
        known = made.state_dict()
        made.load_state_dict({name: copied.get(name, value) for name, value in known.items()})
        return made

    def save(self, folder: str | Path) -> None:
        """Write config.json and safetensors."""
        saving.save(self, self.config, folder)

    @classmethod
    def load(cls, folder: str | Path) -> "ControlNetwork":
        """Read what ``save`` wrote, ready for inference.

        Raises:
            ModelError: it is missing or damaged.
        """
        return saving.load(lambda config: cls(ControlConfig(**config)), "control", folder)
