"""The same model directory drafted by lantu and by engines that know nothing of pictures.

    python benchmarks/stock_engines.py --engines native transformers vllm [--model NAME] [--pictures 1 8 32]

All draw with a guidance that the model has learnt: one row a picture. Rounds are interleaved. The second table asks for
captions of one picture by several readers, whose prefix (the picture) is read once by engines that share it.
Run it where these engines are installed: vLLM has an environment of its own, see docs/backends.md.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lantu.bench.rounds import measure
from lantu.engine.drafting import draft
from lantu.models.lantu.requests import reading
from lantu.pipeline import Model

PROMPTS = ("a cat on the left and a dog on the right", "a red apple", "three apples", "一只猫")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", default=["native", "transformers"])
    parser.add_argument("--model", default="lantu-emoji")
    parser.add_argument("--pictures", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    models = {name: Model.load(arguments.model, "cpu", name) for name in arguments.engines}
    work: dict[tuple[str, str, int], Callable[[], object]] = {}
    for name, model in models.items():
        for count in arguments.pictures:
            work[name, "pictures", count] = lambda model=model, count=count: pictures(model, count)
            work[name, "captions", count] = lambda model=model, count=count: captions(model, count)
    took = measure(work, arguments.rounds)
    print("| engine | pictures | s | pictures/s |\n|---|---|---|---|")
    for (name, what, count), seconds in took.items():
        if what == "pictures":
            spread = f"{seconds.median:.3f} ({seconds.least:.3f} to {seconds.most:.3f})"
            print(f"| {name} | {count} | {spread} | {count / seconds.median:.1f} |")
    print("\n| engine | captions of one picture | s |\n|---|---|---|")
    for (name, what, count), seconds in took.items():
        if what == "captions":
            print(f"| {name} | {count} | {seconds.median:.3f} ({seconds.least:.3f} to {seconds.most:.3f}) |")
    if "vllm" in models:
        shared = captions(models["vllm"], 4)
        print(f"\nvLLM: of a caption's prefix of {shared[0]} ids, {shared[1]} came from its prefix cache")


def pictures(model: Model, count: int) -> list[list[int]]:
    """Drafts of several prompts, nothing kept from one call to the next."""
    requests = [
        model.parts.layout.draw(PROMPTS[number % len(PROMPTS)], model.folder.grid, number, model.folder.settings)
        for number in range(count)
    ]
    if model.parts.backend != "vllm":
        forget(model)
    return draft(model.parts.batched_drafter, requests)


def captions(model: Model, count: int) -> tuple[int, int]:
    """Several captions of one picture; gives the ids of their prefix, and how many of them the last had not to read."""
    started = time.time_ns()  # another picture each time
    codes = np.random.default_rng(started).integers(0, model.folder.codebook_size, model.folder.grid)
    request = reading(codes, "en", model.parts.vocabulary, temperature=1.0)
    if model.parts.backend != "vllm":
        forget(model)
    jobs: list[Any] = []
    engine = model.parts.batched_drafter
    for seed in range(count):
        jobs.append(engine.submit(replace(request, seed=seed)))
        engine.step()  # they come one after another, as readers do
    while engine.step():
        pass
    return len(request.prefix), getattr(jobs[-1], "shared", 0)


def forget(model: Model) -> None:
    """Let go of prefixes that are kept for later."""
    engine: Any = model.parts.batched_drafter
    engine.cached_prefixes, kept = 0, engine.cached_prefixes
    for key in [key for key, prefix in engine.prefixes.items() if not prefix.users]:
        engine.backend.close(engine.prefixes.pop(key).row)
    engine.cached_prefixes = kept


if __name__ == "__main__":
    main()
