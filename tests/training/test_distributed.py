import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_task import ToyTask

from lantu.training import checkpoint
from lantu.training.config import LoopConfig, override
from lantu.training.loop import train
from lantu.weights import tensors

SCRIPT = Path(__file__).with_name("toy_task.py")
SETTINGS = [
    "batch_size=4",
    "warmup_steps=2",
    "log_every=2",
    "lr=0.03",
    "precision=fp32",
    "device=cpu",
    "sample_every=0",
]


def on_two_ranks(folder, *settings):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(SCRIPT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command += [str(folder), "quiet", *SETTINGS, *settings]
    done = subprocess.run(command, env=environment, timeout=120, capture_output=True, text=True)
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
