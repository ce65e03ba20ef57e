"""Is ``lantu train --dry-run --devices N`` right? Memory and time of N real processes beside what it says of them.

    OMP_NUM_THREADS=1 python benchmarks/devices.py --data DATA --tokenizer MODEL [--devices 2] [--part language]
        [--bandwidth 1.0] [--set loop.batch_size=8] …

Each process computes on one thread (gloo). Memory is what a process's resident set grew by, from before its networks
are sharded to the most that it was; the simulation counts tensors, so it lacks what the allocator keeps. Time is the
median of five updates. The exchange between processes of one machine is a copy: ``--bandwidth`` says how many GB/s.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

UPDATES, WARM = 5, 2


def resident_bytes() -> int:
    """Of this process, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def real(part: str, recipe: str, data: Path, settings: list[str], out: Path) -> None:
    """One of the processes: writes the first one's memory and time."""
    from lantu import recipes
    from lantu.recipes.codes import unkept
    from lantu.training.config import override
    from lantu.training.measure import measure

    module = recipes.module_of(part, recipe)
    chosen = override(module.RECIPES[recipe](), ["loop.device=cpu", *settings])
    with unkept():
        task = module.Task(chosen, data)
    for step in range(2 * (UPDATES + WARM)):
        task.batch(step, chosen.loop.batch_size)
    weights = sum(value.nbytes for network in task.networks.values() for value in network.parameters())
    before = resident_bytes() - weights
    measured = measure(task, chosen.loop, UPDATES, WARM)
    if os.environ["RANK"] == "0":
        out.write_text(json.dumps({"memory_bytes": measured.memory_bytes - before, "step_s": measured.step_s}))


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
        real(options.part, options.recipe, options.data, options.settings, options.out)
        return
    from lantu.recipes import estimate, module_of
    from lantu.training.config import override

    settings = [*options.settings, *([f"tokenizer={options.tokenizer}"] if options.part != "tokenizer" else [])]
    module = module_of(options.part, options.recipe)
    chosen = override(module.RECIPES[options.recipe](), ["loop.device=cpu", *settings])
    said = estimate(module, chosen, options.data, options.devices, options.bandwidth).simulated
    assert said is not None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "real.json"
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={options.devices}", __file__]
        words = ["--data", options.data, "--part", options.part, "--recipe", options.recipe, "--out", out]
        words += [word for each in settings for word in ("--set", each)]
        subprocess.run([sys.executable, *launcher, *map(str, words)], check=True)
        found = json.loads(out.read_text())
    low, high = said.step_s
    print(f"{options.part}, {options.devices} processes: {' '.join(options.settings)}")
    memory, real_memory = said.memory_bytes / 1e6, found["memory_bytes"] / 1e6
    print(f"memory     said {memory:.0f} MB, real {real_memory:.0f} MB, ratio {memory / real_memory:.2f}")
    print(f"an update  said {low:.2f} to {high:.2f} s, real {found['step_s']:.2f} s")


if __name__ == "__main__":
    main()
