"""The report of a model: what it was made of, what it draws, and how good that is, as a page with pictures.

Shapes: B pictures, H W pixels.
"""

import base64
import io
import re
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lantu.data.inspect import contact_sheet
from lantu.evaluation.results import shown
from lantu.files import write_text
from lantu.pipeline import Model
from lantu.recipes.make import curves, drawings
from lantu.recipes.make.look import Look
from lantu.recipes.make.plan import PARTS
from lantu.recipes.make.stages import Ledger, spelt
from lantu.recipes.pictures import Album, stacked
from lantu.recipes.sheets import save_png
from lantu.training.logs import Record
from lantu.training.progress import duration

ASKED = {  # what a suite's score is, for a person
    "codes": "codes of true pictures that the language model expects",
    "reconstruction": "round trips that are most like their own picture",
    "drawing": "drawings that are most like true pictures of their caption",
    "caption": "captions that are nearest to their own picture's",
    "variety": "how far drawings of one caption are apart",
}
STAGES = {"data": "import", "rehearsal": "drawings to rehearse", "model": "settings"}
MINDS = 1.5  # dB, from which a tokenizer depends on where things stand
QUALITY = 90  # of the pictures in the page, as WebP
ENOUGH = 16  # pictures below which a score is mostly chance
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
img { max-width: 100%; image-rendering: auto; } table { border-collapse: collapse; }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; } th { font-weight: 600; }
.drawn { display: grid; grid-template-columns: repeat(5, 1fr); gap: .4rem; margin-bottom: 1.2rem; font-size: 13px; }
.drawn figure { margin: 0; } .drawn img { width: 100%; } .number { white-space: nowrap; }
pre { white-space: pre-wrap; background: #f4f4f4; padding: .6rem; }
"""


def write(out: Path, model: Model, look: Look, ledger: Ledger, data: Path, seconds: float) -> Path:
    """Write OUT/index.html, which holds its pictures, and these as PNG beside it; returns the page.

    Args:
        seconds: about so many; then the nearest training picture is looked for among fewer.
    """
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    album = Album(data, model.size)
    contact_sheet(data, out / "data.png", rows=2)
    rounds(model, album, out / "round_trips.png")
    trained = [part for part in PARTS if part in ledger.commands]
    curves.plot([(part, ledger.work / part) for part in trained], out / "curves.png")
    drawn = drawings.write(drawings.draw(model, album), album, out, began + seconds)
    sections = [
        heading(model, look, ledger),
        drawn,
        "<h2>Round trips: true pictures above what is left of them in codes</h2><img src=round_trips.png>"
        + shift(ledger.done.get("scores", {}), model.folder.patch),
        f"<h2>Scores</h2>{scores(ledger.done.get('scores', {}))}{compared(ledger)}",
        f"<h2>Learning</h2><img src=curves.png>{learning(ledger, trained)}",
        f"<h2>What it took</h2>{spent(ledger)}",
        f"<h2>Some of the pictures that it learnt from</h2><img src=data.png>{imported(look)}",
        f"<h2>Commands</h2><pre>{escape(commands(ledger))}</pre>",
    ]
    page = f"<!doctype html><meta charset=utf-8><title>{escape(model.name)}</title><style>{STYLE}</style>"
    write_text(out / "index.html", with_pictures(page + "\n".join(sections) + "\n", out))
    return out / "index.html"


def with_pictures(page: str, folder: Path) -> str:
    """A page that holds its pictures, so that it can be sent to somebody as one file."""

    def held(named: re.Match[str]) -> str:
        content = io.BytesIO()
        with Image.open(folder / named[1]) as picture:
            picture.save(content, format="WEBP", quality=QUALITY)
        return f'src="data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"'

    # Of what the user wrote "<" is escaped, so no caption is taken for a picture.
    return re.sub(r"(?<=<img )src=([\w-]+\.png)", held, page)


def rounds(model: Model, album: Album, path: Path) -> None:
    """Some validation pictures above their reconstructions."""
    real = stacked(album.some(drawings.PROMPTS, seed=0))
    made = [np.asarray(model.render(model.tokenize(Image.fromarray(one))).image) for one in real]
    save_png(path, np.concatenate([np.concatenate(list(rows), 1) for rows in (real, np.stack(made))]))


def heading(model: Model, look: Look, ledger: Ledger) -> str:
    """What the model is, in a few lines."""
    width, height = model.size
    parts = ", ".join(f"{part} {count / 1e6:.1f}M" for part, count in model.folder.parameters().items())
    codes = model.folder.grid[0] * model.folder.grid[1]
    lines = [*look.lines(), f"pictures of {width}x{height} px as {codes} codes; {parts}"]
    lines.append(f"made in {duration(ledger.spent_s)}")
    return f"<h1>{escape(model.name)}</h1>" + "".join(f"<p>{escape(line)}</p>" for line in lines)


def imported(look: Look) -> str:
    """What became of the files as they were imported."""
    return f"<pre>{escape(chr(10).join(look.account))}</pre>" if look.account else ""


def spent(ledger: Ledger) -> str:
    """How long each stage took, and for how long its processors were busy."""
    rows = ""
    for name, seconds in ledger.seconds.items():
        busy = duration(ledger.cpu[name]) if ledger.cpu.get(name) else ""
        rows += f"<tr><td>{escape(STAGES.get(name, name))}<td>{duration(seconds)}<td>{busy}"
    return f"<table><tr><th>stage<th>time<th>processor time{rows}</table>"


def scores(suites: dict[str, Any]) -> str:
    """The table of ``lantu eval``: each score beside that of the round trip, and of true pictures."""
    if not suites:
        return "<p>None.</p>"
    rows, notes = [], dict[str, None]()
    for name, one in suites.items():
        unit = one.get("unit", "share")
        details = ", ".join(f"{key} {short(value)}" for key, value in one["details"]["score"].items() if key != "score")
        kinds = ("score", "round_trip", "ceiling") if name != "codes" else ("score",)  # whose others are 1
        values = "".join(f"<td class=number>{shown(one[key], unit)}" for key in kinds) + "<td>" * (3 - len(kinds))
        low, high = (shown(value, unit) for value in one["interval"])
        asked = f"<b>{escape(name)}</b><br>{ASKED.get(name, '')}"
        interval = f"<td class=number>{low} to {high}<td>{one['n']}"
        rows.append(f"<tr><td>{asked}{values}{interval}<td>{escape(details)}")
        notes |= dict.fromkeys(one.get("notes", ()))
    head = "<tr><th>suite<th>score<th>round trip<th>true pictures<th>95 % interval<th>n<th>details"
    if (least := min(one["n"] for one in suites.values())) < ENOUGH:
        notes[f"{least} pictures say little: the scores are mostly chance, see the intervals"] = None
    paragraphs = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return f"<table>{head}{''.join(rows)}</table>{paragraphs}<p>What the details mean: docs/evaluation.md.</p>"


def short(value: float) -> str:
    """A detail in three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def shift(suites: dict[str, Any], patch: int) -> str:
    """How much a round trip depends on where things stand."""
    fall = suites.get("reconstruction", {}).get("details", {}).get("score", {}).get("moved_db")
    if fall is None:
        return ""
    how = f"up to {fall:.1f} dB worse (PSNR)" if fall >= 0.05 else "as well as before"
    remedy = f" A tokenizer trained with --set moved={patch} minds less, and fits these pictures less well."
    return f"<p>Moved by 1 to {patch - 1} pixels, pictures come back {how}.{remedy if fall > MINDS else ''}</p>"


def compared(ledger: Ledger) -> str:
    """A model that began with another one beside it: on the new pictures, and on what that one drew."""
    done = ledger.done
    if "kept" not in done:
        return ""
    rows = []
    for title, now, before in (("new pictures", "scores", "before"), ("what it drew before", "kept", "kept-before")):
        for name in done.get(before, {}):
            pair = [done[stage][name] for stage in (before, now)]
            if name == "codes":
                cells = [f"{one['details']['score']['nats']:.3f} nats a code" for one in pair]
            elif name == "reconstruction":
                cells = [f"PSNR {one['details']['score']['psnr']:.2f} dB" for one in pair]
            else:
                cells = [f"{one['score']:.1%} of {one['n']}" for one in pair]
            rows.append(f"<tr><td>{title}<td>{name}<td>{cells[0]}<td>{cells[1]}")
    head = "<tr><th>of<th>suite<th>the model that it began with<th>this model"
    rest = "<p>Other abilities of that model (editing, conversation) are not measured.</p>"
    return f"<h3>Beside the model that it began with</h3><table>{head}{''.join(rows)}</table>{rest}"


def learning(ledger: Ledger, trained: Sequence[str]) -> str:
    """Steps, losses, use of the codebook, what twice the time would buy, and warnings."""
    rows = []
    for part in trained:
        run, result = ledger.work / part, ledger.done.get(part, {})
        line, (_, losses) = curves.last(run), curves.validated(run)
        now = f"validation loss {losses.min():.3g}" if len(losses) else last_loss(line)
        twice = curves.at_twice(run)
        more = f"twice the time: about {twice:.3g}" if twice else f"twice the time: {curves.why_not(run)}"
        used = f", {line['used']:.0%} of the codebook in use" if isinstance(line.get("used"), float) else ""
        rows.append(f"<tr><td>{part}<td>{result.get('step', 0):,} steps<td>{now}{used}<td>{more}")
    told = "Training losses count more than validation losses: spoilt codes, a critic, distances by a network."
    warnings = [f"<p>{part}: {escape(line)}</p>" for part, lines in ledger.warnings.items() for line in lines]
    return f"<table>{''.join(rows)}</table><p>{told}</p>{''.join(warnings)}"


def last_loss(line: Record) -> str:
    """The training loss of a log's last line, where no update since the line before may have had a finite one."""
    return "no finite loss" if line.get("loss") is None else f"loss {line['loss']:.3g}"


def commands(ledger: Ledger) -> str:
    """The single commands that do the same."""
    return "\n".join(map(spelt, ledger.commands.values()))
