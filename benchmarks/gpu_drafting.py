"""Drafting on torch at 1, 8 and 64 pictures, beside the bandwidth roofline: python benchmarks/gpu_drafting.py --size 1b

A random Llama as in outside_lm.py, bfloat16 on a GPU. Set LANTU_CUDA_GRAPHS=1 to record steps as CUDA graphs. Prints
ids a second of all pictures together, and the share of the rate at which the weights alone could be read; prints a
digest of the greedy ids, which must be the same with and without graphs.
"""

import argparse
import hashlib
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from outside_lm import IDS, SIZES, save

from lantu.bench.task import CODES, PROMPT, Drafting
from lantu.engine.backends.pytorch import Language
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine


def bandwidth_gb_s(device: str) -> float:
    """The rate of reading a large tensor."""
    numbers = torch.ones((1 << 30 if device == "cuda" else 1 << 24) // 2, dtype=torch.bfloat16, device=device)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        float(numbers.sum())
        best = max(best, 2 * numbers.numel() / (time.perf_counter() - started))
    return best / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="1b")
    parser.add_argument("--ids", type=int, default=128)
    parser.add_argument("--pictures", type=int, nargs="+", default=[1, 8, 64])
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as place:
        save(Path(place), options.size)
        language = Language.load(place, torch.bfloat16 if device == "cuda" else torch.float32, device)
    width, layers, heads, key_value_heads, inner = SIZES[options.size]
    attention = 2 * width * width + 2 * width * width * key_value_heads // heads
    weights = layers * (attention + 3 * width * inner) + CODES * width
    prefix = tuple(range(3, PROMPT + 3))
    task = Drafting(Path(), prefix, prefix[::-1], IDS - CODES, CODES, options.ids)
    engine = Engine(language, cached_prefixes=0, max_jobs=64)
    greedy = draft(engine, [replace(task.request(0), temperature=0.0)])
    print(
        f"{device}, {bandwidth_gb_s(device):.0f} GB/s, greedy {hashlib.sha256(str(greedy).encode()).hexdigest()[:12]}"
    )
    for pictures in options.pictures:
        requests = [task.request(seed) for seed in range(pictures)]
        seconds = []
        for _ in range(3):  # the first records graphs
            started = time.perf_counter()
            draft(engine, requests)
            seconds.append(time.perf_counter() - started)
        step = min(seconds) / options.ids
        floor = 2 * weights / (bandwidth_gb_s(device) * 1e9)
        print(
            f"{pictures} pictures: {pictures / step:.0f} ids/s, {1e3 * step:.2f} ms a step, {100 * floor / step:.0f} %"
        )


if __name__ == "__main__":
    main()
