"""How many pictures a second does a core load for training, and how many does it import?

    python benchmarks/loader.py PICTURES [--sizes 128 256] [--seconds 5]

For each size: pictures of a folder as ``lantu data build folder`` imports them (decode, scale), and the tokenizer's
batches of 32 from the data that this gives, plain and with the changes of the recipe "anywhere" (moved, mirrored,
tinted), all on one core. Sixteen cores are said to load sixteen times as many: an estimate, for each picture is read by
one process alone and none waits for another, but memory and disk are shared.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from lantu.data.build import build_folder
from lantu.data.contents import load_picture
from lantu.data.folder import find_entries
from lantu.recipes.picture_batches import Changes, PictureBatches

BATCH, CORES = 32, 16


def rate(work: Callable[[int], int], seconds: float) -> float:
    """Pictures a second of CPU time, of ``work(step)``, which returns how many it did."""
    work(0)
    began, done, step = time.process_time(), 0, 1
    while time.process_time() - began < seconds:
        done += work(step)
        step += 1
    return done / (time.process_time() - began)


def works(data: Path, size: int) -> dict[str, Callable[[int], int]]:
    """What loads batches from a data folder: plain, and changed."""
    plain = PictureBatches(data, size, 16, 0, Changes())
    changed = PictureBatches(data, size, 16, 0, Changes(moved=16, tinted=0.2, plain=0.08))
    return {
        "batches": lambda step: len(plain.batch(step, BATCH)),
        "batches, changed": lambda step: len(changed.batch(step, BATCH)),
    }


def importing(pictures: Path, size: int) -> Callable[[int], int]:
    """What imports a picture."""
    entries = find_entries(pictures, captions=False).entries

    def work(step: int) -> int:
        load_picture(entries[step % len(entries)], size, "keep")
        return 1

    return work


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'pixels':>6}  {'what':24}  {'a core':>10}  {'16 cores (estimate)':>20}   pictures a second")
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            data = build_folder(arguments.pictures, Path(folder) / "data", size, workers=1, captions=False)
            for name, work in {"import": importing(arguments.pictures, size), **works(data, size)}.items():
                found = rate(work, arguments.seconds)
                print(f"{size:6}  {name:24}  {found:10,.0f}  {CORES * found:20,.0f}", flush=True)


if __name__ == "__main__":
    main()
