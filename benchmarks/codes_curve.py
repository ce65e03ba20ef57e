"""What does a picture of fewer codes lose, and how much sooner is it there? Quality and seconds against their number.

    python benchmarks/codes_curve.py --model DIR [--data DIR] [--codes 4 8 16] [--limit 64] [--out DIR] [--json]

For a model whose pictures are sequences of codes, any prefix of which makes a picture (docs/codes.md). By default from
the fewest codes that it has learnt up to all, twice as many each time. Round trips: true pictures are encoded and
rendered from their first N codes; "recognised" is the share whose things the judge finds where they were, beside PSNR
and LPIPS. Drawings: the share of prompts of which N codes show what was asked for. Seconds: the median of a picture
alone. Writes codes.json, codes.md and codes.png to --out; counts that codes.json has already are not measured again.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lantu import recipes
from lantu.errors import LantuError
from lantu.files import replacing, write_json, write_text
from lantu.models.validation import check_count
from lantu.pipeline import Model
from lantu.training.machine import prepare

SUITES = ("single", "pairs")
TIMED = 7  # drawings of which the median's seconds are told
COLUMNS = {
    **{"codes": "codes", "recognised": "recognised", "psnr": "PSNR, dB", "lpips": "LPIPS"},
    **{suite: suite for suite in SUITES},
    **{"draft_s": "draft, s", "render_s": "render, s"},
}


def counts_of(model: Model, wanted: list[int] | None) -> list[int]:
    """The numbers of codes to measure.

    Raises:
        LantuError: the model has not learnt one of them, or draws from all its codes alone.
    """
    most = model.folder.draft_length
    if not wanted:
        check_count(most, model.folder)
        wanted = [model.folder.prefixes]
        while wanted[-1] < most:
            wanted.append(min(2 * wanted[-1], most))
    for count in wanted:
        check_count(count, model.folder)
    return wanted


def measured(model: Model, data: Path | None, count: int, limit: int, seed: int) -> dict[str, Any]:
    """The figures of one number of codes."""
    scores = recipes.evaluate(model, data, ("reconstruction", *SUITES), limit, seed, num_codes=count)
    trip = scores["reconstruction"]
    row: dict[str, Any] = {"codes": count, "recognised": trip["score"], "n": trip["n"]}
    row |= {name: trip["details"]["score"][name] for name in ("psnr", "lpips")}
    row |= {suite: scores[suite]["score"] for suite in SUITES}
    row |= {f"{suite}_ceiling": scores[suite]["ceiling"] for suite in SUITES}
    model.draw("a cat", seed=0, codes=count)
    timings = [model.draw("a cat", seed=number, codes=count).timings_ms for number in range(TIMED)]
    for name, stage in (("draft_s", "plan"), ("render_s", "render")):
        row[name] = round(statistics.median(timing[stage] for timing in timings) / 1000, 4)
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [f"| {' | '.join(COLUMNS.values())} |", f"|{'---|' * len(COLUMNS)}"]
    shares = ("recognised", *SUITES)
    digits = {"psnr": ".2f", "lpips": ".3f", "draft_s": ".3f", "render_s": ".3f"} | dict.fromkeys(shares, ".1%")
    lines += [f"| {' | '.join(format(row[name], digits.get(name, '')) for name in COLUMNS)} |" for row in rows]
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Quality, and seconds, against the number of codes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (quality, distance, seconds) = pyplot.subplots(1, 3, figsize=(12, 3.6))
    codes = np.array([row["codes"] for row in rows])
    for name in ("recognised", *SUITES):
        quality.plot(codes, [100 * row[name] for row in rows], "o-", label=name)
    quality.set(ylabel="right, % of trials", ylim=(0, 100))
    distance.plot(codes, [row["lpips"] for row in rows], "o-", label="LPIPS of round trips")
    distance.set(ylabel="LPIPS", ylim=(0, None))
    seconds.plot(codes, [row["draft_s"] + row["render_s"] for row in rows], "o-", label="a picture")
    seconds.plot(codes, [row["render_s"] for row in rows], "o-", label="of which rendering")
    seconds.set(ylabel="seconds", ylim=(0, None))
    for axes in (quality, distance, seconds):
        axes.set_xscale("log", base=2)
        axes.set_xticks(codes, list(map(str, codes)))
        axes.set_xlabel("codes")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, help="composed scenes; those that the model was trained on if not given")
    parser.add_argument(
        "--codes", type=int, nargs="+", help="from the fewest to all, twice as many each time, if not given"
    )
    parser.add_argument("--limit", type=int, default=64, help="trials of each suite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("codes-curve"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    prepare()
    try:
        model = Model.load(arguments.model, "cpu")
        counts = counts_of(model, arguments.codes)
    except LantuError as problem:
        print(f"codes_curve.py: {problem}", file=sys.stderr)
        sys.exit(2)
    file = arguments.out / "codes.json"
    about = {"model": model.digest, "limit": arguments.limit, "seed": arguments.seed}
    before = json.loads(file.read_text()) if file.exists() else {}
    known = {row["codes"]: row for row in before["rows"]} if {name: before.get(name) for name in about} == about else {}
    for count in counts:
        if count not in known:
            known[count] = measured(model, arguments.data, count, arguments.limit, arguments.seed)
            print(f"{count} codes: {known[count]}", file=sys.stderr, flush=True)
        write_json(file, about | {"rows": [known[done] for done in sorted(known)]})
    rows = [known[count] for count in counts]
    write_text(arguments.out / "codes.md", table(rows) + "\n")
    plot(rows, arguments.out / "codes.png")
    print(json.dumps(about | {"rows": rows}) if arguments.json else table(rows))


if __name__ == "__main__":
    main()
