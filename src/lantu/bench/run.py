"""The whole measurement."""

import contextlib
import functools
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lantu.bench import drafting, machine, rendering
from lantu.bench.peers import Peer
from lantu.bench.roofline import Peaks, Work, roofline
from lantu.bench.rounds import spread
from lantu.bench.task import SIZES, WORDS, Drafting, made_up, of_model
from lantu.bench.turns import Key, Progress, Row, Timed, Turns
from lantu.errors import LantuError
from lantu.models import hub

TRIED = 4  # codes that a first run drafts, twice: to compile, and to see how long a whole picture will take


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
        rounds: turns of each row, after a first run to warm up.
        peers: names of the engines to time; all that are installed if not given.
        progress: told before each turn how many are done of how many, and which row comes next.
        say: called with a line for each engine that can't be timed, and for each row that got no turn.
        minutes: nothing is begun that isn't expected to end within so many.

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
    say("lantu: measuring the machine, then " + ", ".join(dict.fromkeys([*drafters, *renderers])))
    with contextlib.ExitStack() as stack:
        task = of_model(folder.path) if size == "model" else stack.enter_context(made_up(size))
        work = Work.of(task)
        peaks = Peaks.measure(work)
        rows = drafting_rows(drafters, task, pictures) | rendering_rows(renderers, folder, pictures)
        turns = Turns(rows | end_to_end(str(folder.path), stack), rounds, until, progress, slowdown=machine.slowdown())
        turns.run()
        if time.perf_counter() < until:
            peaks |= Peaks.measure(work)  # again, in case something slowed it the first time
    described = machine.describe() | {"rounds": rounds, "size": size}
    report = {"machine": described, "roofline": roofline(work, peaks, pictures), **tables(turns.timed)}
    late = turns.late()
    return report | {"not_timed": [list(key) for key in late], "no_time": no_time(late, minutes, say)}


def no_time(late: Mapping[Key, float], minutes: float, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """The rows without a turn: the seconds that each would take, and the minutes to allow for it and those before."""
    rows, total = [], 60 * minutes
    for (part, name, count), needs in late.items():
        total += needs
        allow = max(math.ceil(total / 60), math.floor(minutes) + 1)
        rows.append({"part": part, "name": name, "count": count, "needs_s": round(needs, 1), "minutes": allow})
        about = f"it needs about {needs:.0f} s" if needs else "nothing ran that could tell how long it takes"
        say(f"lantu: {part}, {name}, {count} at once: no time; {about}: --minutes {allow}")
    return rows


def reference(part: str, name: str, count: int, names: Sequence[str]) -> Key | None:
    """Lantu's row of as many pictures."""
    return (part, "lantu", count) if name != "lantu" and "lantu" in names else None


def drafting_rows(names: Sequence[str], task: Drafting, pictures: Sequence[int]) -> dict[Key, Row]:
    """Drafts of each engine, in each batch size."""
    rows: dict[Key, Row] = {}
    for name in names:
        peer = drafting.PEERS[name]
        load = functools.cache(lambda peer=peer: peer.load(task))
        for count in pictures:
            rows["drafting", name, count] = row_of(
                peer,
                load,
                lambda load=load, count=count: attempt(load(), count, task.limit),
                lambda load=load, count=count: load()(count, task.limit),
                reference("drafting", name, count, names),
            )
    return rows


def attempt(draft: drafting.Draft, count: int, limit: int) -> float:
    """Draft a few codes, then as many again: the seconds that all codes of a picture would take at that speed."""
    codes = min(TRIED, limit)
    draft(count, codes)
    started = time.perf_counter()
    draft(count, codes)
    return (time.perf_counter() - started) * limit / codes


def rendering_rows(names: Sequence[str], folder: hub.ModelFolder, pictures: Sequence[int]) -> dict[Key, Row]:
    """Renderings of random codes by each engine, in each batch size."""
    rows: dict[Key, Row] = {}
    random = np.random.default_rng(0)
    for name in names:
        peer = rendering.PEERS[name]
        load = functools.cache(lambda peer=peer: peer.load(folder.path / "decoder"))
        for count in pictures:
            codes = random.integers(0, folder.codebook_size, (count, *folder.grid))
            work = functools.partial(lambda load, codes: load()(codes), load, codes)
            rows["decoder", name, count] = row_of(
                peer, load, functools.partial(twice, work), work, reference("decoder", name, count, names)
            )
    return rows


def twice(work: Callable[[], object]) -> float:
    """Do it once to compile and fill caches, and again: the seconds of the second time."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def row_of(
    peer: Peer[Any, Any],
    load: Callable[[], object],
    attempt: Callable[[], float],
    work: Callable[[], object],
    beside: Key | None,
) -> Row:
    """A row of a peer, with what is guessed of it."""
    return Row(load, attempt, work, beside, peer.warming, peer.slower)


def tables(timed: Mapping[Key, Timed]) -> dict[str, Any]:
    """The measured times as the report has them."""
    report: dict[str, Any] = {"drafting": [], "decoder": [], "end_to_end": {}}
    for (part, name, count), times in timed.items():
        if part == "end_to_end":
            report[part][f"{name}_ms"] = round(1000 * spread(times.seconds).median, 1)
        elif part == "decoder":
            report[part].append(row(name, "batch", count, times, 1000))
        else:
            report[part].append(row(name, "pictures", count, times))
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
        if lacks := machine.missing(known[name].needs):
            say(f"lantu: {name} is not timed: {', '.join(lacks)} is not installed")
        else:
            names.append(name)
    return names


def row(name: str, unit: str, count: int, times: Timed, scale: float = 1) -> dict[str, Any]:
    """A row of a table: the median, least and most of some times, and the median ratio to lantu's."""
    suffix, took = "s" if scale == 1 else "ms", spread(times.seconds)
    values = {"median": took.median, "min": took.least, "max": took.most}
    ours = name.startswith("lantu") and "torch" not in name
    ratio = times.ratio if times.ratio is not None else (1.0 if name == "lantu" else None)
    about: dict[str, Any] = {"precision": machine.our_precision() if ours else machine.precision()}
    about |= {"rounds": took.rounds, "ratio": ratio if ratio is None else round(ratio, 3)}
    return (
        {"name": name, unit: count}
        | {f"{key}_{suffix}": round(scale * value, 4) for key, value in values.items()}
        | about
    )


def end_to_end(model: str, stack: contextlib.ExitStack) -> dict[Key, Row]:
    """A drawing in this process, and a drawing from the shell to the PNG."""

    @functools.cache
    def artist() -> Any:
        from lantu.pipeline import Model

        return Model.load(model, "cpu")

    place = stack.enter_context(tempfile.TemporaryDirectory())
    command = [sys.executable, "-P", "-m", "lantu", "draw", WORDS, "--seed", "0", "--device", "cpu"]
    command += ["--model", model, "--output", str(Path(place) / "out.png")]

    def warm() -> None:
        artist().draw(WORDS, seed=0)

    def cold() -> None:
        subprocess.run(command, check=True, capture_output=True)

    return {
        ("end_to_end", "warm", 1): Row(artist, warm, warm),
        ("end_to_end", "cold", 1): Row(lambda: None, cold, cold),
    }
