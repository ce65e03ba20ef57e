"""The report of a model: what it was made of, what it draws, and how good that is, as a page with pictures.

Shapes: B pictures, H W pixels.
"""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lantu.data.inspect import contact_sheet
from lantu.evaluation.likeness import Eye
from lantu.evaluation.results import shown
from lantu.evaluation.retrieval import SIDE, scale
from lantu.files import replacing, write_text
from lantu.pipeline import Model
from lantu.recipes.make import curves
from lantu.recipes.make.look import Look
from lantu.recipes.make.plan import PARTS
from lantu.recipes.make.stages import Ledger
from lantu.recipes.pictures import Album, TruePicture, open_eye, stacked
from lantu.training.logs import Record
from lantu.training.progress import duration

PROMPTS, SEEDS = 8, 3  # held-out captions, and drawings of each
NEIGHBOURS, BATCH = 2000, 64  # training pictures among which the nearest one is looked for
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
img { max-width: 100%; image-rendering: auto; } table { border-collapse: collapse; }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; } th { font-weight: 600; }
.drawn { display: grid; grid-template-columns: repeat(5, 1fr); gap: .4rem; margin-bottom: 1.2rem; font-size: 13px; }
.drawn figure { margin: 0; } .drawn img { width: 100%; }
pre { white-space: pre-wrap; background: #f4f4f4; padding: .6rem; }
"""


@dataclass(frozen=True)
class Drawn:
    """A held-out caption, its true picture, and drawings of it."""

    caption: str
    truth: np.ndarray
    drawings: Sequence[np.ndarray]


def write(out: Path, model: Model, look: Look, ledger: Ledger, data: Path, seconds: float) -> Path:
    """Write OUT/index.html and its pictures; returns the page.

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
    drawn = draw(model, album)
    eye, near = open_eye(lambda note: None), Neighbours()
    if drawn:
        near = Neighbours.of(eye, album, began + seconds)
    for number, one in enumerate(drawn):
        for name, picture in names(number, one, near.to(eye, one.drawings[0])):
            save(out / name, picture)
    rows = "".join(map(figures, range(len(drawn)), drawn))
    among = f"<p>The nearest is that of {len(near.pictures):,} training pictures, by the features of {eye.name}.</p>"
    sections = [
        heading(model, look, ledger),
        f"<h2>Drawings of captions that it never saw</h2>{rows}{among if drawn else ''}",
        "<h2>Round trips: true pictures above what is left of them in codes</h2><img src=round_trips.png>",
        f"<h2>Scores</h2>{scores(ledger.done.get('scores', {}))}{compared(ledger)}",
        f"<h2>Learning</h2><img src=curves.png>{learning(ledger, trained)}",
        "<h2>Some of the pictures that it learnt from</h2><img src=data.png>",
        f"<h2>Commands</h2><pre>{escape(commands(ledger))}</pre>",
    ]
    page = f"<!doctype html><meta charset=utf-8><title>{escape(model.name)}</title><style>{STYLE}</style>"
    write_text(out / "index.html", page + "\n".join(sections) + "\n")
    return out / "index.html"


@dataclass(frozen=True)
class Neighbours:
    """Training pictures and their features (M, F)."""

    pictures: Sequence[TruePicture] = ()
    features_MF: np.ndarray = field(default_factory=lambda: np.zeros((0, 1)))

    @classmethod
    def of(cls, eye: Eye, album: Album, deadline: float) -> "Neighbours":
        """As many as there is time for, ``BATCH`` at least and ``NEIGHBOURS`` at most."""
        chosen, parts = album.some(NEIGHBOURS, seed=0, training=True), list[np.ndarray]()
        for first in range(0, len(chosen), BATCH):
            if parts and time.monotonic() > deadline:
                break
            parts.append(eye.pooled(eye.describe(squares(stacked(chosen[first : first + BATCH])))))
        features_MF = np.concatenate(parts)
        return cls(chosen[: len(features_MF)], features_MF)

    def to(self, eye: Eye, picture: np.ndarray) -> np.ndarray:
        """The one whose features are most like those of a picture."""
        own_1F = eye.pooled(eye.describe(squares(picture[None])))
        own, others = (
            each / np.linalg.norm(each, axis=1, keepdims=True).clip(1e-9) for each in (own_1F, self.features_MF)
        )
        return self.pictures[int((others @ own[0]).argmax())].image


def squares(pictures_BHW3: np.ndarray) -> np.ndarray:
    """Pictures as an eye takes them."""
    return np.stack([scale(one, SIDE) for one in pictures_BHW3])


def rounds(model: Model, album: Album, path: Path) -> None:
    """Some validation pictures above their reconstructions."""
    real = stacked(album.some(PROMPTS, seed=0))
    made = [np.asarray(model.render(model.tokenize(Image.fromarray(one))).image) for one in real]
    save(path, np.concatenate([np.concatenate(list(rows), 1) for rows in (real, np.stack(made))]))


def draw(model: Model, album: Album) -> list[Drawn]:
    """Drawings of held-out captions, beside the true picture."""
    asked = album.some(PROMPTS, seed=0, captioned=True, distinct=True)
    return [
        Drawn(one.prompt, one.image, [np.asarray(model.draw(one.prompt, seed=seed).image) for seed in range(SEEDS)])
        for one in asked
    ]


def names(number: int, one: Drawn, nearest: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """File name and picture of all that is shown of a caption."""
    drawings = [(f"drawn-{number}-{seed}.png", picture) for seed, picture in enumerate(one.drawings)]
    return [*drawings, (f"true-{number}.png", one.truth), (f"nearest-{number}.png", nearest)]


def figures(number: int, one: Drawn) -> str:
    """A row of the page."""
    labels = [*(f"drawn, seed {seed}" for seed in range(SEEDS)), "the true picture", "nearest in training"]
    pairs = zip(labels, names(number, one, one.truth), strict=True)
    cells = "".join(f"<figure><img src={name}><figcaption>{label}</figcaption></figure>" for label, (name, _) in pairs)
    return f"<p>“{escape(one.caption)}”</p><div class=drawn>{cells}</div>"


def heading(model: Model, look: Look, ledger: Ledger) -> str:
    """What the model is, in a few lines."""
    width, height = model.size
    parts = ", ".join(f"{part} {count / 1e6:.1f}M" for part, count in model.folder.parameters().items())
    codes = model.folder.grid[0] * model.folder.grid[1]
    lines = [*look.lines(), f"pictures of {width}x{height} px as {codes} codes; {parts}"]
    lines.append(f"made in {duration(ledger.spent_s)}: " + ", ".join(spent(ledger)))
    return f"<h1>{escape(model.name)}</h1>" + "".join(f"<p>{escape(line)}</p>" for line in lines)


def spent(ledger: Ledger) -> list[str]:
    """How long each stage took, and of which its processors were busy."""

    def cost(name: str, seconds: float) -> str:
        busy = f" ({duration(ledger.cpu[name])} of processor time)" if ledger.cpu.get(name) else ""
        return f"{name} {duration(seconds)}{busy}"

    return [cost(name, seconds) for name, seconds in ledger.seconds.items()]


def scores(suites: dict[str, Any]) -> str:
    """The table of ``lantu eval``: each score beside that of the round trip, and of true pictures."""
    if not suites:
        return "<p>None.</p>"
    rows, notes = [], dict[str, None]()
    for name, one in suites.items():
        unit = one.get("unit", "share")
        details = ", ".join(f"{key} {value:.3g}" for key, value in one["details"]["score"].items() if key != "score")
        values = "".join(f"<td>{shown(one[key], unit)}" for key in ("score", "round_trip", "ceiling"))
        low, high = (shown(value, unit) for value in one["interval"])
        rows.append(f"<tr><td>{escape(name)}{values}<td>{low} to {high}<td>{one['n']}<td>{escape(details)}")
        notes |= dict.fromkeys(one.get("notes", ()))
    head = "<tr><th>suite<th>score<th>round trip<th>true pictures<th>95 % interval<th>n<th>details"
    paragraphs = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return f"<table>{head}{''.join(rows)}</table>{paragraphs}<p>What they mean: docs/evaluation.md.</p>"


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
    warnings = [f"<p>{part}: {escape(line)}</p>" for part, lines in ledger.warnings.items() for line in lines]
    return f"<table>{''.join(rows)}</table>{''.join(warnings)}"


def last_loss(line: Record) -> str:
    """The training loss of a log's last line, where no update since the line before may have had a finite one."""
    return "no finite loss" if line.get("loss") is None else f"loss {line['loss']:.3g}"


def commands(ledger: Ledger) -> str:
    """The single commands that do the same."""
    return "\n".join(shlex.join(["lantu", *command]) for command in ledger.commands.values())


def save(path: Path, picture_HW3: np.ndarray) -> None:
    """Write a picture as PNG."""
    with replacing(path) as temporary:
        Image.fromarray(picture_HW3).save(temporary, format="PNG")
