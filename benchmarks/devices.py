"""Is ``lantu train --dry-run --devices N`` right? Memory and time of N real processes beside what it says of them.

    OMP_NUM_THREADS=1 python benchmarks/devices.py --data DATA --tokenizer MODEL [--devices 2] [--part language]
        [--bandwidth GB/S] [--set loop.batch_size=8] …

Each process computes on one thread (gloo). As many processes predict as are predicted, at the same time, since those of
one machine share its caches and memory, and perhaps a core. Memory has two parts: the base, which is Python, libraries
and data before training begins (all that training imports included), and what it grows by from there to its most,
networks included. Time is a median over updates. The time of the exchange is estimated by the rate at which the
processes gather and reduce 8 MB, or by ``--bandwidth``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
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
BLOCK, TIMES = 8_000_000, 10  # bytes that are gathered and reduced, about those of a layer, and how often


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
    simulate(Small(), LoopConfig(device="cpu", steps=1), 2)
    return task, chosen.loop


def exchange(out: Path) -> None:
    """One of the processes: writes the GB/s that it receives, half of it gathered and half reduced."""
    torch.distributed.init_process_group("gloo")
    world = torch.distributed.get_world_size()
    whole = torch.zeros(BLOCK // 4 // world * world)
    part = torch.zeros(len(whole) // world)
    started = time.perf_counter()
    for _ in range(TIMES):
        torch.distributed.all_gather_into_tensor(whole, part)
        torch.distributed.reduce_scatter_tensor(part, whole)
    took = time.perf_counter() - started
    if torch.distributed.get_rank() == 0:
        out.write_text(json.dumps(2 * TIMES * (whole.nbytes - part.nbytes) / took / 1e9))
    torch.distributed.destroy_process_group()


def one(options: argparse.Namespace) -> None:
    """One of the processes, or one that predicts them: writes memory and time."""
    task, config = made(options)
    if "RANK" in os.environ:
        settle()
        weights = sum(value.nbytes for network in task.networks.values() for value in network.parameters())
        forget_most()
        base = resident_bytes() - weights
        measured = measure(task, config, UPDATES, WARM)
        found = {"base": base, "grown": most_resident_bytes() - base, "step_s": measured.step_s}
    else:
        measure(task, config, UPDATES, WARM)  # as the dry run does
        predicted = simulate(task, config, options.devices, options.bandwidth)
        found = {"base": predicted.base_bytes, "grown": predicted.memory_bytes, "tensors": predicted.tensor_bytes}
        found["step_s"] = predicted.step_s
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
    parser.add_argument("--bandwidth", type=float)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--exchange", action="store_true")
    options = parser.parse_args()
    if options.out:
        exchange(options.out) if options.exchange else one(options)
        return
    words = [word for each in options.settings for word in ("--set", each)]
    words += ["--data", options.data, "--part", options.part, "--recipe", options.recipe, "--devices", options.devices]
    words += ["--tokenizer", options.tokenizer, "--out"]
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={options.devices}")
    with tempfile.TemporaryDirectory() as folder:
        command = [__file__, *map(str, words)]
        for name, more in (("real", ()), ("rate", ("--exchange",))):
            launched = [sys.executable, *launcher, *command, f"{folder}/{name}", *more]
            subprocess.run(launched, check=True, env=os.environ | SETTINGS)
        real, rate = (json.loads(Path(folder, name).read_text()) for name in ("real", "rate"))
        bandwidth = str(options.bandwidth or rate)
        predicting = [
            subprocess.Popen(
                [sys.executable, *command, f"{folder}/predicted-{number}", "--bandwidth", bandwidth],
                env=os.environ | SETTINGS,
            )
            for number in range(options.devices)
        ]
        if any(process.wait() for process in predicting):
            sys.exit("a process that predicts has failed")
        predicted = json.loads(Path(folder, "predicted-0").read_text())
    print(f"{options.part}, {options.devices} processes: {' '.join(options.settings)}")
    print(f"tensors    {predicted['tensors'] / 1e6:.0f} MB")
    for name, keys in (("grows by", ("grown",)), ("base", ("base",)), ("in all", ("grown", "base"))):
        ours, theirs = (sum(each[key] for key in keys) / 1e6 for each in (predicted, real))
        print(f"{name:10} predicted {ours:.0f} MB, real {theirs:.0f} MB, ratio {ours / theirs:.2f}")
    low, high = predicted["step_s"]
    print(f"an update  predicted {low:.2f} to {high:.2f} s at {float(bandwidth):.2f} GB/s, real {real['step_s']:.2f} s")


if __name__ == "__main__":
    main()
