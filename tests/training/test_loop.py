import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from toy_task import ToyTask

from lantu.errors import DiskError, RecipeError
from lantu.training import checkpoint
from lantu.training.config import LoopConfig
from lantu.training.logs import read_log
from lantu.training.loop import train
from lantu.training.measure import measure
from lantu.weights import tensors

SCRIPT = Path(__file__).with_name("toy_task.py")
VARYING = ("samples_per_s", "gflop_per_s", "left_s", "waiting")


def settings(**changes):
    plain = {"steps": 30, "batch_size": 4, "warmup_steps": 3, "log_every": 4, "ema_every": 2, "sample_every": 0}
    return LoopConfig(**{**plain, "lr": 0.03, "device": "cpu", **changes})


def losses(folder):
    """The log without what depends on the clock."""
    return [{name: value for name, value in line.items() if name not in VARYING} for line in read_log(folder)]


def final(folder):
    return {kind: tensors.load(checkpoint.numbered(folder / "checkpoints")[0] / kind) for kind in KINDS}


KINDS = ("weights", "average", "optimizer")


def assert_same_run(left, right):
    assert losses(left) == losses(right)
    for kind in KINDS:
        first, second = final(left)[kind], final(right)[kind]
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)


class Dies(ToyTask):
    """Stops with an error after some steps, as a kill between two updates would."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def after_step(self, step):
        if step + 1 == self.at:
            raise MemoryError


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    train(ToyTask(), settings(), folder, progress=False)
    return folder


def test_it_learns_and_leaves_everything(unbroken):
    lines = read_log(unbroken)
    assert [line["step"] for line in lines] == [4, 8, 12, 16, 20, 24, 28, 30]
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    assert lines[-1]["seen"] == pytest.approx(4 * 29.5)
    assert {"lr", "grad_norm", "skipped", "samples_per_s", "gflop_per_s", "left_s"} <= lines[0].keys()
    assert json.loads((unbroken / "config.json").read_text())["steps"] == 30
    assert (unbroken / "samples" / "30.txt").read_text() == "False"
    assert list((unbroken / "tensorboard").iterdir())
    average = final(unbroken)["average"]
    assert torch.equal(tensors.load(unbroken / "model")["norm.weight"], average["model/norm.weight"])
    assert not torch.equal(average["model/norm.weight"], final(unbroken)["weights"]["model/norm.weight"])
    assert torch.equal(final(unbroken)["weights"]["model/frozen"], torch.ones(8))


@pytest.mark.parametrize("at", [7, 22])
def test_a_broken_run_goes_on_exactly(tmp_path, unbroken, at):
    config = settings(checkpoint_every_s=0)
    with pytest.raises(MemoryError):
        train(Dies(at), config, tmp_path, progress=False)
    assert checkpoint.numbered(tmp_path / "checkpoints")[0].name == checkpoint.name_of(at - 1)
    (tmp_path / "checkpoints" / ".step-00000099.half").mkdir()
    with open(tmp_path / "log.jsonl", "a") as log:
        log.write('{"step": 99, "loss": 0}\n{"step": 1')
    summary = train(ToyTask(), config, tmp_path, resume=True, progress=False)
    assert summary.reason == "finished"
    assert_same_run(tmp_path, unbroken)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "before-decay",
        "step-00000029",
        "step-00000030",
    ]


def test_a_killed_process_goes_on_exactly(tmp_path, unbroken):
    """SIGKILL at moments that nobody chose, most of them while a checkpoint is being written."""
    asked = ["steps=30", "batch_size=4", "warmup_steps=3", "log_every=4", "ema_every=2", "sample_every=0"]
    command = [sys.executable, str(SCRIPT), str(tmp_path), *asked, "lr=0.03", "device=cpu", "checkpoint_every_s=0"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    chance = random.Random(0)
    for after in (2, 20):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            newest = checkpoint.numbered(tmp_path / "checkpoints")
            if newest and checkpoint.number(newest[0]) >= after:
                time.sleep(chance.uniform(0, 0.01))
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.001)
        process.wait()
    train(ToyTask(), settings(checkpoint_every_s=0), tmp_path, resume=True, progress=False)
    assert_same_run(tmp_path, unbroken)


class Signalled(ToyTask):
    def after_step(self, step):
        if step == 9:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_ends_it_with_a_checkpoint(tmp_path, unbroken):
    before = signal.getsignal(signal.SIGTERM)
    summary = train(Signalled(), settings(), tmp_path, progress=False)
    assert (summary.reason, summary.step) == ("interrupted", 10)
    assert signal.getsignal(signal.SIGTERM) is before
    train(ToyTask(), settings(), tmp_path, resume=True, progress=False)
    assert_same_run(tmp_path, unbroken)


def test_the_time_limit_ends_it_with_a_checkpoint(tmp_path):
    summary = train(ToyTask(), settings(minutes=0), tmp_path, progress=False)
    assert (summary.reason, summary.step) == ("time", 1)
    assert (tmp_path / "model" / tensors.SINGLE).exists()


def test_a_longer_run_starts_before_the_decay(tmp_path):
    whole, lengthened = tmp_path / "whole", tmp_path / "lengthened"
    train(ToyTask(), settings(steps=50), whole, progress=False)
    train(ToyTask(), settings(steps=30), lengthened, progress=False)
    train(ToyTask(), settings(steps=50), lengthened, resume=True, progress=False)
    assert_same_run(lengthened, whole)


def test_a_run_that_was_killed_in_its_decay_is_resumed_and_not_begun_over(tmp_path, unbroken):
    """Before its first numbered checkpoint it has the one from before the decay."""
    with pytest.raises(MemoryError):
        train(Dies(28), settings(), tmp_path, progress=False)
    assert not checkpoint.numbered(tmp_path / "checkpoints")
    with pytest.raises(RecipeError, match="--resume"):
        train(ToyTask(), settings(seed=1), tmp_path, progress=False)
    train(ToyTask(), settings(), tmp_path, resume=True, progress=False)
    assert_same_run(tmp_path, unbroken)


@pytest.mark.parametrize("name", ["model", "last"])
def test_a_folder_of_something_else_is_refused_before_training(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "notes.txt").write_text("mine")
    with pytest.raises(DiskError, match="other things"):
        train(Dies(1), settings(), tmp_path, progress=False)
    assert (tmp_path / name / "notes.txt").read_text() == "mine"


def test_without_a_checkpoint_before_the_decay_it_says_so(tmp_path):
    train(ToyTask(), settings(), tmp_path, progress=False)
    shutil.rmtree(tmp_path / "checkpoints" / checkpoint.BEFORE_DECAY)
    with pytest.raises(RecipeError, match="rate had begun to fall"):
        train(ToyTask(), settings(steps=60), tmp_path, resume=True, progress=False)


def test_a_finished_run_is_exported_again(tmp_path, unbroken):
    shutil.copytree(unbroken, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "model")
    summary = train(ToyTask(), settings(), tmp_path / "run", resume=True, progress=False)
    assert (summary.step, summary.last["step"]) == (30, 30)
    assert tensors.digest(tmp_path / "run" / "model") == tensors.digest(unbroken / "model")


def test_a_run_is_not_overwritten(unbroken):
    with pytest.raises(RecipeError, match="--resume"):
        train(ToyTask(), settings(), unbroken, progress=False)


def test_other_networks_are_refused(tmp_path, unbroken):
    shutil.copytree(unbroken, tmp_path / "run")
    task = ToyTask()
    task.networks["model"].norm = nn.LayerNorm(4)
    with pytest.raises(RecipeError, match="does not fit"):
        train(task, settings(), tmp_path / "run", resume=True, progress=False)
    damaged = checkpoint.numbered(tmp_path / "run" / "checkpoints")[0] / "average" / tensors.SINGLE
    damaged.write_bytes(b"")
    with pytest.raises(RecipeError, match="damaged"):
        train(ToyTask(), settings(), tmp_path / "run", resume=True, progress=False)


def test_averages_can_be_had_from_any_run(unbroken):
    networks = ToyTask().networks
    newest = checkpoint.numbered(unbroken / "checkpoints")[0]
    assert checkpoint.put_average(newest, networks) == 30
    exported = tensors.load(unbroken / "model")
    assert all(torch.equal(value, exported[name]) for name, value in networks["model"].state_dict().items())
    with pytest.raises(RecipeError, match="can't be used"):
        checkpoint.put_average(unbroken / "nowhere", networks)


@pytest.mark.parametrize("changes", [{"optimizer": "muon"}, {"precision": "fp32", "ema_decay": 0}, {"clip_norm": 0}])
def test_variants_learn_and_resume(tmp_path, changes):
    config = settings(checkpoint_every_s=0, **changes)
    train(ToyTask(), config, tmp_path / "whole", progress=False)
    with pytest.raises(MemoryError):
        train(Dies(11), config, tmp_path / "broken", progress=False)
    train(ToyTask(), config, tmp_path / "broken", resume=True, progress=False)
    assert_same_run(tmp_path / "broken", tmp_path / "whole")
    assert losses(tmp_path / "whole")[-1]["loss"] < 0.9 * losses(tmp_path / "whole")[0]["loss"]


def test_accumulated_batches_make_one_large_one(tmp_path):
    class Halves(ToyTask):
        def batch(self, step, size):
            whole = ToyTask.batch(self, step // 2, 8)["x"]
            return {"x": whole if size == 8 else whole.chunk(2)[step % 2]}

    class Whole(ToyTask):
        def batch(self, step, size):
            return ToyTask.batch(self, step, 8)

    train(Whole(0), settings(steps=5, batch_size=8, precision="fp32"), tmp_path / "one", progress=False)
    train(Halves(0), settings(steps=5, accumulate=2, precision="fp32"), tmp_path / "two", progress=False)
    one, two = final(tmp_path / "one")["weights"], final(tmp_path / "two")["weights"]
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-5)


class Poisoned(ToyTask):
    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def loss(self, module, batch, step, generator):
        loss, metrics = super().loss(module, batch, step, generator)
        return loss * (float("nan") if step in self.steps else 1.0), metrics


def test_a_poisoned_step_is_skipped_and_counted(tmp_path):
    summary = train(Poisoned({5, 6, 12}), settings(), tmp_path, progress=False)
    assert summary.skipped == 3
    assert all(value.isfinite().all() for value in final(tmp_path)["weights"].values())
    assert [line["skipped"] for line in read_log(tmp_path)][:4] == [0, 2, 2, 3]
    assert read_log(tmp_path)[1]["loss"] > 0


def test_endless_poison_stops_it(tmp_path):
    with pytest.raises(RecipeError, match="since step 10"):
        train(Poisoned(range(10, 1000)), settings(steps=200), tmp_path, progress=False)


class Duel(ToyTask):
    """A second module that plays from step 4 on."""

    def __init__(self):
        super().__init__()
        self.networks["critic"] = nn.Linear(8, 1)
        self.began = self.networks["critic"].weight.detach().clone()
        self.unmoved = True

    def loss(self, module, batch, step, generator):
        critic = self.networks["critic"]
        if module == "critic":
            if step < 4:
                return torch.zeros(()), {}
            return critic(batch["x"]).mean(), {"fooled": 0.5}
        loss, metrics = super().loss(module, batch, step, generator)
        return loss + critic(self.networks["model"](batch["x"])).mean(), metrics

    def after_step(self, step):
        if step < 4:
            self.unmoved &= torch.equal(self.networks["critic"].weight, self.began)


def test_two_players_take_turns(tmp_path):
    task = Duel()
    train(task, settings(lr_scale={"critic": 0.5}), tmp_path, progress=False)
    assert task.unmoved
    assert not torch.equal(task.networks["critic"].weight, task.began)
    assert {"loss", "grad_norm", "critic/loss", "critic/grad_norm", "critic/fooled"} <= read_log(tmp_path)[-1].keys()
    assert {name.split("/")[0] for name in final(tmp_path)["optimizer"]} == {"model", "critic"}


def test_a_full_disk_is_an_error_and_the_last_checkpoint_stays(tmp_path, monkeypatch):
    train(ToyTask(), settings(minutes=0), tmp_path, progress=False)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(DiskError, match="No space left"):
        train(ToyTask(), settings(), tmp_path, resume=True, progress=False)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]


def test_an_unknown_device_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="no device"):
        train(ToyTask(), settings(device="abacus"), tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_measures_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    measured = measure(ToyTask(), settings(accumulate=2))
    assert measured.parameters == {"model": 4 * 8 + 2 * 72 + 16}
    assert (measured.steps, measured.samples_per_step) == (30, 8)
    assert measured.total_s == pytest.approx(30 * measured.step_s)
    assert "TFLOP in all" in measured.text()
    assert 5e7 < measured.memory_bytes < 1e11
    assert "memory " in measured.text()
    assert json.loads(json.dumps(measured.as_dict()))["samples_per_s"] > 0
    assert not list(tmp_path.iterdir())


def test_plain_progress_tells_how_long(tmp_path, capsys):
    train(ToyTask(), settings(), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("step 4/30  loss ")
    assert "samples/s" in lines[0]
    assert "left" in lines[0]


class Slow(ToyTask):
    """An update takes a while."""

    def after_step(self, step):
        time.sleep(0.01)


def test_a_slow_run_decays_and_ends_in_time(tmp_path):
    planned = {"steps": 10_000, "minutes": 0.02, "decay_fraction": 0.4, "log_every": 1}
    summary = train(Slow(), settings(**planned, in_time=True), tmp_path, progress=False)
    steps = summary.steps
    assert summary.reason in ("finished", "time")
    assert 10 < summary.step <= steps < 200
    assert steps - summary.step < 0.1 * steps  # of the decay, nearly all was made
    kept = json.loads((tmp_path / "config.json").read_text())
    assert kept["steps"] == steps
    decayed = [line["lr"] < 0.03 for line in read_log(tmp_path) if line["step"] > 4]
    assert decayed.index(True) == pytest.approx((1 - kept["decay_fraction"]) * steps, abs=0.1 * steps + 5)
    assert read_log(tmp_path)[-1]["lr"] < 0.01
    assert checkpoint.numbered(tmp_path / "checkpoints")
    # By the settings that it has now, the run is finished.
    again = train(Slow(), LoopConfig(**{**kept, "minutes": None}), tmp_path, resume=True, progress=False)
    assert (again.reason, again.step) == ("finished", steps)


def test_a_run_that_is_quick_enough_keeps_its_steps(tmp_path):
    summary = train(ToyTask(), settings(minutes=5, in_time=True), tmp_path, progress=False)
    assert (summary.reason, summary.steps) == ("finished", 30)
    plain = train(ToyTask(), settings(), tmp_path / "plain", progress=False)
    assert plain.steps == 30
    assert_same_run(tmp_path, tmp_path / "plain")
