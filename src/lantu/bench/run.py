"""The whole measurement."""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lantu.bench import drafting, machine, rendering
from lantu.bench.rounds import Progress, Seconds, measure
from lantu.bench.task import SIZES, WORDS, Drafting, made_up, of_model
from lantu.errors import LantuError
from lantu.models import hub

# Part of the report, name, and number of pictures → work to be timed.
Work = dict[tuple[str, str, int], Callable[[], object]]


def bench(
    model: str | Path | None = None,
    size: str = "small",
    pictures: Sequence[int] = (1, 8),
    rounds: int = 5,
    peers: Sequence[str] | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = print,
    minutes: float = float("inf"),
) -> dict[str, Any]:
    """Time drafting, rendering and whole drawings.

    Args:
        model: whose decoder and whole drawings are timed; the shipped one if not given.
        size: of the random language model that all peers draft with, a key of ``task.SIZES``, or "model" for the
            model's own.
        pictures: batch sizes.
        rounds: that count; one more comes first.
        peers: names of the engines to time; all that are installed if not given.
        progress: told before each piece of work how many are done of how many, and which comes next.
        say: called with a line for each engine that can't be timed, and for each row that got no turn.
        minutes: after so many, no further piece is begun.

    Returns:
        machine, roofline, drafting, decoder, end_to_end: as ``lantu bench --json`` prints them.

    Raises:
        LantuError: an unknown size or peer.
        ModelError: there is no such model.
    """
    until = time.perf_counter() + 60 * minutes
    folder = hub.find(model)
    if size not in (*SIZES, "model"):
        raise LantuError(f"no size {size!r}", f"choose one of {', '.join((*SIZES, 'model'))}")
    drafters = present(drafting.PEERS, peers, say)
    renderers = present(rendering.PEERS, peers, say)
    if not drafters and not renderers:
        raise LantuError("there is no engine to time", f"choose among {', '.join(drafting.PEERS)}")
    say("lantu: measuring the machine, then loading " + ", ".join(dict.fromkeys([*drafters, *renderers])))
    with contextlib.ExitStack() as stack:
        task = of_model(folder.path) if size == "model" else stack.enter_context(made_up(size))
        floor = roofline(task, pictures)
        work = drafting_work(drafters, task, pictures) | rendering_work(renderers, folder, pictures)
        for kind, whole in end_to_end(str(folder.path), stack).items():
            work["end_to_end", kind, 1] = whole
        measured = measure(in_order(work), rounds, progress, until)
    late = [key for key in work if key not in measured]
    for part, name, count in late:
        say(f"lantu: {part}, {name}, {count} at once, got no turn in {minutes:g} minutes; allow more with --minutes")
    described = machine.describe() | {"rounds": rounds, "size": size}
    return {"machine": described, "roofline": floor, **tables(measured), "not_timed": [list(key) for key in late]}


def in_order(work: Work) -> Work:
    """Small batches first, so that a cap on time costs as few rows as it can."""
    return dict(sorted(work.items(), key=lambda item: item[0][2]))


def drafting_work(names: Sequence[str], task: Drafting, pictures: Sequence[int]) -> Work:
    """Drafts of each engine, in each batch size."""
    work: Work = {}
    for name in names:
        draft = drafting.PEERS[name][0](task)
        for count in pictures:
            work["drafting", name, count] = lambda draft=draft, count=count: draft(count)
    return work


def rendering_work(names: Sequence[str], folder: hub.ModelFolder, pictures: Sequence[int]) -> Work:
    """Renderings of random codes by each engine, in each batch size."""
    work: Work = {}
    random = np.random.default_rng(0)
    for name in names:
        render = rendering.PEERS[name][0](folder.path / "decoder")
        for count in pictures:
            codes = random.integers(0, folder.codebook_size, (count, *folder.grid))
            work["decoder", name, count] = lambda render=render, codes=codes: render(codes)
    return work


def tables(measured: Mapping[tuple[str, str, int], Seconds]) -> dict[str, Any]:
    """The measured times as the report has them."""
    report: dict[str, Any] = {"drafting": [], "decoder": [], "end_to_end": {}}
    for (part, name, count), took in measured.items():
        if part == "end_to_end":
            report[part][f"{name}_ms"] = round(1000 * took.median, 1)
        elif part == "decoder":
            report[part].append(row(name, "batch", count, took, 1000))
        else:
            report[part].append(row(name, "pictures", count, took))
    return report


def present(known: dict[str, Any], wanted: Sequence[str] | None, say: Callable[[str], None]) -> list[str]:
    """The names that are wanted and installed.

    Raises:
        LantuError: an unknown name.
    """
    if wanted and (unknown := sorted(set(wanted) - {*drafting.PEERS, *rendering.PEERS})):
        raise LantuError(
            f"no engine called {unknown[0]}", f"choose among {', '.join({**drafting.PEERS, **rendering.PEERS})}"
        )
    names = []
    for name in known:
        if wanted and name not in wanted:
            continue
        if lacks := machine.missing(known[name][1]):
            say(f"lantu: {name} is not timed: {', '.join(lacks)} is not installed")
        else:
            names.append(name)
    return names


def row(name: str, unit: str, count: int, took: Seconds, scale: float = 1) -> dict[str, Any]:
    """A row of a table: the median, least and most of some times."""
    suffix = "s" if scale == 1 else "ms"
    values = {"median": took.median, "min": took.least, "max": took.most}
    ours = name.startswith("lantu") and "torch" not in name
    about = {"precision": machine.our_precision() if ours else machine.precision(), "rounds": took.rounds}
    times = {f"{key}_{suffix}": round(scale * value, 4) for key, value in values.items()}
    return {"name": name, unit: count} | times | about


def roofline(task: Drafting, pictures: Sequence[int]) -> dict[str, Any]:
    """How long drafting would take if every step only read the weights and caches once, or only did the arithmetic.

    Weights and caches are bfloat16, as they are stored. The rate is the best that any library here reaches, in any
    precision.
    """
    from lantu.weights import arrays, manifest
    from lantu.weights.architecture import Sizes

    sizes = Sizes.of(manifest.read("language", task.folder))
    state = arrays.read(task.folder)
    blocks = sum(value.size for name, value in state.items() if ".layers." in name)
    weights = blocks + task.count * sizes.width
    bandwidth, rates = machine.bandwidth_gb_s(2 * weights), machine.matrix_gflop_s()
    rate = max(rates.values())
    floors: dict[str, dict[str, float]] = {"drafting_s": {}, "reading_s": {}, "multiplying_s": {}}
    for count in pictures:
        per_id = 2 * sizes.layers * sizes.key_value_heads * sizes.head_width
        cached = 2 * count * per_id * (len(task.prefix) + task.limit / 2)
        reading = 2 * (weights + cached) / (bandwidth * 1e9)
        multiplying = 2 * weights * 2 * count / (rate * 1e9)
        parts = (max(reading, multiplying), reading, multiplying)
        for name, seconds in zip(floors, parts, strict=True):
            floors[name][str(count)] = round(task.limit * seconds, 4)
    return {
        "bandwidth_gb_s": round(bandwidth, 1),
        "matrix_gflop_s": round(rate),
        "matrix_rates_gflop_s": {name: round(value) for name, value in rates.items()},
        "weights_mb": round(2 * weights / 1e6, 1),
        "codes": task.limit,
        **floors,
    }


def end_to_end(model: str, stack: contextlib.ExitStack) -> dict[str, Callable[[], object]]:
    """A drawing in this process, and a drawing from the shell to the PNG."""
    from lantu.pipeline import Model

    artist = Model.load(model, "cpu")
    place = stack.enter_context(tempfile.TemporaryDirectory())
    command = [sys.executable, "-P", "-m", "lantu", "draw", WORDS, "--seed", "0", "--device", "cpu"]
    command += ["--model", model, "--output", str(Path(place) / "out.png")]
    return {
        "warm": lambda: artist.draw(WORDS, seed=0),
        "cold": lambda: subprocess.run(command, check=True, capture_output=True),
    }
