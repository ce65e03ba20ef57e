"""All tables of docs/speed.md for the machine that this runs on, as a section to paste there.

    python benchmarks/speed_table.py --out DIR [--minutes 20] [--rounds 3] [--quick]

Run it on an idle machine; its load before and after is printed, and the load between belongs to the measurement. Ratios
hold on a busy machine too, since each is of two turns one after the other. DIR gets bench.json, bench.md, bench.png and
speed.md. --quick times only what the targets need: lantu, OpenVINO and transformers' generate.

Targets: the decoder at most 0.91 of OpenVINO's time at batch 1 and level at 8; eight pictures at 60 % of the roofline.
"""

import argparse
import datetime
import sys
from pathlib import Path
from typing import Any

import draw_latency

from lantu.bench import bench, report
from lantu.files import write_json, write_text
from lantu.training.machine import prepare

QUICK = ("lantu", "OpenVINO", "transformers generate", "lantu (guidance learnt)")


def targets(figures: dict[str, Any]) -> list[str]:
    """Rows that compare the figures with what is asked for; "not timed" where there is no figure."""
    decoder = {(row["name"], row["batch"]): row["ratio"] for row in figures["decoder"]}
    drafting = {(row["name"], row["pictures"]): row for row in figures["drafting"]}
    floor = figures["roofline"]["drafting_s"]
    asked = []
    for batch, most in ((1, 0.91), (8, 1.0)):
        theirs = decoder.get(("OpenVINO", batch))
        asked.append((f"decoder, batch {batch}, of OpenVINO's time", theirs and 1 / theirs, f"at most {most}"))
    for pictures, least in ((1, ""), (8, "at least 0.60")):
        ours = drafting.get(("lantu", pictures))
        asked.append((f"drafting {pictures}, of the roofline", ours and floor[str(pictures)] / ours["median_s"], least))
        theirs = drafting.get(("transformers generate", pictures))
        asked.append(
            (
                f"generate's time, of lantu's, {pictures}",
                theirs and theirs["ratio"],
                "at least 5" if pictures == 1 else "",
            )
        )
    return [
        f"| {name} | {value:.2f} | {wish} |" if value else f"| {name} | not timed | {wish} |"
        for name, value, wish in asked
    ]


def section(figures: dict[str, Any], latency: str) -> str:
    """A machine's section of docs/speed.md."""
    about, today = figures["machine"], datetime.datetime.now(datetime.UTC).date()
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    rates = ", ".join(f"{name} {rate}" for name, rate in figures["roofline"]["matrix_rates_gflop_s"].items())
    return "\n".join(
        [
            f"## {about['processor']}, {about['cores']} cores, {about['kernels']}",
            "",
            f"{today}, load {about['load']}, {packages}.",
            f"Rates in GFLOP/s: {rates}. The roofline takes the highest.",
            "",
            report.markdown(figures),
            "| of what | reached | our target |",
            "|---|---|---|",
            *targets(figures),
            "",
            latency,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="lantu-emoji")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    prepare()  # restarts once, as `lantu bench` does
    latency = draw_latency.table(arguments.model, 9)  # first, while nothing else holds memory
    figures = bench(
        arguments.model,
        rounds=arguments.rounds,
        peers=QUICK if arguments.quick else None,
        progress=lambda done, total, key: print(f"{done} of {total}: {key}", file=sys.stderr, flush=True),
        say=lambda line: print(line, file=sys.stderr, flush=True),
        minutes=arguments.minutes,
    )
    write_json(arguments.out / "bench.json", figures)
    write_text(arguments.out / "bench.md", report.markdown(figures))
    write_text(arguments.out / "speed.md", section(figures, latency))
    report.chart(figures, arguments.out / "bench.png")
    print(section(figures, latency))


if __name__ == "__main__":
    main()
