"""Which runs are compiled."""

import pytest
import torch
from toy_task import ToyTask

from lantu.training import compiling
from lantu.training.compiling import WORTH, is_compiled
from lantu.training.config import LoopConfig
from lantu.training.distributed import Ranks
from lantu.training.trainer import Trainer

CPU = torch.device("cpu")


class Gaining(ToyTask):
    gains_by_compiling = True
    flops_per_sample = WORTH / 1000


@pytest.fixture(autouse=True)
def tiles(monkeypatch):
    monkeypatch.setattr(compiling, "has_tiles", lambda: True)
    monkeypatch.setattr(compiling, "can_compile", lambda: True)


def test_a_long_run_that_gains_is_compiled():
    config = LoopConfig(steps=100, batch_size=10)
    assert is_compiled(config, Gaining(), CPU, 1)
    assert not is_compiled(config, Gaining(), CPU, 2)
    assert not is_compiled(config, Gaining(), torch.device("cuda"), 1)
    assert not is_compiled(config, ToyTask(), CPU, 1)
    for changes in ({"steps": 99}, {"precision": "fp32"}, {"compile": False}):
        assert not is_compiled(config.model_copy(update=changes), Gaining(), CPU, 1)
    assert is_compiled(config.model_copy(update={"steps": 50, "accumulate": 2}), Gaining(), CPU, 1)


@pytest.mark.parametrize("missing", ["has_tiles", "can_compile"])
def test_it_is_not_where_the_machine_has_no_tiles_or_no_compiler(monkeypatch, missing):
    monkeypatch.setattr(compiling, missing, lambda: False)
    config = LoopConfig(steps=100, batch_size=10)
    assert not is_compiled(config, Gaining(), CPU, 1)
    assert is_compiled(config.model_copy(update={"compile": True}), Gaining(), CPU, 1)


def test_a_machine_without_a_compiler_is_known_by_trying(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no C++ compiler")

    monkeypatch.undo()
    monkeypatch.setattr(torch, "compile", refuse)
    compiling.can_compile.cache_clear()
    assert not compiling.can_compile()
    compiling.can_compile.cache_clear()


def test_the_trainer_compiles_what_is_to_be_compiled(monkeypatch):
    called = []
    monkeypatch.setattr(Gaining, "compile", lambda self: called.append(self))
    for steps, wanted in ((10, False), (1000, True)):
        trainer = Trainer(task := Gaining(), LoopConfig(steps=steps, device="cpu"), CPU, Ranks())
        assert trainer.compiled == wanted
        assert called == ([task] if wanted else [])
