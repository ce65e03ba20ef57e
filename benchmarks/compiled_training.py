"""Does ``loop.compile`` make updates of a training faster on this machine? Seconds of one, with and without it.

    python benchmarks/compiled_training.py PART --data DIR [--recipe NAME] [--set KEY=VALUE …] [--rounds 2] [--json]

Dry runs of both by turns, each in a process of its own, on one thread unless OMP_NUM_THREADS says otherwise; the least
of each counts. Compiling itself is not in these seconds: "begin, s" is what comes before the first update.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

from lantu.errors import LantuError

UPDATES = 7  # of a dry run


def dry_run(arguments: argparse.Namespace, compiled: bool) -> dict[str, Any]:
    """What a dry run says, and the seconds before its first update as "begin_s".

    Raises:
        LantuError: it was refused.
    """
    settings = [*arguments.set, f"loop.compile={str(compiled).lower()}"]
    command = [sys.executable, "-m", "lantu", "train", arguments.part, "--data", arguments.data, "--dry-run", "--json"]
    command += ["--recipe", arguments.recipe] if arguments.recipe else []
    command += [word for setting in settings for word in ("--set", setting)]
    began = time.monotonic()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", **os.environ},
    )
    if done.returncode:
        raise LantuError(done.stderr.strip().splitlines()[-1].removeprefix("lantu: "))
    facts = json.loads(done.stdout)
    return {**facts, "begin_s": time.monotonic() - began - UPDATES * facts["step_s"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part")
    parser.add_argument("--data", required=True)
    parser.add_argument("--recipe", default="")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    both: dict[str, list[dict[str, Any]]] = {"plain": [], "compiled": []}
    for _ in range(arguments.rounds):
        for name, measured in both.items():
            measured.append(dry_run(arguments, name == "compiled"))
    best = {name: min(measured, key=lambda one: one["step_s"]) for name, measured in both.items()}
    ratio = best["compiled"]["step_s"] / best["plain"]["step_s"]
    if arguments.json:
        print(json.dumps({"ratio": ratio, **both}))
        return
    print("| update | seconds | samples/s | begin, s |\n|---|---|---|---|")
    for name, one in best.items():
        rate = one["samples_per_step"] / one["step_s"]
        print(f"| {name} | {one['step_s']:.3f} | {rate:.1f} | {one['begin_s']:.0f} |")
    print(f"\ncompiled / plain: {ratio:.2f}")


if __name__ == "__main__":
    try:
        main()
    except LantuError as problem:
        sys.exit(f"compiled_training: {problem}")
