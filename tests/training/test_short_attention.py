import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from toy_task import ToyTask

from lantu.training.config import LoopConfig
from lantu.training.distributed import Ranks
from lantu.training.short_attention import SHORT, short_attention
from lantu.training.trainer import Trainer

FLASH = "_scaled_dot_product_flash_attention_for_cpu"


class Names(TorchDispatchMode):
    """The operators that are called."""

    def __init__(self):
        super().__init__()
        self.called = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.called.add(function.overloadpacket.__name__)
        return function(*args, **kwargs or {})


def attend(length, dtype=torch.float32, **how):
    """Attention with its gradients, and whether it was flash attention."""
    generator = torch.Generator().manual_seed(length)
    parts = [torch.randn(2, 3, length, 16, generator=generator).to(dtype).requires_grad_() for _ in range(3)]
    with Names() as names:
        out = F.scaled_dot_product_attention(*parts, **how)
        out.square().sum().backward()
    return [out.detach(), *(part.grad for part in parts)], FLASH in names.called


@pytest.mark.parametrize("how", [{}, {"is_causal": True}, {"attn_mask": torch.ones(24, 24).tril().bool()}])
def test_short_sequences_are_attended_to_by_products_with_the_same_result(how):
    theirs, flash = attend(24, **how)
    with short_attention():
        ours, still = attend(24, **how)
    assert (flash, still) == (True, False)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_long_sequences_are_left_to_torch():
    with short_attention():
        assert [attend(length)[1] for length in (SHORT, SHORT + 1)] == [False, True]


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(16))
        self.config = None

    def forward(self, x):
        return F.scaled_dot_product_attention(x @ self.weight, x, x)


@pytest.mark.parametrize(
    ("precision", "compiled", "flash"), [("bf16", False, False), ("fp32", False, True), ("bf16", True, True)]
)
def test_updates_in_bf16_use_it(monkeypatch, precision, compiled, flash):
    task = ToyTask()
    trainer = Trainer(task, LoopConfig(precision=precision, device="cpu"), torch.device("cpu"), Ranks())
    trainer.compiled = compiled
    network, x = Attending(), torch.randn(2, 3, 12, 16)
    monkeypatch.setattr(task, "loss", lambda *_: (checkpoint(network, x, use_reentrant=False).sum(), {}))
    with Names() as names:
        trainer.update(0, [task.batch(0, 2)])
    assert (FLASH in names.called) == flash
    assert network.weight.grad is not None
