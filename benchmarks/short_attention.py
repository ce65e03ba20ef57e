"""From what length on is flash attention the faster one to train? python benchmarks/short_attention.py

Milliseconds of a forward and a backward pass of causal attention (4 heads of 64), by torch's flash attention and by
matrix products (``lantu.training.short_attention``), and their ratio; then of an update of a language model of the
shipped one's sizes (32 documents of 96 ids, in bf16, without the optimizer). The least of five, in one process by
turns, one thread.
"""

import contextlib
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

IDS = 2048  # of all sequences together, so that lengths are comparable
LENGTHS = (16, 64, 96, 128, 144, 160, 192, 256, 512)
ROUNDS = 5


def main() -> None:
    from lantu.training.machine import prepare

    prepare()
    torch.set_num_threads(1)
    print("| length | dtype | flash, ms | products, ms | ratio |\n|---|---|---|---|---|")
    for dtype in (torch.bfloat16, torch.float32):
        for length in LENGTHS:
            shape = (IDS // length, 4, length, 64)
            flash, products = (
                min(seconds[1:]) * 1e3
                for seconds in zip(*(measure(shape, dtype) for _ in range(ROUNDS + 1)), strict=True)
            )
            ratio = f"{products / flash:.2f}"
            print(f"| {length} | {str(dtype)[6:]} | {flash:.1f} | {products:.1f} | {ratio} |", flush=True)
    flash, products = language()
    print(f"| 96, a language model | bfloat16 | {flash:.0f} | {products:.0f} | {products / flash:.2f} |")


def measure(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[float, float]:
    """Seconds by flash attention and by products."""
    found = []
    parts = [torch.randn(shape).to(dtype).requires_grad_() for _ in range(3)]
    gradient = torch.randn(shape).to(dtype)
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH):
        with sdpa_kernel(backend):
            began = time.perf_counter()
            F.scaled_dot_product_attention(*parts, is_causal=True).backward(gradient)
            found.append(time.perf_counter() - began)
    return found[0], found[1]


def language() -> tuple[float, float]:
    """Milliseconds of a language model's forward and backward pass by flash attention and by products."""
    from lantu.models.lantu.language.model import make
    from lantu.tokens.vocabulary import Vocabulary
    from lantu.training.short_attention import short_attention

    model = make(Vocabulary(2048, 4096), width=256, layers=8, heads=4, grid=(8, 8))
    ids = torch.randint(0, model.config.vocab_size, (32, 96))
    found: list[list[float]] = [[], []]
    for _ in range(ROUNDS + 1):
        for seconds, how in zip(found, (contextlib.nullcontext, short_attention), strict=True):
            model.zero_grad()
            began = time.perf_counter()
            with how():
                with torch.autocast("cpu", torch.bfloat16):
                    loss = model(input_ids=ids, labels=ids, use_cache=False).loss
                loss.backward()
            seconds.append(time.perf_counter() - began)
    return min(found[0][1:]) * 1e3, min(found[1][1:]) * 1e3


if __name__ == "__main__":
    main()
