"""Prove that a change keeps what users have: two checkouts draw, edit, follow a control and read, and are compared.

    python scripts/compare_checkouts.py OLD NEW [--pairs 30] [--skip-speed] [--only-drawings]

Each checkout is run by its own ``.venv`` if it has one, else by this Python with its ``src`` first, and draws
with its own shipped model. Drawings, edits, fills and controlled drawings must have equal codes and equal pixels;
captions and answers are listed where they differ. Speed is measured in interleaved pairs (old, new, old, new, …) and
reported as a ratio with its 95 % bootstrap interval, whose upper bound must be 1.05 at most.

Exit code 1 if a picture differs or a ratio is too high.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DRAWINGS = [
    ("a cat on the left and a dog on the right", 7, []),
    ("左边一只猫，右边一只狗", 7, []),
    ("three apples", 1, []),
    ("a red car", 3, ["--temperature", "0"]),
    ("a cat", 5, ["--steps", "2", "--sampler", "euler"]),
    ("a dog", 5, ["--guidance", "3", "--temperature", "1"]),
    ("a tree on the right", 11, ["--contrast", "4", "--temperature", "1"]),
    ("a cat", 4, ["-n", "3"]),
    ("an apple", 2, ["--top-k", "0", "--ahead", "0", "--sampler", "heun"]),
]
EDITS = [
    ("a dog", 3, ["--box", "64,32,128,96"]),
    ("a red apple", 9, ["--box", "0,0,64,64"]),
    ("replace the dog with a car", 3, []),
    ("把背景换成黄色", 5, []),
]
LIMIT = 1.05


class Checkout:
    """A working tree that can be run.

    Args:
        path: its root.
    """

    def __init__(self, path: Path):
        self.path = path.resolve()
        own = self.path / ".venv" / "bin" / "python"
        self.python = str(own) if own.exists() else sys.executable
        self.environment = {**os.environ, "PYTHONPATH": str(self.path / "src")}

    def lantu(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [self.python, "-P", "-m", "lantu", *arguments]
        done = subprocess.run(command, env=self.environment, input=text, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{self.path}: lantu {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done

    def script(self, code: str) -> subprocess.Popen[str]:
        """A Python process that answers one line for each line that it reads."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [self.python, "-P", "-c", code], env=self.environment, stdin=pipe, stdout=pipe, text=True, bufsize=1
        )


def pixels(path: Path) -> bytes:
    from PIL import Image

    with Image.open(path) as picture:
        return repr(picture.size).encode() + picture.convert("RGB").tobytes()


def pictures(checkout: Checkout, folder: Path) -> dict[str, Any]:
    """Every case's pixels and codes by name."""
    found: dict[str, Any] = {}

    def keep(name: str, files: list[str], tokens: Path | None = None) -> None:
        found[name] = [pixels(Path(file)) for file in files]
        if tokens:
            found[name].append([one["codes"] for one in json.loads(tokens.read_text())["pictures"]])

    for number, (prompt, seed, settings) in enumerate(DRAWINGS):
        out, tokens = folder / f"draw-{number}.png", folder / f"draw-{number}.json"
        arguments = ("--seed", str(seed), "-o", str(out), "--tokens-out", str(tokens), "--json", *settings)
        keep(
            f"draw {prompt!r} {settings}",
            json.loads(checkout.lantu("draw", prompt, *arguments).stdout)["files"],
            tokens,
        )
    scene = folder / "draw-0.png"
    for number, (prompt, seed, place) in enumerate(EDITS):
        out = folder / f"edit-{number}.png"
        arguments = ("--seed", str(seed), "-o", str(out), "--json", *place)
        keep(
            f"edit {prompt!r} {place}",
            json.loads(checkout.lantu("edit", str(scene), prompt, *arguments).stdout)["files"],
        )
    for kind in ("photo", "colour", "layout"):
        out = folder / f"control-{kind}.png"
        arguments = ("--control", str(scene), "--control-kind", kind, "--seed", "3", "-o", str(out), "--json")
        keep(f"control {kind}", json.loads(checkout.lantu("draw", "a dog", *arguments).stdout)["files"])
    return found


def readings(checkout: Checkout, folder: Path) -> dict[str, str]:
    """Captions and answers by name. The pictures are those of the old checkout."""
    found = {}
    for file in sorted(folder.glob("draw-*.png")):
        for language in ("en", "zh"):
            told = checkout.lantu("caption", str(file), "--lang", language, "--json").stdout
            found[f"caption {file.name} {language}"] = json.loads(told)["caption"]
    lines = f"@{folder / 'draw-0.png'} what is on the left?\n\n@{folder / 'draw-2.png'} how many apples are there?\n"
    told = json.loads(checkout.lantu("chat", "--json", "--seed", "1", "-o", str(folder), text=lines).stdout)
    found["chat"] = json.dumps([turn["reply"] for turn in told["turns"]], ensure_ascii=False)
    return found


WARM = """
import sys, time, lantu
model = lantu.load()
model.draw("a cat", seed=0)
for line in sys.stdin:
    started = time.perf_counter()
    for seed in range(4):
        model.draw("a cat on the left and a dog on the right", seed=seed)
    print(time.perf_counter() - started, flush=True)
"""
ENGINE = """
import sys, time, lantu
model = lantu.load()
model.draw_many("a cat", 8, seed=0)
for line in sys.stdin:
    started = time.perf_counter()
    model.draw_many("a cat on the left and a dog on the right", 8, seed=1)
    print(time.perf_counter() - started, flush=True)
"""
SERVER = """
import json, socket, subprocess, sys, time, urllib.request
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
command = [sys.executable, "-P", "-m", "lantu", "serve", "--port", str(port)]
server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def post(seed):
    body = json.dumps({"prompt": "a cat on the left", "n": 4, "seed": seed}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/images/generations", body,
                                     {"Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=60).read()
try:
    for attempt in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5)
            break
        except OSError:
            time.sleep(0.1)
    post(0)
    for line in sys.stdin:
        started = time.perf_counter()
        post(1)
        print(time.perf_counter() - started, flush=True)
finally:
    server.terminate()
    server.wait()
"""


def speed(old: Checkout, new: Checkout, pairs: int, folder: Path) -> dict[str, tuple[float, float, float]]:
    """Ratio new / old with its 95 % interval: a cold draw, warm draws, eight together, the server."""
    found = {}

    def cold(checkout: Checkout) -> float:
        started = time.perf_counter()
        checkout.lantu("draw", "a cat", "--seed", "1", "-o", str(folder / "cold.png"))
        return time.perf_counter() - started

    cold(old), cold(new)
    found["cold draw"] = ratio([(cold(old), cold(new)) for _ in range(pairs)])
    for name, code in (("warm draw", WARM), ("eight together", ENGINE), ("server", SERVER)):
        processes = [checkout.script(code) for checkout in (old, new)]

        def ask(process: subprocess.Popen[str]) -> float:
            assert process.stdin
            assert process.stdout
            process.stdin.write("go\n")
            return float(process.stdout.readline())

        for process in processes:
            ask(process)
        found[name] = ratio([(ask(processes[0]), ask(processes[1])) for _ in range(pairs)])
        for process in processes:
            assert process.stdin
            process.stdin.close()
            process.wait()
    return found


def ratio(measured: list[tuple[float, float]], rounds: int = 2000) -> tuple[float, float, float]:
    """Median of new / old over the pairs, and its 95 % interval by bootstrap."""
    ratios = [new / old for old, new in measured]
    chance = random.Random(0)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(rounds))
    return statistics.median(ratios), medians[int(0.025 * rounds)], medians[int(0.975 * rounds) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--pairs", type=int, default=30, help="interleaved pairs of each measurement")
    parser.add_argument("--skip-speed", action="store_true")
    parser.add_argument("--only-drawings", action="store_true", help="leave out captions and answers")
    arguments = parser.parse_args()
    old, new, wrong = Checkout(arguments.old), Checkout(arguments.new), False
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / name for name in ("old", "new")]
        for folder in folders:
            folder.mkdir()
        theirs, ours = pictures(old, folders[0]), pictures(new, folders[1])
        for name in theirs:
            same = theirs[name] == ours[name]
            wrong |= not same
            print(f"{'same' if same else 'DIFFERENT':10}{name}")
        if not arguments.only_drawings:
            before, after = readings(old, folders[0]), readings(new, folders[0])
            for name in before:
                same = before[name] == after[name]
                print(
                    f"{'same' if same else 'differs':10}{name}" + ("" if same else f": {before[name]} → {after[name]}")
                )
        if not arguments.skip_speed:
            for name, (middle, low, high) in speed(old, new, arguments.pairs, folders[0]).items():
                wrong |= high > LIMIT
                print(
                    f"{name:16}new / old {middle:.3f} ({low:.3f} to {high:.3f}){'  TOO SLOW' if high > LIMIT else ''}"
                )
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
