"""The report of a comparison: tables, curves and drawings side by side, as a page that opens without a network."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from lantu.files import replacing, write_text
from lantu.recipes.compare.columns import COLUMNS, cell
from lantu.recipes.compare.need import said
from lantu.recipes.make.report import STYLE
from lantu.training.progress import duration

OURS = """
.wide { overflow-x: auto; } .wide table { font-size: 13px; } td.broken { background: #fde8e8; }
.broken { color: #a00; } .sheet { display: grid; gap: .3rem; font-size: 12px; align-items: start; }
.sheet img { width: 100%; } .wrong img { opacity: .55; }
"""
NUM_PICTURES = 8  # drawings of a system

Systems = Mapping[str, Mapping[str, Any]]


def write(out: Path, result: Mapping[str, Any]) -> Path:
    """Write OUT/index.html and its pictures; returns the page.

    Args:
        result: what ``lantu compare --json`` prints.
    """
    out.mkdir(parents=True, exist_ok=True)
    systems = {name: one for name, one in result.items() if name != "comparison"}
    curves(systems, out / "curves.png")
    training(systems, out / "training.png")
    sections = [
        heading(systems, result["comparison"]),
        f"<h2>The table</h2><div class=wide>{table(systems, result['comparison'])}</div>{legend()}",
        f"<h2>The same prompts, drawn by each</h2>{drawings(systems, out)}",
        "<h2>Score and distance against operations of training</h2><img src=curves.png>",
        f"<h2>Seeds, learning rates and weights, at the smallest budget</h2>{stability(systems)}<img src=training.png>",
        f"<h2>Budgets</h2>{budgets(systems)}",
    ]
    head = f"<!doctype html><meta charset=utf-8><title>lantu compare</title><style>{STYLE}{OURS}</style>"
    write_text(out / "index.html", head + "\n".join(sections) + "\n")
    return out / "index.html"


def heading(systems: Systems, comparison: Mapping[str, Any]) -> str:
    """The systems, the rule, what breaks it, of which systems nothing is claimed, and what was asked for."""
    rule, asked = comparison["rule"], comparison["asked"]
    holds = "<p>This comparison keeps it.</p>"
    if rule["broken"]:
        lines = [f"<li>{escape(one['rule'])}: {escape(describe_breach(one))}" for one in rule["broken"]]
        holds = f"<p class=broken>This comparison breaks it:</p><ul class=broken>{''.join(lines)}</ul>"
    levels = ", ".join(map(str, asked["levels"]))
    how = f"The smallest budget is {asked['budget']:.3g} operations a system; here {levels} times that."
    split = ", ".join(f"{share:.0%}" for share in asked["split"])
    how += f" Of each budget {split} go to what sees, drafts and renders; a part that does several has their shares."
    cost = f"{duration(comparison['spent_s'])} of processes on {comparison['machine']}"
    texts = [rule["text"], how, f"Data: {asked['data']}. It took {cost}."]
    who = "".join(f"<li><b>{escape(name)}</b>: {escape(one['about'])}</li>" for name, one in systems.items())
    ways = f"<p>{len(systems)} ways from words to pictures, trained alike and scored alike:</p><ul>{who}</ul>"
    return (
        f"<h1>lantu compare</h1>{ways}{''.join(f'<p>{escape(text)}</p>' for text in texts)}{holds}{unclaimed(systems)}"
    )


def unclaimed(systems: Systems) -> str:
    """The systems that don't draw recognisable things at their budgets, and what they would need."""
    lines = [f"<li>{escape(line)}</li>" for line in not_yet(systems)]
    head = "<p>These draw fewer than half of the single things right, so nothing is claimed of how well they draw:</p>"
    return f"{head}<ul>{''.join(lines)}</ul>" if lines else ""


def not_yet(systems: Systems) -> list[str]:
    """A line for each system that doesn't draw recognisable things."""
    return [said(name, one["recognisable"]) for name, one in systems.items() if not one["recognisable"]["holds"]]


def describe_breach(broken: Mapping[str, Any]) -> str:
    """A broken rule in a line."""
    who = ", ".join(broken["systems"])
    return f"{who}: {broken['what']}" if who else broken["what"]


def table(systems: Systems, comparison: Mapping[str, Any]) -> str:
    """All figures, a row a figure, with those marked that break the rule."""
    broken = {(one["rule"], name) for one in comparison["rule"]["broken"] for name in one["systems"]}
    head = "<tr><th>" + "".join(f"<th>{escape(name)}" for name in systems)
    rows = []
    for title, column in COLUMNS.items():
        cells = []
        for name, one in systems.items():
            mark = " class=broken" if column.rule and (column.rule, name) in broken else ""
            cells.append(f"<td{mark}>{escape(cell(column, one))}")
        rows.append(f"<tr><th>{escape(title)}{''.join(cells)}")
    return f"<table>{head}{''.join(rows)}</table>"


def legend() -> str:
    """What the rows mean."""
    lines = [f"<li><b>{escape(title)}</b>: {escape(column.means)}" for title, column in COLUMNS.items()]
    return f"<details><summary>What the rows mean</summary><ul>{''.join(lines)}</ul></details>"


def drawings(systems: Systems, out: Path) -> str:
    """Drawings of the same prompts at each budget, a row a system; wrong ones are pale."""
    levels = list(dict.fromkeys(level for one in systems.values() for level in one["pictures"]))
    return "".join(f"<h3>{title_of(level)}</h3>{sheet(systems, level, out)}" for level in levels)


def title_of(level: str) -> str:
    """A budget in words."""
    return "Loaded models" if level == "loaded" else f"{level} times the smallest budget"


def sheet(systems: Systems, level: str, out: Path) -> str:
    """The drawings at one budget."""
    shown = {name: one["pictures"].get(level, [])[:NUM_PICTURES] for name, one in systems.items()}
    shown = {name: pictures for name, pictures in shown.items() if pictures}
    if not shown:
        return "<p>None.</p>"
    first = next(iter(shown.values()))
    cells = ["<b></b>", *(f"<span>{escape(one['prompt'])}</span>" for one in first)]
    if all(one.get("true") for one in first):
        cells.append("<b>true pictures</b>")
        cells += [figure(one["true"], out / f"true-{level}-{number}.png", "true") for number, one in enumerate(first)]
    for name, pictures in shown.items():
        cells.append(f"<b>{escape(name)}</b>")
        for number, one in enumerate(pictures):
            kind = "right" if one["right"] else "wrong"
            cells.append(figure(one["file"], out / f"{name}-{level}-{number}.png", kind))
    columns = max(map(len, shown.values()))
    return f"<div class='sheet drawn' style='grid-template-columns:7rem repeat({columns},1fr)'>{''.join(cells)}</div>"


def figure(source: str, file: Path, kind: str) -> str:
    """A picture, which is copied beside the page."""
    with replacing(file) as temporary:
        shutil.copyfile(source, temporary)
    return f"<figure class={kind}><img src={file.name} title={kind}></figure>"


def stability(systems: Systems) -> str:
    """The three kinds of repetition, a row a run."""
    head = "<tr><th>system<th>of<th>run<th>loss<th>scene score<th>Fréchet<th>gradient norm, spread<th>diverged"
    return f"<div class=wide><table>{head}{''.join(runs(systems))}</table></div>"


def runs(systems: Systems) -> Iterator[str]:
    """The rows of ``stability``."""
    for name, one in systems.items():
        for kind in ("seeds", "rates", "weights"):
            found = (one.get("stability") or {}).get(kind)
            if not found or "cannot" in found:
                continue
            for run in found["each"]:
                varied = {"seeds": "seed", "rates": "rate", "weights": "weight"}[kind]
                figures = [number(run[entry]) for entry in ("loss", "score", "frechet", "norm_spread")]
                cells = "".join(f"<td>{figure}" for figure in figures)
                yield f"<tr><td>{escape(name)}<td>{kind}<td>{run[varied]:g}{cells}<td>{escape(run['diverged'] or 'no')}"


def number(value: float | None) -> str:
    """A figure, or a dash."""
    return "–" if value is None else f"{value:.3g}"


def budgets(systems: Systems) -> str:
    """Where each system's operations went, and how many updates they bought."""
    rows = []
    for name, one in systems.items():
        shares = ", ".join(f"{part} {share:.0%}" for part, share in one.get("shares", {}).items())
        steps = ", ".join(f"{part} {count:,}" for part, count in one.get("steps", {}).items())
        spent = ", ".join(f"x{level}: {flops:.3g}" for level, flops in one["training_flops"].items())
        rows.append(f"<tr><td>{escape(name)}<td>{spent}<td>{shares}<td>{steps}")
    head = "<tr><th>system<th>operations<th>shares<th>updates at the largest budget"
    return f"<table>{head}{''.join(rows)}</table>"


def curves(systems: Systems, path: Path) -> None:
    """Scene score and Fréchet distance against operations, with their intervals, as PNG."""
    pyplot = plotting()
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4))
    for axis, entry, title in zip(axes, ("score", "frechet"), ("scene score", "Fréchet distance"), strict=True):
        for name, one in systems.items():
            points = [(point["flops"], point[entry]) for point in one["curve"] if point.get(entry)]
            if points:
                values = [value["value"] for _, value in points]
                ends = [
                    [max(0.0, v["value"] - v["interval"][0]) for _, v in points],
                    [max(0.0, v["interval"][1] - v["value"]) for _, v in points],
                ]
                axis.errorbar([flops for flops, _ in points], values, ends, marker="o", capsize=3, label=name)
        axis.set(xlabel="operations of training, of all parts", ylabel=title)
        axis.set_xscale("log")
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(frameon=False, fontsize=8)
    save(figure, path)


def training(systems: Systems, path: Path) -> None:
    """Loss and norm of the gradient of all runs at the smallest budget, a column a system, as PNG."""
    pyplot = plotting()
    shown = {name: one["stability"] for name, one in systems.items() if one.get("stability")}
    figure, axes = pyplot.subplots(2, max(1, len(shown)), figsize=(3.2 * max(1, len(shown)), 5), squeeze=False)
    for column, (name, found) in enumerate(shown.items()):
        each = [run for kind in ("rates", "seeds", "weights") for run in found[kind].get("each", ())]
        for row, what in enumerate(("loss", "norm of the gradient")):
            for run in each:
                draw_line(axes[row][column], run["norms"], 1 + row)
            axes[row][column].set(title=name if row == 0 else "", xlabel="step", ylabel=what if column == 0 else "")
            axes[row][column].title.set_fontsize(9)
    save(figure, path)


def draw_line(axis: Any, points: Sequence[Sequence[float | None]], entry: int) -> None:
    """One run's values over its steps, those that are missing left out."""
    known = [(point[0], point[entry]) for point in points if point[entry] is not None]
    if known:
        axis.plot(*zip(*known, strict=True), linewidth=0.8)


def plotting() -> Any:
    """matplotlib's pyplot, without a display."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG."""
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plotting().close(figure)
