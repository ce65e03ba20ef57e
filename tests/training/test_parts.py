import math
import os
import subprocess
import sys
from collections import namedtuple

import pytest
import torch
from torch import nn
from toy_task import ToyTask

from lantu.training.config import LoopConfig
from lantu.training.device import to_device
from lantu.training.distributed import Ranks
from lantu.training.ema import EMA
from lantu.training.logs import Window
from lantu.training.machine import SETTINGS
from lantu.training.muon import Muon
from lantu.training.optimized_module import clip
from lantu.training.optimizer import make_optimizers
from lantu.training.progress import Bar, duration
from lantu.training.task import Task
from lantu.training.trainer import Trainer


def test_the_average_follows_the_textbook():
    parameter = nn.Parameter(torch.zeros(3))
    average = EMA([parameter], decay=0.9, every=1)
    expected = torch.zeros(3)
    for step in range(200):
        parameter.data += 0.1
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * parameter.data
    torch.testing.assert_close(average.values[0], expected)


def test_seldom_updates_average_as_much():
    """On a ramp the average lags behind by about 1 / (1 - decay) steps, however often it is brought up to date."""
    lags = []
    for every in (1, 8):
        parameter = nn.Parameter(torch.zeros(()))
        average = EMA([parameter], decay=0.99, every=every)
        for step in range(4000):
            parameter.data += 1
            average.update(step)
        lags.append(float(parameter.detach() - average.values[0]))
    assert lags == pytest.approx([99, 99], rel=0.05)


def test_swapping_puts_the_trained_weights_back():
    parameter = nn.Parameter(torch.ones(3))
    average = EMA([parameter], decay=0.9, every=1)
    parameter.data += 1

    def fail():
        with average.swapped_in():
            assert parameter.tolist() == [1, 1, 1]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert parameter.tolist() == [2, 2, 2]


def test_gradients_are_clipped_together():
    gradients = [torch.tensor([3.0]), torch.tensor([[4.0]])]
    assert clip(gradients, 1.0) == pytest.approx(5)
    assert [float(gradient) for gradient in gradients] == pytest.approx([0.6, 0.8])
    assert clip(gradients, 0.0) == pytest.approx(1)
    assert clip([], 1.0) == 0
    poisoned = [torch.tensor([math.inf, 1.0])]
    assert clip(poisoned, 1.0) == math.inf
    assert poisoned[0][1] == 1


def test_muon_takes_hidden_matrices_and_nothing_else():
    network = ToyTask().networks["model"]
    adamw, muon = make_optimizers(network, LoopConfig(optimizer="muon"), 1e-3)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    taken = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    assert taken == {"blocks.0.weight", "blocks.1.weight"}
    decayed, plain = ([names[id(p)] for p in group["params"]] for group in adamw.param_groups)
    assert decayed == ["embed.weight"]
    assert set(plain) == {"blocks.0.bias", "blocks.1.bias", "norm.weight", "norm.bias"}
    assert adamw.param_groups[1]["weight_decay"] == 0


def test_muon_moves_as_far_as_adamw():
    """The root mean square of a first update is about the rate for both, whatever the shape."""
    for shape in ((64, 64), (256, 64), (64, 256)):
        moved = []
        for optimizer in ("adamw", "muon"):
            torch.manual_seed(0)
            network = nn.Linear(shape[1], shape[0], bias=False)
            before = network.weight.detach().clone()
            (made,) = make_optimizers(network, LoopConfig(optimizer=optimizer, weight_decay=0), 1e-3)
            network.weight.grad = torch.randn(shape)
            made.step()
            moved.append(float((network.weight.detach() - before).square().mean().sqrt()))
        assert moved[0] == pytest.approx(1e-3, rel=0.01)
        assert 0.1 * moved[0] < moved[1] < moved[0]


@pytest.mark.parametrize("shape", [(64, 64), (256, 64), (64, 256)])
def test_muon_in_float32_moves_like_torchs(shape):
    start, moved = torch.randn(shape, generator=torch.Generator().manual_seed(0)), []
    for made in (torch.optim.Muon, Muon):
        torch.manual_seed(1)
        weight = nn.Parameter(start.clone())
        optimizer = made([weight], lr=1e-2, adjust_lr_fn="match_rms_adamw")
        for _ in range(3):
            weight.grad = torch.randn(shape)
            optimizer.step()
        assert optimizer.state[weight].keys() == {"momentum_buffer"}
        moved.append((weight - start).detach())
    assert (moved[1] - moved[0]).norm() < 0.02 * moved[0].norm()


def test_bf16_is_taken_where_the_processor_has_instructions_for_it(monkeypatch):
    network = nn.Linear(64, 64, bias=False)
    for can, muon in (({"avx512_bf16": True}, torch.optim.Muon), ({"avx512_bf16": False, "avx2": True}, Muon)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda can=can: can, raising=False)
        (optimizer,) = make_optimizers(network, LoopConfig(optimizer="muon"), 1e-3)
        assert type(optimizer) is muon
        for precision, in_bf16 in (("auto", can["avx512_bf16"]), ("bf16", True), ("fp32", False)):
            trainer = Trainer(ToyTask(), LoopConfig(precision=precision), torch.device("cpu"), Ranks())
            assert trainer.in_bf16 == in_bf16


def test_the_window_keeps_what_is_finite():
    window = Window({"loss": [1.0]})
    window.add({"loss": torch.tensor(3.0), "bad": float("nan")})
    window.add({"loss": torch.tensor(math.inf)})
    assert window.read()["loss"] == [1.0, 3.0, math.inf]
    assert window.means() == {"loss": 2.0, "bad": None}
    assert window.means() == {}


def test_batches_of_any_form_are_brought_over():
    Pair = namedtuple("Pair", "left right")
    moved = to_device({"a": [torch.ones(1)], "b": Pair(torch.ones(1), "text")}, torch.device("meta"))
    assert moved["a"][0].device.type == moved["b"].left.device.type == "meta"
    assert moved["b"].right == "text"


@pytest.mark.parametrize(
    ("seconds", "text"), [(12.4, "12 s"), (190, "3 min 10 s"), (59.9, "1 min 00 s"), (7500, "2 h 05 min")]
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_the_bar_shows_where_it_is(capsys):
    bar = Bar(3)
    bar.record({"step": 2, "loss": 0.5, "lr": 1e-3, "val_loss": 0.75, "val_psnr": 18.5})
    bar.record({"step": 3, "loss": 0.5, "lr": 1e-3})
    bar.step(3)
    bar.say("[saved]")
    bar.close()
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "loss 0.5000" in shown
    assert "validation 0.7500 PSNR 18.5 dB" in " ".join(shown.split())
    assert "[saved]" in shown


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_the_process_starts_anew_once():
    code = (
        "import os, sys; print('start', file=sys.stderr); from lantu.training.machine import prepare; prepare();"
        "print(sys.argv[1:], os.environ['MALLOC_MMAP_MAX_'], os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_WAIT_POLICY": "active"}
    done = subprocess.run(
        [sys.executable, "-c", code, "a b", "c"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['a b', 'c'] 0 active"
    assert done.stderr.count("start") == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_compiled_networks_train_alike_and_keep_their_names(tmp_path):
    from lantu.training.logs import read_log
    from lantu.training.loop import train

    losses = []
    for compiled in (False, True):
        task = ToyTask(0.0)
        names = list(task.networks["model"].state_dict())
        config = LoopConfig(steps=6, log_every=1, precision="fp32", compile=compiled, device="cpu")
        train(task, config, tmp_path / str(compiled), progress=False)
        assert list(task.networks["model"].state_dict()) == names
        losses.append([line["loss"] for line in read_log(tmp_path / str(compiled))])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_misspelt_hook_is_an_error():
    with pytest.raises(TypeError, match=r"Careless.after_steps is no hook of a task \(.*after_step,"):

        class Careless(ToyTask):
            def after_steps(self, step): ...

    class Careful(ToyTask):
        def after_step(self, step): ...

        def _helper(self): ...

    assert Careful().lr_share("anything") == 1.0


def test_a_task_must_have_batches_a_loss_and_an_export():
    class Bare(Task):
        def batch(self, step, size): ...

    with pytest.raises(TypeError, match=r"abstract methods.*export.*loss"):
        Bare()
