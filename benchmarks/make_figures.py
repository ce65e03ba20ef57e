"""The figures and pictures of docs/make.md, from a finished ``lantu make``.

    lantu make PICTURES -o models/mine --work runs/mine --minutes 60
    python benchmarks/make_figures.py runs/mine --pictures docs/pictures/make [--own] [--gpu 100]

Prints Markdown: what each stage took, the rate of each training, scores, and what to expect by number of pictures and
hours. The last table counts how often a training sees each picture at the measured rates; on a GPU by estimate, from
the arithmetic of a picture and ``--gpu``, the TFLOP/s that a training sustains there. With --pictures it also joins
the report's pictures into sheets of a size that a page can show.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lantu.evaluation.results import shown
from lantu.files import replacing
from lantu.recipes.make import curves
from lantu.recipes.make.drawings import PROMPTS, SEEDS
from lantu.recipes.make.plan import LANGUAGE, PARTS, RESERVED, TOKENIZER, recipe_in
from lantu.training.logs import read_log
from lantu.training.progress import duration

PICTURES, HOURS = (40, 400, 4_000, 40_000), (1 / 6, 1, 3, 10)
GAP, WIDE = 4, 1400  # pixels between pictures, and of a sheet at most


def stages(ledger: dict[str, Any]) -> Iterator[str]:
    """What each stage took."""
    yield "| stage | time | processor time |"
    yield "|---|---|---|"
    for name, seconds in ledger["seconds"].items():
        busy = ledger.get("cpu", {}).get(name)
        yield f"| {name} | {duration(seconds)} | {duration(busy) if busy else '?'} |"


def rates(work: Path) -> dict[str, dict[str, float]]:
    """Median samples/s of each training, and GFLOP of a sample where its log says."""
    found = {}
    for part in PARTS:
        log = read_log(work / part)
        speeds = [line["samples_per_s"] for line in log if line.get("samples_per_s")]
        if not speeds:
            continue
        found[part] = {"samples_per_s": float(np.median(speeds))}
        work_done = [line["gflop_per_s"] / line["samples_per_s"] for line in log if line.get("gflop_per_s")]
        if work_done:
            found[part]["gflop"] = float(np.median(work_done))
    return found


def learning(work: Path, found: dict[str, dict[str, float]]) -> Iterator[str]:
    """The rate and the losses of each training."""
    yield "| part | steps | samples/s | least validation loss | with twice the time |"
    yield "|---|---|---|---|---|"
    for part, rate in found.items():
        _, losses = curves.validated(work / part)
        least = f"{losses.min():.3g}" if len(losses) else "–"
        twice = curves.at_twice(work / part)
        more = f"about {twice:.3g}" if twice else curves.why_not(work / part)
        yield f"| {part} | {curves.last(work / part)['step']:,} | {rate['samples_per_s']:.3g} | {least} | {more} |"


def scores(ledger: dict[str, Any]) -> Iterator[str]:
    """The scores beside those of round trips and true pictures."""
    yield "| suite | score | round trip | true pictures | n |"
    yield "|---|---|---|---|---|"
    for name, one in ledger["done"].get("scores", {}).items():
        values = (shown(one[key], one.get("unit", "share")) for key in ("score", "round_trip", "ceiling"))
        yield f"| {name} | {' | '.join(values)} | {one['n']} |"


def expected(found: dict[str, dict[str, float]], tokenizer: float, cores: int, gpu_tflops: float) -> Iterator[str]:
    """How often each training sees each picture, by number of pictures and hours.

    Args:
        tokenizer: its share of the training time.
    """
    yield "| pictures | hours | tokenizer | language model | decoder | on a GPU, language model | decoder |"
    yield "|---|---|---|---|---|---|---|"
    shares = {"tokenizer": tokenizer, "language": 1 - tokenizer, "decoder": 1 - tokenizer}
    if cores == 1:
        shares |= {"language": shares["language"] * LANGUAGE, "decoder": shares["decoder"] * (1 - LANGUAGE)}
    for pictures in PICTURES:
        for hours in HOURS:
            seconds = {part: share * (1 - RESERVED) * 3600 * hours for part, share in shares.items()}
            here = [
                f"{seconds[part] * found[part]['samples_per_s'] / pictures:,.3g}" if part in found else "–"
                for part in PARTS
            ]
            there = [
                f"{seconds[part] * gpu_tflops * 1000 / found[part]['gflop'] / pictures:,.3g}"
                if "gflop" in found.get(part, {})
                else "–"
                for part in PARTS[1:]
            ]
            yield f"| {pictures:,} | {hours:.2g} | {' | '.join([*here, *there])} |"


def sheets(report: Path, out: Path, own: bool) -> Iterator[Path]:
    """Join the report's pictures: a column a caption, drawings above true and nearest ones; copy its other sheets.

    Args:
        own: leave out the pictures of the data, and what shows them.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows = [f"drawn-{{}}-{seed}.png" for seed in range(SEEDS)] + ([] if own else ["true-{}.png", "nearest-{}.png"])
    columns: list[np.ndarray] = []
    for number in range(PROMPTS):
        cells = [report / name.format(number) for name in rows]
        if all(cell.is_file() for cell in cells):
            padded = [
                np.pad(np.asarray(Image.open(cell).convert("RGB")), ((0, GAP), (0, GAP), (0, 0))) for cell in cells
            ]
            columns.append(np.concatenate(padded))
    made = {"drawn.png": Image.fromarray(np.concatenate(columns, 1))} if columns else {}
    others = ("curves.png",) if own else ("round_trips.png", "curves.png", "data.png")
    made |= {name: Image.open(report / name) for name in others}
    for name, picture in made.items():
        picture.thumbnail((WIDE, 4 * WIDE))
        with replacing(out / name) as temporary:
            picture.save(temporary, format="PNG", optimize=True)
        yield out / name


def main() -> None:
    """Print the figures, and write the sheets if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="the --work of a finished lantu make")
    parser.add_argument("--pictures", type=Path, help="folder for the sheets")
    parser.add_argument("--own", action="store_true", help="no pictures of the data, which may not be shown")
    parser.add_argument("--gpu", type=float, default=100.0, help="TFLOP/s that a training sustains on a GPU")
    parser.add_argument("--cores", type=int, default=2, help="of the machine that it ran on")
    arguments = parser.parse_args()
    ledger = json.loads((arguments.work / "make.json").read_text(encoding="utf-8"))
    found = rates(arguments.work)
    blocks = (
        stages(ledger),
        learning(arguments.work, found),
        scores(ledger),
        expected(found, TOKENIZER[recipe_in(ledger["commands"]["tokenizer"])], arguments.cores, arguments.gpu),
    )
    for lines in blocks:
        print("\n".join(lines), end="\n\n")
    if arguments.pictures:
        for path in sheets(arguments.work / "report", arguments.pictures, arguments.own):
            print(path)


if __name__ == "__main__":
    main()
