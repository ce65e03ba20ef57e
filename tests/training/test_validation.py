import json

import pytest
import torch
from test_loop import assert_same_run, final, settings
from toy_task import WIDTH, ToyTask

from lantu.training import checkpoint
from lantu.training.logs import read_log
from lantu.training.loop import train
from lantu.training.validation import Best, Watch
from lantu.weights import tensors


class Held(ToyTask):
    """Has 10 samples for validation."""

    def __init__(self, dies=0):
        super().__init__()
        self.dies = dies

    def validation(self, number, size):
        if (count := min(size, 10 - number * size)) <= 0:
            return None
        return {"x": torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(number))}

    def validation_loss(self, batch, generator):
        assert not self.networks["model"].training
        assert not torch.is_grad_enabled()
        return {"loss": self.loss("model", batch, 0, generator)[0], "samples": float(len(batch["x"]))}

    def after_step(self, step):
        if step + 1 == self.dies:
            raise MemoryError


class Worsens(Held):
    """Validation gets worse after step 8."""

    step = 0

    def after_step(self, step):
        self.step = step + 1

    def validation_loss(self, batch, generator):
        return {"loss": abs(self.step - 8.0) + 1}


def best_of(run):
    return json.loads((run / "checkpoints" / checkpoint.BEST / "state.json").read_text())["best"]


def test_validation_is_logged_and_the_best_checkpoint_kept(tmp_path):
    train(Held(), settings(validate_every=8, validated=64), tmp_path, progress=False)
    lines = {line["step"]: line for line in read_log(tmp_path)}
    validated = {step: line["val_loss"] for step, line in lines.items() if "val_loss" in line}
    assert list(validated) == [8, 16, 24, 30]
    assert validated[30] < validated[8]
    assert lines[8]["val_samples"] == pytest.approx((4 + 4 + 2) / 3, rel=1e-4)
    best = best_of(tmp_path)
    assert best["step"] == min(validated, key=lambda step: validated[step])
    assert best["loss"] == pytest.approx(min(validated.values()), rel=1e-4)


def test_a_task_without_validation_data_trains_as_before(tmp_path):
    train(ToyTask(), settings(validate_every=8), tmp_path, progress=False)
    assert not any("val_loss" in line for line in read_log(tmp_path))
    assert not (tmp_path / "checkpoints" / checkpoint.BEST).exists()


def test_validating_changes_nothing_in_training(tmp_path):
    for name, every in (("with", 5), ("without", 0)):
        train(Held(), settings(validate_every=every), tmp_path / name, progress=False)
    one, other = (final(tmp_path / name)["weights"] for name in ("with", "without"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("at", [7, 9, 17, 29])
def test_a_killed_run_validates_as_an_unbroken_one(at, tmp_path):
    config = settings(validate_every=8, checkpoint_every_s=0)
    train(Held(), config, tmp_path / "unbroken", progress=False)
    with pytest.raises(MemoryError):
        train(Held(dies=at), config, tmp_path / "killed", progress=False)
    train(Held(), config, tmp_path / "killed", resume=True, progress=False)
    assert_same_run(tmp_path / "unbroken", tmp_path / "killed")
    assert best_of(tmp_path / "unbroken") == best_of(tmp_path / "killed")


def test_the_best_step_is_exported_where_the_last_is_worse(tmp_path, capsys):
    train(Worsens(), settings(validate_every=4), tmp_path)
    best = tensors.load(tmp_path / "checkpoints" / checkpoint.BEST / "average")
    exported = tensors.load(tmp_path / "model")
    assert all(torch.equal(exported[name.removeprefix("model/")], value) for name, value in best.items())
    assert "exported as it was at step 8" in capsys.readouterr().err
    last, left = final(tmp_path)["average"], tensors.load(tmp_path / "last")
    assert all(torch.equal(left[name.removeprefix("model/")], value) for name, value in last.items())
    assert any(not torch.equal(left[name], value) for name, value in exported.items())


def test_the_last_state_is_no_longer_kept_once_it_is_the_best(tmp_path):
    train(Worsens(), settings(validate_every=4), tmp_path, progress=False)
    assert (tmp_path / "last").is_dir()
    train(Held(), settings(validate_every=4, steps=60), tmp_path, resume=True, progress=False)
    assert not (tmp_path / "last").exists()


def test_it_stops_early_once_patience_is_over(tmp_path, capsys):
    config = settings(validate_every=4, patience=2)
    summary = train(Worsens(), config, tmp_path)
    assert (summary.reason, summary.step) == ("finished", 16)
    assert "no better validation since step 8" in capsys.readouterr().err
    assert train(Worsens(), config, tmp_path, resume=True).step == 16


def test_a_loss_that_is_no_number_is_never_the_best():
    best = Best()
    assert not best.see(float("nan"), 1)
    assert best.loss is None
    assert best.see(2.0, 2)
    assert not best.see(float("nan"), 3)
    assert best.stale == 1
    assert best.beats(float("nan"))
    assert best.beats(2.1)
    assert not best.beats(2.01)
    negative = Best(-2.0, 1)
    assert negative.beats(-1.0)
    assert not negative.beats(-1.99)
    assert not negative.beats(-3.0)


def test_what_goes_wrong_is_said_once_with_a_remedy():
    watch, best = Watch(patience=0), Best()
    best.see(1.0, 100)
    for loss in (1.1, 1.0, 1.0, 0.1, 1.0):  # 0.1 is that of a single step
        assert watch.see({"loss": loss}, best, True) == []
    assert watch.see({"loss": 3.0}, best, False) == []  # warming up
    assert watch.see({"loss": 1.6}, best, True) == []
    (line,) = watch.see({"loss": 1.7}, best, True)
    assert "1 to 1.6" in line
    assert "loop.lr" in line
    assert watch.see({"loss": 1.7}, best, True) == []
    (line,) = watch.see({"loss": 0.9, "used": 0.03}, best, True)
    assert "3% of the codebook" in line
    assert "following" in line
    for step in (200, 300, 400):
        best.see(1.2, step)
    (line,) = watch.see({"loss": 0.4, "val_loss": 1.2}, best, True)
    assert "step 100" in line
    assert "loop.patience" in line


class Few(Held):
    """Four samples to learn, which are soon known by heart."""

    def __init__(self):
        super().__init__()
        self.noise = 0.0

    def batch(self, step, size):
        return super().batch(0, 4)


class Rises(ToyTask):
    """The loss grows with the steps."""

    def loss(self, module, batch, step, generator):
        loss, metrics = super().loss(module, batch, step, generator)
        return loss * (1 + step / 4), metrics


def test_real_runs_warn_even_where_nothing_else_is_shown(tmp_path, capsys):
    train(Rises(), settings(warmup_steps=0, lr=0.0), tmp_path / "rises", progress=False)
    said = capsys.readouterr().err
    assert said.startswith("warning: the loss has risen from")
    assert said.count("\n") == 1
    config = settings(steps=240, validate_every=8, lr=0.03, warmup_steps=0, log_every=8)
    train(Few(), config, tmp_path / "few", progress=False)
    assert "it learns by heart; the best checkpoint is kept" in capsys.readouterr().err


class Shaped(Held):
    """Validation batches of one shape each, as pictures of several shapes come: of 4 samples, and of 1."""

    def validation(self, number, size):
        return torch.full((4 if number == 0 else 1, 2), float(number)) if number < 5 else None

    def validation_loss(self, batch, generator):
        return {"loss": batch.mean()}


def test_samples_are_counted_and_weighed_and_not_batches(tmp_path):
    train(Shaped(), settings(validate_every=30, validated=8), tmp_path, progress=False)
    assert read_log(tmp_path)[-1]["val_loss"] == pytest.approx((4 * 0 + 1 + 2 + 3 + 4) / 8)
