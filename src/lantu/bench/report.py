"""Measurements as a table and a chart."""

from pathlib import Path
from typing import Any

from lantu.files import replacing

Rows = list[list[str]]


def tables(report: dict[str, Any]) -> list[tuple[str, Rows]]:
    """Titles and rows; the first row of each is its head."""
    floor, machine = report["roofline"], report["machine"]
    whole: Rows = [
        ["a drawing of the model", "ms"],
        *([key.removesuffix("_ms"), f"{value:.0f}"] for key, value in report["end_to_end"].items()),
    ]
    what = f"{floor['codes']} codes, {floor['weights_mb']} MB of weights a step, {floor['bandwidth_gb_s']} GB/s, "
    what += f"{floor['matrix_gflop_s']} GFLOP/s; {machine['processor']}, {machine['cores']} cores, {machine['kernels']}"
    drafted, rendered = table_of(report, "drafting", "pictures", "s"), table_of(report, "decoder", "batch", "ms")
    return [(what, drafted + bounds(report)), ("", rendered), ("", whole)]


def table_of(report: dict[str, Any], part: str, unit: str, suffix: str) -> Rows:
    """A row for each engine: for each batch size the time, and the ratio to lantu's beside it."""
    late = [row for row in report["no_time"] if row["part"] == part]
    counts = sorted({row[unit] for row in report[part]} | {row["count"] for row in late})
    named = {row["name"]: f"{row['name']}, {row['precision']}" for row in report[part]}
    named |= {row["name"]: row["name"] for row in late if row["name"] not in named}
    rows: Rows = [[part if part == "drafting" else "decoder, 4 steps"]]
    for count in counts:
        words = f"batch {count}" if unit == "batch" else f"{count} picture{'s' if count > 1 else ''}"
        rows[0] += [f"{words}, {suffix}", "of lantu's"]
    for name, shown in named.items():
        cells = [cell(report, part, unit, suffix, name, count) for count in counts]
        rows.append([shown, *(text for pair in cells for text in pair)])
    return rows


def cell(report: dict[str, Any], part: str, unit: str, suffix: str, name: str, count: int) -> tuple[str, str]:
    """A time with its range and its ratio, or why there is none."""
    for row in report[part]:
        if row["name"] == name and row[unit] == count:
            return spread(row, suffix), "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    for row in report["no_time"]:
        if (row["part"], row["name"], row["count"]) == (part, name, count):
            return f"no time: --minutes {row['minutes']}", ""
    return "–", ""


def bounds(report: dict[str, Any]) -> Rows:
    """The roofline's rows: its ratio is the share of the roofline's speed that lantu reaches."""
    floor = report["roofline"]
    counts = sorted(map(int, floor["drafting_s"]))
    lantu = {row["pictures"]: row["median_s"] for row in report["drafting"] if row["name"] == "lantu"}
    rows: Rows = []
    for title, key in (("roofline", "drafting_s"), ("of it reading", "reading_s"), ("multiplying", "multiplying_s")):
        rows.append([title])
        for count in counts:
            seconds = floor[key][str(count)]
            rows[-1] += [f"{seconds:.3f}", f"{seconds / lantu[count]:.2f}" if count in lantu else ""]
    return rows


def spread(row: dict[str, Any], suffix: str) -> str:
    """A median with its range."""
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
