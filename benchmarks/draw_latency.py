"""How long a person waits: `lantu --help`, a cold `lantu draw`, and a warm one in the same process.

    python benchmarks/draw_latency.py [--model NAME] [--rounds 5]

Prints medians with minimum and maximum, in seconds; rounds are interleaved.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROMPT = "a cat on the left and a dog on the right"


def timed(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lantu-emoji")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    import lantu

    model = lantu.load(arguments.model)
    model.draw(PROMPT, seed=0)
    command = [sys.executable, "-m", "lantu"]
    with tempfile.TemporaryDirectory() as folder:
        picture = str(Path(folder) / "out.png")
        draw = [*command, "draw", PROMPT, "--model", arguments.model, "--seed", "0", "-o", picture]
        ways: dict[str, Callable[[], object]] = {
            "lantu --help": lambda: subprocess.run([*command, "--help"], check=True, capture_output=True),
            "draw, cold process": lambda: subprocess.run(draw, check=True, capture_output=True),
            "draw, warm": lambda: model.draw(PROMPT, seed=0),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                seconds[name].append(timed(way))
    for name, measured in seconds.items():
        spread = f"{min(measured):.2f} to {max(measured):.2f}"
        print(f"{name:20}{statistics.median(measured):6.2f} s  ({spread}, n = {len(measured)})")


if __name__ == "__main__":
    main()
