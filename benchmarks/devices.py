"""Is ``lantu train --dry-run --devices N`` right? Memory and time of N real processes beside what it says of them.

    OMP_NUM_THREADS=1 python benchmarks/devices.py --data DATA --tokenizer MODEL [--devices 2] [--part language]
        [--bandwidth 1.0] [--set loop.batch_size=8] …

Each process computes on one thread (gloo). Memory has two parts: the base, which is Python, libraries and data before
training begins (all that training imports included), and what it grows by from there to its most, networks included.
Time is the median of five updates. The exchange between processes of one machine is a copy: ``--bandwidth`` says how
many GB/s.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from lantu import recipes
from lantu.recipes.codes import unkept
from lantu.training.config import LoopConfig, override
from lantu.training.machine import SETTINGS
from lantu.training.measure import measure
from lantu.training.resident import forget_most, most_resident_bytes, resident_bytes, settle
from lantu.training.simulated import simulate
from lantu.training.task import Task

UPDATES, WARM = 5, 2


class Small(Task):
    """Trained first, so that all is imported that training imports."""

    def __init__(self):
        self.networks = {"model": torch.nn.Linear(4, 4)}

    def batch(self, step, size):
        return torch.zeros(size, 4)

    def loss(self, module, batch, step, generator):
        return self.networks["model"](batch).sum(), {}

    def export(self, folder):
        raise NotImplementedError


def made(options: argparse.Namespace) -> tuple[Task, LoopConfig]:
    """The task, with its first batches, and how it is trained."""
    module = recipes.module_of(options.part, options.recipe)
    tokenizer = [f"tokenizer={options.tokenizer}"] if options.part != "tokenizer" else []
    chosen = override(module.RECIPES[options.recipe](), ["loop.device=cpu", *tokenizer, *options.settings])
    with unkept():
        task = module.Task(chosen, options.data)
    for step in range(2 * (UPDATES + WARM) * chosen.loop.accumulate):
        task.batch(step, chosen.loop.batch_size)
    simulate(Small(), LoopConfig(device="cpu", steps=1), 1.0, 2)
    return task, chosen.loop


def one(options: argparse.Namespace) -> None:
    """One of the processes, or the one that tells of them: writes memory and time."""
    task, config = made(options)
    if "RANK" in os.environ:
        settle()
        weights = sum(value.nbytes for network in task.networks.values() for value in network.parameters())
        forget_most()
        base = resident_bytes() - weights
        measured = measure(task, config, UPDATES, WARM)
        found = {"base": base, "grown": most_resident_bytes() - base, "step_s": [measured.step_s]}
    else:
        measured = measure(task, config, UPDATES, WARM)
        said = simulate(task, config, measured.step_s, options.devices, options.bandwidth)
        found = {"base": said.base_bytes, "grown": said.memory_bytes, "tensors": said.tensor_bytes}
        found["step_s"] = said.step_s
    if os.environ.get("RANK", "0") == "0":
        options.out.write_text(json.dumps(found))


def main() -> None:
    """Print both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", default="language")
    parser.add_argument("--recipe", default="emoji")
    parser.add_argument("--tokenizer", default="lantu-emoji")
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--bandwidth", type=float, default=1.0)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.out:
        one(options)
        return
    words = [word for each in options.settings for word in ("--set", each)]
    words += ["--data", options.data, "--part", options.part, "--recipe", options.recipe, "--devices", options.devices]
    words += ["--tokenizer", options.tokenizer, "--bandwidth", options.bandwidth, "--out"]
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={options.devices}")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, how in (("said", ()), ("real", launcher)):
            command = [sys.executable, *how, __file__, *map(str, words), f"{folder}/{name}"]
            subprocess.run(command, check=True, env=os.environ | SETTINGS)
            found.append(json.loads(Path(folder, name).read_text()))
    said, real = found
    print(f"{options.part}, {options.devices} processes: {' '.join(options.settings)}")
    print(f"tensors    {said['tensors'] / 1e6:.0f} MB")
    for name, keys in (("grows by", ("grown",)), ("base", ("base",)), ("in all", ("grown", "base"))):
        predicted, real = (sum(each[key] for key in keys) / 1e6 for each in found)
        print(f"{name:10} predicted {predicted:.0f} MB, real {real:.0f} MB, ratio {predicted / real:.2f}")
    low, high = said["step_s"]
    print(f"an update  said {low:.2f} to {high:.2f} s, real {real['step_s'][0]:.2f} s")


if __name__ == "__main__":
    main()
