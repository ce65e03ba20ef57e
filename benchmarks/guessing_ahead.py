"""What guessing codes ahead saves, and what it costs when wrong guesses are taken.

    python benchmarks/guessing_ahead.py [--model NAME] [--data DIR] [--count 16] [--limit 64]

First table, what a pass costs: of a guided pair of rows, by model size and guesses, 128 ids read before. Second, exact
drafts of the model: passes and time of a picture, the share of tested guesses that were right, and beside it the
share that acceptance by chance would take (arXiv:2410.01699: the overlap of the distribution that a guess was drawn
from with the one that it is tested by). Third, with --data: scores where a pass must take more codes than were right.
"""

import argparse
import statistics
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lantu.bench.task import made_up
from lantu.data.trials import trials
from lantu.engine.backends.native import Language
from lantu.engine.engine import Engine, Job
from lantu.pipeline import Model
from lantu.recipes.scores import composer_of, evaluate

AHEAD = (0, 2, 4, 8, 16, 32)
LEAST = ((8, 1), (8, 2), (8, 4), (8, 8), (16, 16))  # num_draft_tokens, min_accepted
SUITES = ("single", "pairs", "counts")
ROUNDS = 3


@dataclass
class Watched:
    """A backend, and how its draws' distributions overlap with those that guesses were drawn from."""

    backend: Any
    former: dict[int, np.ndarray] = field(default_factory=dict)  # place in the draft → distribution
    overlaps: dict[int, float] = field(default_factory=dict)
    place: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def choose(self, draws: list[Any]) -> list[int]:
        drawn = self.backend.choose(draws)
        for at, draw in enumerate(draws):
            now = distribution(self.backend, draw)
            if (before := self.former.get(self.place + at)) is not None:
                self.overlaps[self.place + at] = float(np.minimum(now, before).sum())
            self.former[self.place + at] = now
        return drawn


def distribution(backend: Any, draw: Any) -> np.ndarray:
    """What an id is drawn from, (V)."""
    logits = backend.logits([draw.row], draw.ranges, [draw.back])[0].astype(np.float64)
    if draw.unconditional is not None:
        other = backend.logits([draw.unconditional], draw.ranges, [draw.back])[0]
        logits = other + draw.guidance * (logits - other)
    if draw.top_k:
        logits[logits < np.partition(logits, -draw.top_k)[-draw.top_k]] = -np.inf
    shares = np.exp((logits - logits.max()) / draw.temperature)
    return shares / shares.sum()


def run(engine: Engine, request: Any) -> Job:
    job = engine.submit(request)
    while engine.step():
        pass
    return job


def tested(backend: Any, request: Any) -> tuple[list[bool], list[float]]:
    """Of every guess that was drawn before and tested: whether it was right, and the chance that it would be taken."""
    watched = Watched(backend)
    engine = Engine(watched, cached_prefixes=0)
    job = engine.submit(request)
    right, chances = [], []
    while True:
        watched.place, before, watched.overlaps = len(job.ids), len(job.ids), {}
        if not engine.step():
            return right, chances
        # All ids that were taken but the last were guessed right; the last was guessed wrong, if it was guessed at all.
        for place in range(before, len(job.ids)):
            if place in watched.overlaps:  # was drawn before, which made it a guess
                right.append(place < len(job.ids) - 1)
                chances.append(watched.overlaps[place])


def pass_times() -> None:
    """What reading guesses costs, with weights that were made up."""
    print("| size | " + " | ".join(f"{ahead} guesses, ms" for ahead in AHEAD) + " |\n|---|" + "---|" * len(AHEAD))
    for size in ("small", "medium"):
        with made_up(size) as task:
            language = Language.load(task.folder)
            medians = []
            for ahead in AHEAD:
                pair = [language.open(256) for _ in range(2)]
                language.read(pair, [[1] * 128] * 2)
                took = []
                for _ in range(20):
                    started = time.perf_counter()
                    language.read(pair, [[2] * (1 + ahead)] * 2)
                    took.append(1000 * (time.perf_counter() - started))
                    for row in pair:
                        language.rewind(row, 128)
                medians.append(f"{statistics.median(took):.2f}")
            print(f"| {size} | {' | '.join(medians)} |", flush=True)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lantu-emoji")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--limit", type=int, default=64)
    arguments = parser.parse_args()
    pass_times()
    model = Model.load(arguments.model, "cpu")
    language, grid = model.parts.language, model.folder.grid
    language.tokens_per_pass = 1000  # as many guesses as are asked for, whether they pay or not
    prompts = ["a cat on the left and a dog on the right", "a red apple", "three apples", "左边一架钢琴，右边一面鼓"]
    if arguments.data:
        composer = composer_of(model, arguments.data)
        prompts = [trial.prompt for trial in trials(composer, "pairs", arguments.count, seed=3)]
    layout, params = model.parts.layout, model.folder.settings
    requests = [layout.draw(prompt, grid, seed, params) for seed, prompt in enumerate(prompts)]
    expected = [run(Engine(language, cached_prefixes=0), request).ids for request in requests]
    print("| guesses | passes | right of those tested | taken by chance | ms a picture | the same codes |")
    print("|---|---|---|---|---|---|")
    for ahead in AHEAD:
        asked = [replace(request, num_draft_tokens=ahead) for request in requests]
        took, jobs = [], []
        for _ in range(ROUNDS):
            for request in asked:
                started = time.perf_counter()
                jobs.append(run(Engine(language, cached_prefixes=0), request))
                took.append(1000 * (time.perf_counter() - started))
        pairs = [tested(language, request) for request in asked] if ahead else []
        right = [value for each, _ in pairs for value in each]
        chances = [value for _, each in pairs for value in each]
        shares = [f"{np.mean(right):.0%}" if right else "", f"{np.mean(chances):.0%}" if chances else ""]
        passes = statistics.mean(job.passes for job in jobs)
        same = [job.ids for job in jobs] == expected * ROUNDS
        print(f"| {ahead} | {passes:.1f} | {' | '.join(shares)} | {statistics.median(took):.1f} | {same} |", flush=True)
    if not arguments.data:
        return
    print("\n| guesses | taken at least | passes | single | pairs | counts |\n|---|---|---|---|---|---|")
    for ahead, least in LEAST:
        params = {"num_draft_tokens": ahead, "min_accepted": least}
        jobs = [run(Engine(language, cached_prefixes=0), replace(request, **params)) for request in requests]
        scores = evaluate(model, arguments.data, SUITES, arguments.limit, **params)
        shares = " | ".join(f"{scores[suite]['score']:.1%}" for suite in SUITES)
        print(f"| {ahead} | {least} | {statistics.mean(job.passes for job in jobs):.1f} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
