import pytest
import torch
from language_toy_task import LanguageToyTask
from toy_task import ToyTask

from lantu.errors import RecipeError
from lantu.training.config import LoopConfig
from lantu.training.simulated import simulate


def settings(**changes):
    return LoopConfig(batch_size=8, precision="fp32", device="cpu", **changes)


def test_devices_share_what_is_kept():
    """Weights, EMA and two moments of AdamW, in float32: 16 bytes a parameter, a part of it on each device."""
    count = sum(value.numel() for value in LanguageToyTask().networks["model"].parameters())
    found = {devices: simulate(LanguageToyTask(), settings(), 1.0, devices) for devices in (2, 4)}
    for devices, each in found.items():
        assert each.state_bytes == pytest.approx(16 * count / devices, rel=0.05)
        assert each.memory_bytes > each.state_bytes
        assert each.samples_per_step == 8 * devices
    assert found[4].memory_bytes < found[2].memory_bytes
    assert not torch.distributed.is_initialized()


def test_what_is_exchanged_is_counted():
    """FSDP gathers all weights for the forward pass and all but the root's for the backward pass, and scatters sums."""
    network = LanguageToyTask().networks["model"]
    whole = 4 * sum(value.numel() for value in network.parameters())
    blocks = 4 * sum(value.numel() for value in network.model.layers.parameters())
    plain = simulate(LanguageToyTask(), settings(), 1.0, 4)
    assert plain.exchanged_bytes == pytest.approx(2 * whole + blocks, rel=0.05)
    twice = simulate(LanguageToyTask(), settings(accumulate=2), 1.0, 4)
    assert twice.exchanged_bytes > 1.7 * plain.exchanged_bytes
    low, high = plain.step_s
    assert low == 1.0
    assert high == pytest.approx(1.0 + plain.exchanged_bytes / 50e9)


def test_split_layers_and_recomputed_blocks_take_less():
    plain = simulate(LanguageToyTask(), settings(), 1.0, 4)
    split = simulate(LanguageToyTask(), settings(tensor_parallel=2), 1.0, 4)
    assert split.samples_per_step == plain.samples_per_step / 2
    assert split.memory_bytes < plain.memory_bytes
    assert simulate(LanguageToyTask(), settings(recompute=True), 1.0, 4).memory_bytes < plain.memory_bytes


def test_muon_keeps_one_moment_and_other_networks_do():
    plain, muon = (simulate(ToyTask(), settings(optimizer=name), 1.0, 2).state_bytes for name in ("adamw", "muon"))
    assert muon < plain


def test_numbers_that_do_not_divide_are_refused():
    with pytest.raises(RecipeError, match="does not divide 5"):
        simulate(LanguageToyTask(), settings(tensor_parallel=2), 1.0, 5)
