"""What does torch's MKL gain by AVX2 on AMD's processors (``lantu.kernels.mkl``)? python benchmarks/mkl_on_amd.py

Processor time of one thread, with and without, in processes by turns: matrix products of the sizes of training, and an
update of the shipped language model's sizes on 16 captioned pictures. Prints medians and their ratio.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable

ROUNDS = 5
PRODUCTS = ((2880, 256, 704), (2880, 704, 256), (2880, 256, 6272), (704, 2880, 256))  # rows, inputs, outputs
SECONDS = 0.5


def main() -> None:
    if sys.argv[1:] == ["child"]:
        print(json.dumps(measure()))
        return
    found: dict[str, list[dict[str, float]]] = {"as-is": [], "": []}
    for _ in range(ROUNDS):
        for setting, results in found.items():
            environment = os.environ | {"LANTU_MKL": setting, "OMP_NUM_THREADS": "1"}
            run = [sys.executable, __file__, "child"]
            printed = subprocess.run(run, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
            results.append(json.loads(printed))
    print("| | MKL as it is | with AVX2 | |\n|---|---|---|---|")
    for name in found[""][0]:
        before, after = (statistics.median(result[name] for result in found[key]) for key in ("as-is", ""))
        print(f"| {name} | {before:.3g} | {after:.3g} | {after / before:.2f} |", flush=True)


def measure() -> dict[str, float]:
    """GFLOP/s of each product, and of an update: of processor time."""
    import lantu.recipes  # noqa: F401, before torch

    import torch  # isort: skip

    torch.set_num_threads(1)
    rates = {}
    for rows, inputs, outputs in PRODUCTS:
        x, weight = torch.randn(rows, inputs), torch.randn(outputs, inputs)
        rate = 2e-9 * rows * inputs * outputs / seconds(lambda x=x, weight=weight: x @ weight.T)
        rates[f"{rows} × {inputs} × {outputs}, GFLOP/s"] = rate
    return rates | {"documents a second": 16 / seconds(update())}


def update() -> Callable[[], None]:
    """An update of a language model of the shipped one's sizes."""
    import torch

    from lantu.models.lantu.language.model import make
    from lantu.tokens.vocabulary import Vocabulary

    model = make(Vocabulary(2048, 4096), width=256, layers=8, heads=4, grid=(8, 8))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    ids = torch.randint(0, model.config.vocab_size, (16, 90))

    def step() -> None:
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    work()
    began, count = used(), 0
    while used() - began < SECONDS:
        work()
        count += 1
    return (used() - began) / count


def used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
