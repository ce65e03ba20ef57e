"""FlashAttention under our language model: torch's flash kernel against the plain one (arXiv:2205.14135).

    python benchmarks/stacks/flash_attention.py [LANGUAGE] [--lengths 256 1024 2048] [--work drawing training] [--json]

Runs transformers' unmodified model twice on the same ids, with scaled_dot_product_attention held to one kernel, and
compares logits and gradients. Memory is what a pass adds at its peak, each in a process of its own: resident bytes on a
CPU, allocated bytes on a GPU. "drawing" reads a prefix, "training" adds the loss's gradients.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

HERE = Path(__file__).parents[2]
WORK = ("drawing", "training")
KERNELS = {"plain": SDPBackend.MATH, "flash": SDPBackend.FLASH_ATTENTION}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.bfloat16 if DEVICE == "cuda" else torch.float32  # flash on a GPU has no float32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", type=Path, nargs="?", default=HERE / "models/lantu-emoji/language")
    parser.add_argument("--lengths", type=int, nargs="+", default=[256, 1024, 2048])
    parser.add_argument("--work", nargs="+", choices=WORK, default=WORK)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    model = load(arguments.language)
    rows = []
    for length in arguments.lengths:
        row: dict[str, Any] = {"length": length, **apart(compare, model, length, arguments.work)}
        for work in arguments.work:
            for kernel in KERNELS:
                seconds, added = apart(peak, model, length, work, kernel)
                row |= {f"{work}_{kernel}_mb": round(added / 1e6, 1), f"{work}_{kernel}_s": round(seconds, 3)}
        rows.append(row)
        if not arguments.json:
            show(row, arguments.work, first=len(rows) == 1)
    if arguments.json:
        print(json.dumps({"device": DEVICE, "dtype": str(DTYPE).removeprefix("torch."), "rows": rows}))


def show(row: dict[str, Any], works: Sequence[str], first: bool) -> None:
    """One line of a table; before the first its head."""
    if first:
        heads = ["ids", "logits differ by", "gradients by"]
        heads += [f"{work}, {kernel}, MB" for work in works for kernel in KERNELS]
        print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    gradients = f"{row['gradients']:.1e}" if "gradients" in row else "–"
    memory = [f"{row[f'{work}_{kernel}_mb']:,.0f}" for work in works for kernel in KERNELS]
    print(f"| {row['length']:,} | {row['logits']:.1e} | {gradients} | {' | '.join(memory)} |", flush=True)


def apart(function: Any, *arguments: Any) -> Any:
    """Call a function in a process of its own, so that none sees another's memory; on a GPU in this one."""
    if DEVICE == "cuda":
        return function(*arguments)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=lambda: sender.send(function(*arguments)))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise SystemExit(f"{function.__name__} ended without a result: out of memory?") from None
    finally:
        process.join()


def load(language: Path) -> Any:
    """The model as transformers opens it."""
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)  # a fork of a process with more would wait for them for ever
    model = AutoModelForCausalLM.from_pretrained(language, dtype=DTYPE, attn_implementation="sdpa")
    return model.to(DEVICE).eval()


def ids_of(model: Any, length: int) -> Tensor:
    """(1, N) ids, the same each time."""
    return torch.randint(model.config.vocab_size, (1, length), generator=torch.Generator().manual_seed(0)).to(DEVICE)


def run(model: Any, ids_BN: Tensor, work: str, kernel: str) -> Tensor:
    """Logits of the last id, (1, V), or the loss after its gradients were computed."""
    with sdpa_kernel(KERNELS[kernel]):
        if work == "drawing":
            with torch.no_grad():
                return model(input_ids=ids_BN, logits_to_keep=1).logits[:, -1]
        loss = model(input_ids=ids_BN, labels=ids_BN).loss
        loss.backward()
        return loss.detach()


def compare(model: Any, length: int, works: Sequence[str]) -> dict[str, Any]:
    """Largest differences, relative to the largest value, and the kernels that torch says it called for flash."""
    ids_BN = ids_of(model, length)
    logits, gradients, called = {}, {}, set()
    for kernel in KERNELS:
        with sdpa_kernel(KERNELS[kernel]), torch.no_grad(), torch.profiler.profile() as profile:
            logits[kernel] = model(input_ids=ids_BN).logits.float()
        if kernel == "flash":
            called = {event.key for event in profile.key_averages() if "_scaled_dot_product" in event.key}
        if "training" in works:
            model.zero_grad()
            run(model, ids_BN, "training", kernel)
            gradients[kernel] = torch.cat([weight.grad.flatten().float() for weight in model.parameters()])
    told: dict[str, Any] = {"kernels": sorted(called), "logits": differ(logits["plain"], logits["flash"])}
    if gradients:
        told["gradients"] = differ(gradients["plain"], gradients["flash"])
    return told


def differ(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((one - other).abs().max() / one.abs().max())


def peak(model: Any, length: int, work: str, kernel: str) -> tuple[float, int]:
    """Seconds of a pass, and the bytes that it needs beyond what is there before it."""
    run(model, ids_of(model, 64), work, kernel)  # what is made once: gradients, buffers of kernels
    ids_BN = ids_of(model, length)
    before = reset()
    started = time.perf_counter()
    run(model, ids_BN, work, kernel)
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, highest() - before


def reset() -> int:
    """Begin a new peak; gives the bytes that are taken now."""
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def highest() -> int:
    """Bytes at the peak since ``reset``."""
    return torch.cuda.max_memory_allocated() if DEVICE == "cuda" else status("VmHWM")


def status(name: str) -> int:
    """A line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
