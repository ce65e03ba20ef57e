import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from language_toy_task import LanguageToyTask
from toy_task import ToyTask

from lantu.errors import RecipeError
from lantu.training import checkpoint
from lantu.training.config import LoopConfig, override
from lantu.training.distributed import joined
from lantu.training.logs import read_log
from lantu.training.loop import train
from lantu.training.recompute import recompute_blocks
from lantu.training.tensor_parallel import check_sizes, split_layers
from lantu.weights import tensors

SCRIPT = Path(__file__).with_name("toy_task.py")
LANGUAGE = Path(__file__).with_name("language_toy_task.py")
SETTINGS = [
    "batch_size=4",
    "warmup_steps=2",
    "log_every=2",
    "lr=0.03",
    "precision=fp32",
    "device=cpu",
    "sample_every=0",
]


def on_ranks(count, script, folder, *settings, options=(), more=()):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", **dict(more)}
    command += [str(script), str(folder), *SETTINGS, *settings]
    return subprocess.run(command, env=environment, timeout=300, capture_output=True, text=True)


def on_two_ranks(folder, *settings):
    done = on_ranks(2, SCRIPT, folder, "quiet", *settings)
    assert done.returncode == 0, done.stderr


def alone(folder, *settings):
    config = override(LoopConfig(), [*SETTINGS, *settings])
    return train(ToyTask(0.0), config, folder, resume=True, progress=False)


def newest(folder):
    return tensors.load(checkpoint.numbered(folder / "checkpoints")[0] / "average")


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_ranks_do_what_one_does_with_twice_the_batches(tmp_path, optimizer):
    """And a run may go on with another number of ranks: here two, then one, against one all along."""
    chosen = f"optimizer={optimizer}"
    on_two_ranks(tmp_path / "two", "steps=20", "minutes=0", chosen)
    assert [path.name for path in checkpoint.numbered(tmp_path / "two" / "checkpoints")] == ["step-00000001"]
    on_two_ranks(tmp_path / "two", "steps=20", chosen)
    assert not (tmp_path / "two" / "model").exists()
    alone(tmp_path / "two", "steps=30", "accumulate=2", chosen)
    alone(tmp_path / "one", "steps=30", "accumulate=2", chosen)
    two, one = newest(tmp_path / "two"), newest(tmp_path / "one")
    assert two.keys() == one.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("tied", [(), ("tied",)], ids=["untied", "tied"])
def test_split_layers_compute_what_whole_ones_do(tmp_path, tied):
    """Four ranks, each pair of which splits every layer; then two without splitting; then one."""
    folder = tmp_path / "run"
    steps = ("steps=12", "optimizer=muon", "lr=0.01", *tied)
    for count, more in (
        (4, ("tensor_parallel=2", "minutes=0")),
        (2, ("minutes=0",)),
        (2, ("accumulate=2", "tensor_parallel=2", "recompute=true", "minutes=0")),
    ):
        done = on_ranks(count, LANGUAGE, folder, *steps, *more)
        assert done.returncode == 0, done.stderr
    [latest, *_] = checkpoint.numbered(folder / "checkpoints")
    assert latest.name == "step-00000003"
    assert {path.name[:11] for path in (latest / "weights").iterdir()} == {"shard-00001", "shard-00002"}
    config = override(LoopConfig(), [*SETTINGS, *(each for each in steps if each != "tied"), "accumulate=2"])
    for place in (folder, tmp_path / "alone"):
        train(LanguageToyTask(bool(tied)), config, place, resume=True, progress=False)
    several, one = newest(folder), newest(tmp_path / "alone")
    assert several.keys() == one.keys()
    for name in one:
        torch.testing.assert_close(several[name], one[name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_torchrun_starts_a_crashed_rank_again(tmp_path):
    done = on_ranks(
        2,
        SCRIPT,
        tmp_path / "crashed",
        "quiet",
        "steps=20",
        "checkpoint_every_s=0",
        options=["--max-restarts=5"],
        more={"CRASH_AT": "7", "CRASHED": str(tmp_path / "mark")},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mark").exists()
    assert "resumed at step" in done.stderr
    on_two_ranks(tmp_path / "whole", "steps=20")
    losses = [[line["loss"] for line in read_log(tmp_path / name)] for name in ("crashed", "whole")]
    assert losses[0] == losses[1]


def test_what_cannot_be_split_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(RecipeError, match="tensor_parallel=2 does not divide 3"), joined(torch.device("cpu"), 2):
        pass
    with pytest.raises(RecipeError, match="Net can't be split"):
        split_layers(ToyTask().networks["model"], None)
    with pytest.raises(RecipeError, match=r"num_attention_heads = 4 can't be divided among loop\.tensor_parallel=3"):
        check_sizes(LanguageToyTask().networks["model"], 3)


def test_recomputed_blocks_keep_less_and_give_the_same_gradients():
    """Activation checkpointing: what the forward pass keeps for the backward pass, in numbers, and what comes of it."""
    results = []
    for recompute in (False, True):
        task = LanguageToyTask()
        network = task.networks["model"]
        if recompute:
            assert recompute_blocks(network) == 2
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x.numel()) or x, lambda x: x):
            loss, _ = task.loss("model", task.batch(0, 8), 0, torch.Generator())
        loss.backward()
        results.append((sum(kept), loss.item(), {name: p.grad for name, p in network.named_parameters()}))
    (whole, loss, gradients), (less, again, others) = results
    assert less < whole / 2
    assert loss == again
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, others[name])
