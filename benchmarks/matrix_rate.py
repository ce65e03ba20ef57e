"""How fast are the kernels' bfloat16 products, on one thread, beside torch's (oneDNN)? python benchmarks/matrix_rate.py

Prints GFLOP/s, the best of 30 rounds, for products of the sizes that drafting and rendering need.
"""

from collections.abc import Callable

import numpy as np
import torch

from lantu import kernels
from lantu.bench.machine import fastest

ROUNDS = 30
SIZES = ((2, 4096, 384), (16, 4096, 384), (64, 1408, 256), (512, 1408, 256), (512, 256, 704))  # rows, outputs, inputs


def rate(work: Callable[[], object], operations: int) -> float:
    return operations / fastest(work, ROUNDS) / 1e9


def main() -> None:
    kernels.use_threads(1)
    torch.set_num_threads(1)
    print(f"{kernels.name()}\n\n| rows | outputs | inputs | kernels | torch |\n|---|---|---|---|---|")
    random = np.random.default_rng(0)
    for rows, outputs, inputs in SIZES:
        weight, x = (random.standard_normal(shape).astype(np.float32) for shape in ((outputs, inputs), (rows, inputs)))
        ours, operations = kernels.linear(weight), 2 * rows * outputs * inputs
        theirs, y = torch.from_numpy(weight).bfloat16(), torch.from_numpy(x).bfloat16()
        mine = rate(lambda ours=ours, x=x: ours(x), operations)
        other = rate(lambda y=y, theirs=theirs: torch.nn.functional.linear(y, theirs), operations)
        print(f"| {rows} | {outputs} | {inputs} | {mine:.0f} | {other:.0f} |", flush=True)


if __name__ == "__main__":
    main()
