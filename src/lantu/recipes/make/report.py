"""The report of a model: what it was made of, what it draws, and how good that is, as a page with pictures.

Shapes: B pictures, H W pixels.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lantu.data.inspect import contact_sheet
from lantu.evaluation.likeness import Eye
from lantu.files import replacing, write_text
from lantu.pipeline import Model
from lantu.recipes.make import curves
from lantu.recipes.make.look import Look
from lantu.recipes.make.plan import PARTS
from lantu.recipes.make.stages import Ledger
from lantu.recipes.pictures import Album, TruePicture, open_eye, stacked
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
    """A held-out caption, its true picture, drawings of it, and the training picture nearest to the first drawing."""

    caption: str
    truth: np.ndarray
    drawings: Sequence[np.ndarray]
    nearest: np.ndarray


def write(out: Path, model: Model, look: Look, ledger: Ledger, data: Path) -> Path:
    """Write OUT/index.html and its pictures; returns the page."""
    out.mkdir(parents=True, exist_ok=True)
    album = Album(data, model.size)
    contact_sheet(data, out / "data.png", rows=2)
    rounds(model, album, out / "round_trips.png")
    curves.plot([(part, ledger.work / part) for part in PARTS], out / "curves.png")
    drawn = draw(model, album)
    for number, one in enumerate(drawn):
        for name, picture in names(number, one):
            save(out / name, picture)
    sections = [
        heading(model, look, ledger),
        f"<h2>Drawings of captions that it never saw</h2>{''.join(map(figures, range(len(drawn)), drawn))}",
        "<h2>Round trips: true pictures above what is left of them in codes</h2><img src=round_trips.png>",
        f"<h2>Scores</h2>{scores(ledger.done.get('scores', {}))}",
        f"<h2>Learning</h2><img src=curves.png>{learning(ledger)}",
        "<h2>Some of the pictures that it learnt from</h2><img src=data.png>",
        f"<h2>Commands</h2><pre>{escape(commands(ledger))}</pre>",
    ]
    page = f"<!doctype html><meta charset=utf-8><title>{escape(model.name)}</title><style>{STYLE}</style>"
    write_text(out / "index.html", page + "\n".join(sections) + "\n")
    return out / "index.html"


def rounds(model: Model, album: Album, path: Path) -> None:
    """Some validation pictures above their reconstructions."""
    real = stacked(album.some(PROMPTS, seed=0))
    made = [np.asarray(model.render(model.tokenize(Image.fromarray(one))).image) for one in real]
    save(path, np.concatenate([np.concatenate(list(rows), 1) for rows in (real, np.stack(made))]))


def draw(model: Model, album: Album) -> list[Drawn]:
    """Drawings of held-out captions, beside the true picture and the nearest training picture."""
    asked = album.some(PROMPTS, seed=0, captioned=True, distinct=True)
    if not asked:
        return []
    eye = open_eye(lambda note: None)
    trained = album.some(NEIGHBOURS, seed=0, training=True)
    features = described(eye, stacked(trained))
    found = []
    for one in asked:
        pictures = [np.asarray(model.draw(one.prompt, seed=seed).image) for seed in range(SEEDS)]
        near = nearest(described(eye, pictures[0][None]), features, trained)
        found.append(Drawn(one.prompt, one.image, pictures, near))
    return found


def described(eye: Eye, pictures_BHW3: np.ndarray) -> np.ndarray:
    """Features of pictures (B, F), a few pictures at a time."""
    parts = [pictures_BHW3[first : first + BATCH] for first in range(0, len(pictures_BHW3), BATCH)]
    return np.concatenate([eye.pooled(eye.describe(part)) for part in parts])


def nearest(own_1F: np.ndarray, features_BF: np.ndarray, trained: Sequence[TruePicture]) -> np.ndarray:
    """The training picture whose features are most like those of a drawing."""
    own, others = (each / np.linalg.norm(each, axis=1, keepdims=True).clip(1e-9) for each in (own_1F, features_BF))
    return trained[int((others @ own[0]).argmax())].image


def names(number: int, one: Drawn) -> list[tuple[str, np.ndarray]]:
    """File name and picture of all that is shown of a caption."""
    drawings = [(f"drawn-{number}-{seed}.png", picture) for seed, picture in enumerate(one.drawings)]
    return [*drawings, (f"true-{number}.png", one.truth), (f"nearest-{number}.png", one.nearest)]


def figures(number: int, one: Drawn) -> str:
    """A row of the page."""
    labels = [*(f"drawn, seed {seed}" for seed in range(SEEDS)), "the true picture", "nearest in training"]
    shown = zip(labels, names(number, one), strict=True)
    cells = "".join(f"<figure><img src={name}><figcaption>{label}</figcaption></figure>" for label, (name, _) in shown)
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
    """How long each stage took."""
    return [f"{name} {duration(seconds)}" for name, seconds in ledger.seconds.items()]


def scores(suites: dict[str, Any]) -> str:
    """The table of ``lantu eval``: each score beside that of the round trip, and of true pictures."""
    if not suites:
        return "<p>None.</p>"
    rows = []
    for name, one in suites.items():
        details = ", ".join(f"{key} {value:.3g}" for key, value in one["details"]["score"].items() if key != "score")
        shares = "".join(f"<td>{one[key]:.1%}" for key in ("score", "round_trip", "ceiling"))
        rows.append(f"<tr><td>{escape(name)}{shares}<td>{one['n']}<td>{escape(details)}")
    head = "<tr><th>suite<th>score<th>round trip<th>true pictures<th>n<th>details"
    return f"<table>{head}{''.join(rows)}</table><p>What they mean: docs/evaluation.md.</p>"


def learning(ledger: Ledger) -> str:
    """Steps, losses, use of the codebook, and what twice the time would buy."""
    rows = []
    for part in PARTS:
        run, result = ledger.work / part, ledger.done.get(part, {})
        line, (_, losses) = curves.last(run), curves.validated(run)
        now = f"validation loss {losses.min():.3g}" if len(losses) else f"loss {line.get('loss', float('nan')):.3g}"
        twice = curves.at_twice(run)
        more = f"twice the time: about {twice:.3g}" if twice else "twice the time: it can't be told from this curve"
        used = f", {line['used']:.0%} of the codebook in use" if isinstance(line.get("used"), float) else ""
        rows.append(f"<tr><td>{part}<td>{result.get('step', 0):,} steps<td>{now}{used}<td>{more}")
    return f"<table>{''.join(rows)}</table>"


def commands(ledger: Ledger) -> str:
    """The single commands that do the same."""
    return "\n".join(shlex.join(["lantu", *command]) for command in ledger.commands.values())


def save(path: Path, picture_HW3: np.ndarray) -> None:
    """Write a picture as PNG."""
    with replacing(path) as temporary:
        Image.fromarray(picture_HW3).save(temporary, format="PNG")
