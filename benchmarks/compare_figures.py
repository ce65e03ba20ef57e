"""The figures and pictures of docs/compare.md, from a finished ``lantu compare``.

    lantu compare -o runs/compare
    python benchmarks/compare_figures.py runs/compare --pictures docs/pictures

Prints Markdown: the table, a row a figure; the curves, a row a budget; the repetitions at the smallest budget; where
the operations went. With --pictures it also writes compared.png (the same prompts at the largest budget, drawn by each
system below true pictures) and compared_curves.png.

    python benchmarks/compare_figures.py runs/compare --so-far --pictures docs/pictures

prints what an unfinished one has scored at its largest budget, and writes compared_so_far.png.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from lantu.files import replacing
from lantu.recipes.compare import page
from lantu.recipes.compare.columns import rows
from lantu.recipes.compare.systems import SYSTEMS

SIDE, GAP, NAME = 128, 6, 190  # pixels of a drawing, between drawings, of a system's name
SHOWN = 8  # prompts

Systems = Mapping[str, Mapping[str, Any]]


def markdown(lines: list[tuple[str, ...]]) -> Iterator[str]:
    """A table; the first line is its head."""
    for number, line in enumerate(lines):
        yield f"| {' | '.join(line)} |"
        if number == 0:
            yield "|" + "---|" * len(line)


def curves(systems: Systems) -> list[tuple[str, ...]]:
    """Scene score and Fréchet distance of each system at each budget."""
    lines = [("system", "operations", "scene score", "Fréchet distance")]
    for name, one in systems.items():
        for point in one["curve"]:
            score, distance = (shown(point.get(entry), unit) for entry, unit in (("score", "%"), ("frechet", "")))
            lines.append((name, f"{point['flops']:.2g}", score, distance))
    return lines


def shown(figure: Mapping[str, Any] | None, unit: str) -> str:
    """A value with its interval."""
    if not figure:
        return "–"
    values = (figure["value"], *figure["interval"])
    value, low, high = (f"{100 * each:.1f}" if unit else f"{each:,.0f}" for each in values)
    return f"{value}{' %' if unit else ''} [{low}, {high}]"


def repetitions(systems: Systems) -> list[tuple[str, ...]]:
    """Every run of the smallest budget."""
    lines = [
        ("system", "varied", "value", "last loss", "scene score", "Fréchet distance", "gradient norm ±", "diverged")
    ]
    for name, one in systems.items():
        for kind, entry in (("seeds", "seed"), ("rates", "rate"), ("weights", "weight")):
            for run in (one.get("stability") or {}).get(kind, {}).get("each", ()):
                figures = [page.number(run[key]) for key in ("loss", "score", "frechet", "norm_spread")]
                lines.append((name, entry, f"{run[entry]:g}", *figures, run["diverged"] or "no"))
    return lines


def spent(systems: Systems) -> list[tuple[str, ...]]:
    """Updates of each part at the largest budget, and seconds of training."""
    lines = [("system", "updates", "seconds of training")]
    for name, one in systems.items():
        steps = ", ".join(f"{part} {count:,}" for part, count in one.get("steps", {}).items())
        lines.append((name, steps, f"{one.get('training_s', 0):,.0f}"))
    return lines


def sheet(systems: Systems) -> Image.Image:
    """The same prompts at the largest budget: true pictures, then a row a system; a bar marks what is right."""
    last = {name: list(one["pictures"].values())[-1:] for name, one in systems.items()}
    drawn = {name: pictures[0][:SHOWN] for name, pictures in last.items() if pictures and pictures[0]}
    if not drawn:
        raise SystemExit("no system has drawn anything")
    first = next(iter(drawn.values()))
    files = {"true pictures": [(one["true"], None) for one in first]}
    files |= {name: [(one["file"], one["right"]) for one in pictures] for name, pictures in drawn.items()}
    step = SIDE + GAP
    made = Image.new("RGB", (NAME + step * len(first), step * len(files)), "white")
    pen, font = ImageDraw.Draw(made), ImageFont.load_default(14)
    for row, (name, pictures) in enumerate(files.items()):
        pen.text((4, row * step + SIDE // 2 - 8), name, "black", font)
        for column, (file, right) in enumerate(pictures):
            x, y = NAME + column * step, row * step
            made.paste(Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS), (x, y))
            if right:
                pen.rectangle((x, y + SIDE, x + SIDE - 1, y + SIDE + 2), "green")
    return made


def so_far(folder: Path) -> dict[str, dict[str, Any]]:
    """The systems that an unfinished comparison has scored at its largest budget: name → score, and how it draws."""
    done = json.loads((folder / "compare.json").read_text(encoding="utf-8"))["done"]
    scores = [match for key in done if (match := re.fullmatch(r"score-((?P<name>.+)-x(?P<level>\d+)-s0.*)", key))]
    largest = max((int(match["level"]) for match in scores), default=0)
    found = {}
    for match in scores:
        if int(match["level"]) == largest:
            draw = done.get(f"settings-{match[1]}", {}).get("draw", {})
            pictures = {match["level"]: done[match[0]].get("pictures", [])}
            found[match["name"]] = {**done[match[0]], "draw": draw, "pictures": pictures}
    return {name: found[name] for name in SYSTEMS if name in found}


def scored(systems: Systems) -> list[tuple[str, ...]]:
    """What is scored so far."""
    lines = [("system", "settings chosen", "scene score", "single things", "unseen pairs", "Fréchet distance")]
    for name, one in systems.items():
        settings = ", ".join(f"{setting} {value:g}" for setting, value in one["draw"].items())
        shares = [shown(one["score"].get(suite), "%") for suite in ("all", "single", "pairs")]
        lines.append((name, settings, *shares, shown(one.get("frechet"), "")))
    return lines


def save_sheet(systems: Systems, file: Path) -> None:
    """Write the same prompts by all systems."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        sheet(systems).save(temporary, format="PNG", optimize=True)


def main() -> None:
    """Print the figures, and write the pictures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the -o of a finished lantu compare")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures")
    parser.add_argument("--so-far", action="store_true", help="of one that is not finished")
    arguments = parser.parse_args()
    if arguments.so_far:
        systems = so_far(arguments.folder)
        print("\n".join(markdown(scored(systems))))
        if arguments.pictures:
            save_sheet(systems, arguments.pictures / "compared_so_far.png")
        return
    found = json.loads((arguments.folder / "table.json").read_text(encoding="utf-8"))
    systems = {name: one for name, one in found.items() if name != "comparison"}
    for lines in (rows(systems), curves(systems), repetitions(systems), spent(systems)):
        print("\n".join(markdown(lines)), end="\n\n")
    for broken in found["comparison"]["rule"]["broken"]:
        print(f"breaks the rule: {broken['rule']}: {page.describe_breach(broken)}")
    for line in page.not_yet(systems):
        print(line)
    if arguments.pictures:
        save_sheet(systems, arguments.pictures / "compared.png")
        page.curves(systems, arguments.pictures / "compared_curves.png")


if __name__ == "__main__":
    main()
