"""Measurements as a table and a chart."""

from pathlib import Path
from typing import Any

from lantu.files import replacing

Rows = list[list[str]]


def tables(report: dict[str, Any]) -> list[tuple[str, Rows]]:
    """Titles and rows; the first row of each is its head."""
    floor, machine = report["roofline"], report["machine"]
    counts = sorted(map(int, report["roofline"]["drafting_s"]))
    drafted: Rows = [["drafting", *(f"{count} pictures, s" if count > 1 else "1 picture, s" for count in counts)]]
    names = list(dict.fromkeys(row["name"] for row in report["drafting"]))
    for name in names:
        drafted.append(
            [
                label(report["drafting"], name),
                *(spread(report["drafting"], name, "pictures", count, "s") for count in counts),
            ]
        )
    for title, key in (("roofline", "drafting_s"), ("of it reading", "reading_s"), ("multiplying", "multiplying_s")):
        drafted.append([title, *(f"{floor[key][str(count)]:.3f}" for count in counts)])
    batches = sorted({row["batch"] for row in report["decoder"]})
    rendered: Rows = [["decoder, 4 steps", *(f"batch {batch}, ms" for batch in batches)]]
    for name in dict.fromkeys(row["name"] for row in report["decoder"]):
        rendered.append(
            [
                label(report["decoder"], name),
                *(spread(report["decoder"], name, "batch", batch, "ms") for batch in batches),
            ]
        )
    whole: Rows = [
        ["a drawing of the model", "ms"],
        *([key.removesuffix("_ms"), f"{value:.0f}"] for key, value in report["end_to_end"].items()),
    ]
    what = f"{floor['codes']} codes, {floor['weights_mb']} MB of weights a step, {floor['bandwidth_gb_s']} GB/s, "
    what += f"{floor['matrix_gflop_s']} GFLOP/s; {machine['processor']}, {machine['cores']} cores, {machine['kernels']}"
    return [(what, drafted), ("", rendered), ("", whole)]


def label(rows: list[dict[str, Any]], name: str) -> str:
    """An engine's name with the precision in which it computed."""
    return f"{name}, {next(row['precision'] for row in rows if row['name'] == name)}"


def spread(rows: list[dict[str, Any]], name: str, unit: str, count: int, suffix: str) -> str:
    """A median with its range; "–" if the row got no turn."""
    row = next((row for row in rows if row["name"] == name and row[unit] == count), None)
    if row is None:
        return "–"
    digits = 3 if suffix == "s" else 1
    median, least, most = (f"{row[f'{key}_{suffix}']:.{digits}f}" for key in ("median", "min", "max"))
    return f"{median} ({least} to {most})"


def markdown(report: dict[str, Any]) -> str:
    """The tables in Markdown."""
    lines: list[str] = []
    for title, rows in tables(report):
        lines += [title, ""] if title else []
        lines += [f"| {' | '.join(rows[0])} |", "|" + "---|" * len(rows[0])]
        lines += [f"| {' | '.join(row)} |" for row in rows[1:]]
        lines.append("")
    return "\n".join(lines)


def chart(report: dict[str, Any], path: Path) -> None:
    """A bar chart of the medians, with the roofline as a dashed line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    counts = sorted(map(int, report["roofline"]["drafting_s"]))
    figure, places = pyplot.subplots(1, len(counts), figsize=(5.2 * len(counts), 3.2), squeeze=False)
    for place, count in zip(places[0], counts, strict=True):
        rows = [row for row in report["drafting"] if row["pictures"] == count]
        rows.sort(key=lambda row: -row["median_s"])
        bars = place.barh([row["name"] for row in rows], [row["median_s"] for row in rows], color="#9db4d0")
        for bar, row in zip(bars, rows, strict=True):
            if row["name"] == "lantu":
                bar.set_color("#2f6fb5")
        place.bar_label(bars, fmt="%.2f", padding=3)
        place.axvline(report["roofline"]["drafting_s"][str(count)], color="#b5442f", linestyle="--", label="roofline")
        place.set(title=f"drafting {count} picture{'s' if count > 1 else ''}, s", xticks=[])
        place.margins(x=0.15)
        place.spines[["top", "right", "bottom"]].set_visible(False)
        place.legend(frameon=False, loc="upper right")
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
    pyplot.close(figure)
