"""How long a person waits: `lantu --help`, a cold `lantu draw`, and a warm one in the same process.

    python benchmarks/draw_latency.py [--model NAME] [--rounds 9]

Prints medians with minimum and maximum, in seconds, as rows for docs/speed.md; rounds are interleaved. "Warm" is a
whole drawing by a loaded model; "cold" begins at the shell and ends when the PNG is written.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from lantu.bench import machine
from lantu.bench.rounds import Seconds, measure

PROMPT = "a cat on the left and a dog on the right"


def latencies(model: str, rounds: int) -> dict[str, Seconds]:
    """Seconds of each way, after a first time that does not count."""
    import lantu

    loaded = lantu.load(model)
    command = [sys.executable, "-m", "lantu"]
    with tempfile.TemporaryDirectory() as folder:
        draw = [*command, "draw", PROMPT, "--model", model, "--seed", "0", "-o", str(Path(folder) / "out.png")]
        ways: dict[str, Callable[[], object]] = {
            "draw, warm": lambda: loaded.draw(PROMPT, seed=0),
            "draw, cold": lambda: subprocess.run(draw, check=True, capture_output=True),
            "--help": lambda: subprocess.run([*command, "--help"], check=True, capture_output=True),
        }
        return measure(ways, rounds)


def table(model: str, rounds: int) -> str:
    """The rows in Markdown, with the machine, its load and the model named."""
    took, about = latencies(model, rounds), machine.describe()
    lines = [
        f"{model}; {about['processor']}, {about['cores']} cores, {about['kernels']}; load {about['load'][:1]}",
        "",
        "| | median, s | range | rounds |",
        "|---|---|---|---|",
        *(
            f"| {name} | {each.median:.3f} | {each.least:.3f} to {each.most:.3f} | {each.rounds} |"
            for name, each in took.items()
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lantu-emoji")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    print(table(arguments.model, arguments.rounds))


if __name__ == "__main__":
    main()
