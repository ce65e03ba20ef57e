"""Builds data folders from emoji scenes and from a user's own pictures."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from lantu.data.account import TAKEN, Note, printable
from lantu.data.contents import OPTIONAL, Aspect, Entry, load_picture, lost_by_cropping
from lantu.data.edits import SPLITS as EDITS
from lantu.data.edits import edit
from lantu.data.emoji import build_gallery, check_styles, gallery_place
from lantu.data.folder import find_entries
from lantu.data.gallery import CATALOGUE, Gallery, load_gallery
from lantu.data.kept import SHARE, digest_of, former_settings, split, usual_share
from lantu.data.scenes import PLACEMENTS, Composer
from lantu.data.shards import SHARD
from lantu.data.variants import LEAST, Chosen, Variant, variants
from lantu.data.writer import Job, Picture, Progress, write_data
from lantu.errors import DataError
from lantu.files import cache_dir, expand, sha256
from lantu.types import Sample

LOOKED_AT = 200  # pictures whose shapes decide whether shapes are kept
LOST, MANY = 0.1, 0.2  # share of a picture that a square loses; share of the pictures that lose more
EDITS_KEPT = 500  # the most pairs of validation and held-out edits


@dataclass(frozen=True)
class Scenes:
    """Composed scenes ``start`` to ``stop`` of a split."""

    gallery: Path
    size: int
    snap: int
    seed: int
    styles: tuple[str, ...]
    split: str
    start: int
    stop: int
    placement: str = "slots"

    def pictures(self, notes: list[Note]) -> Iterator[Picture]:
        composer = _composer(self.gallery, self.size, self.snap, self.seed, self.styles, self.placement)
        for number in range(self.start, self.stop):
            yield number, *composer.sample(self.split, number)


@dataclass(frozen=True)
class Pairs(Scenes):
    """Pairs of scenes before and after an instruction: pictures ``start`` to ``stop`` of a split, two per pair."""

    def pictures(self, notes: list[Note]) -> Iterator[Picture]:
        composer = _composer(self.gallery, self.size, self.snap, self.seed, self.styles, self.placement)
        for number in range(self.start, self.stop, 2):
            before, after = edit(composer, self.split, number // 2)
            yield number, *before
            yield number + 1, *after


@lru_cache(maxsize=1)
def _composer(
    gallery: Path, size: int, snap: int, seed: int, styles: tuple[str, ...], placement: str = "slots"
) -> Composer:
    return Composer(load_gallery(gallery), size, snap, seed, styles, placement)


@dataclass(frozen=True)
class Files:
    """A user's own pictures, numbered from ``start``."""

    entries: Sequence[Chosen]
    size: int
    start: int
    aspect: Aspect = "crop"
    background: str = "white"

    def pictures(self, notes: list[Note]) -> Iterator[Picture]:
        for number, (entry, variant) in enumerate(self.entries, self.start):
            change, ample = partial(variant.of, key=entry.key), 1 / LEAST if variant.crop else 1.0
            picture, found = load_picture(entry, self.size, self.aspect, self.background, change, ample)
            notes += found if variant == Variant() else []
            if picture is not None:
                yield number, Sample(variant.key(entry.key), "picture", entry.captions), picture


def build_emoji(
    out: str | Path | None = None,
    world: str = "everyday",
    styles: Sequence[str] | None = None,
    train: int = 30_000,
    val: int = 1_000,
    heldout: int = 1_000,
    edits: int = 0,
    size: int = 128,
    snap: int = 8,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
    placement: str = "slots",
) -> Path:
    """Compose scenes of emoji; the gallery of drawings is made in the user's cache when it isn't there.

    Args:
        out: where the data goes; a folder of the user's cache when None.
        world: "few", "everyday", "common", "composable" or "all", see ``lantu.data.emoji``.
        styles: of the drawings; the first seven of ``lantu.data.styles`` when None.
        train, val, heldout: pictures of each split, see ``lantu.data.scenes``.
        edits: pairs of scenes before and after an instruction, see ``lantu.data.edits``; with some for validation.
        size: pixels a side.
        snap: boxes' edges lie on multiples of ``size / snap``; 0 for anywhere.
        seed: another seed, other scenes.
        workers: processes; one for each core when None.
        progress: called with (done, in all), first for the drawings, then for the pictures.
        placement: "slots", or "anywhere": things of any size at any place, on more backgrounds.

    Returns:
        the data folder.

    Raises:
        DataError: an unknown world or style, a package that can't be had, or other data in ``out``.
        DiskError: it can't be written.
    """
    if placement not in PLACEMENTS:
        raise DataError(f"no placement is called {placement!r}", f"choose from {', '.join(PLACEMENTS)}")
    check_styles(styles or ())  # before a gallery is fetched and made, which takes minutes
    where = "" if placement == "slots" else f"-{placement}"
    folder = Path(out) if out else cache_dir() / "data" / f"emoji-{world}-{size}{where}"
    place, gallery = _gallery(world, styles, workers, progress)
    drawn = tuple(style for style in gallery.styles if not styles or style in styles)
    counts = _counts(train, val, heldout, edits)
    settings: dict[str, Any] = {"world": world, "styles": drawn, "size": size, "snap": snap, "seed": seed}
    settings |= {"counts": counts} | ({"placement": placement} if placement != "slots" else {})
    digest = _digest(settings, sha256(place / CATALOGUE))
    header = {"source": "emoji", "size": size, "settings": settings, "digest": digest, "gallery": str(place.resolve())}
    common = (place, size, snap, seed, drawn)
    jobs = [
        Job(folder, split, shard, source(*common, split, start, min(start + SHARD, count), placement))
        for split, count in counts.items()
        for source in (Pairs if split in EDITS else Scenes,)
        for shard, start in enumerate(range(0, count, SHARD))
    ]
    return write_data(folder, header, jobs, sum(counts.values()), workers, progress)


def _gallery(
    world: str, styles: Sequence[str] | None, workers: int | None, progress: Progress | None
) -> tuple[Path, Gallery]:
    """The gallery of a world and its folder; made if it isn't there.

    Raises:
        DataError: an unknown world or style, or a package that can't be had.
    """
    place, held = gallery_place(world, styles)
    try:
        gallery = load_gallery(place)
    except DataError:
        gallery = build_gallery(place, world, held, workers, progress)
    if unknown := sorted(set(styles or ()) - set(gallery.styles)):
        raise DataError(f"no style is called {unknown[0]!r}", f"choose from {', '.join(gallery.styles)}")
    return place, gallery


def _counts(train: int, val: int, heldout: int, edits: int) -> dict[str, int]:
    """Pictures of each split; two for each pair of ``edits``."""
    counts = {split: count for split, count in (("train", train), ("val", val), ("heldout", heldout)) if count > 0}
    if edits > 0:
        some = max(1, min(EDITS_KEPT, edits // 10))
        counts |= {split: 2 * count for split, count in zip(EDITS, (edits, some, some), strict=True)}
    return counts


def build_folder(
    path: str | Path,
    out: str | Path | None = None,
    size: int = 128,
    val: float | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
    aspect: Aspect | Literal["auto"] = "auto",
    captions: bool = True,
    background: str = "white",
    labels: str = "",
    flips: bool = False,
    crops: int = 0,
) -> Path:
    """Build data from a user's own pictures: see ``lantu.data.folder`` for what ``path`` may be.

    ``index.json`` counts by reason what was taken, changed and left out, see ``lantu.data.account``.

    Args:
        path: a folder of pictures or tars, or a table.
        out: where the data goes; a folder of the user's cache when None.
        size: pixels a side.
        val: share of the pictures that is kept for validation, chosen by a hash of their names: at least one, and none
            if it is 0. Copies of a picture, byte for byte, are kept together. If not given, 0.05, of few pictures more
            (``lantu.data.kept``), and as before where ``out`` has data.
        seed: another seed, another choice.
        workers: processes; one for each core when None.
        progress: called with (pictures done, pictures in all).
        aspect: what becomes of pictures that aren't square: "crop" keeps the central square, "pad" adds background,
            "keep" keeps their shapes (``lantu.images.shapes``); "auto" keeps them where the central square would lose
            much of many pictures, and does as before where ``out`` has data.
        captions: take them; False takes the pictures alone.
        background: the colour behind transparent pictures, as CSS writes it: "white", "#88ccff".
        labels: class labels that become captions too: "folders" for the names of the pictures' folders, or a column of
            the tables; "" for none.
        flips: training pictures are taken mirrored too, but for those whose captions tell left from right, or of
            writing (``lantu.data.sides``). Copies are pictures like others: each part learns them, with their captions.
        crops: of each of these pictures, so many random crops are taken too.

    Returns:
        the data folder.

    Raises:
        DataError: there is nothing to take, a table can't be read, there are no captions though some files look like
            captions, or ``out`` holds other data.
        DiskError: it can't be written.
    """
    path = expand(path).resolve()
    folder = Path(out) if out else cache_dir() / "data" / f"{path.stem}-{size}"
    background = colour(background)
    found = find_entries(path, folder, captions, labels)
    contents = found.contents()
    former = former_settings(folder)
    if aspect == "auto":
        aspect = usual_aspect(found.entries, former)
    if val is None:
        val = usual_share(len(found.entries)) if former is None else former.get("val", SHARE)
    settings = {
        "path": printable(str(path)),
        "size": size,
        "val": val,
        "seed": seed,
        "aspect": aspect,
        "captions": captions,
    }
    # Data of an older version is known by its digest, so what is as it always was is left out.
    settings |= {"background": background} if background != "white" else {}
    settings |= {"labels": labels} if labels else {}
    settings |= ({"flips": True} if flips else {}) | ({"crops": crops} if crops else {})
    if (undecoded := _undecoded(found.entries)) and (former is None or "undecoded" in former):
        settings["undecoded"] = undecoded  # with the decoder it will be other data
    repeated = list(_repeated(found.entries, contents))
    together = bool(repeated) and (former is None or "copies" in former)
    settings |= {"copies": "together"} if together else {}
    known = [(entry.key, entry.captions) for entry in found.entries]
    # Of the bytes: a changed file may have the same length and time as before.
    header = {"source": "folder", "size": size, "settings": settings, "digest": _digest(settings, known, contents)}
    notes, splits = [*found.notes, *repeated], split(found.entries, val, seed, contents if together else None)
    taken = {"train": list(variants(splits["train"], flips, crops, seed, notes))}
    taken["val"] = [(entry, Variant()) for entry in splits["val"]]
    jobs = [
        Job(folder, split, shard, Files(chosen[start : start + SHARD], size, start, aspect, background))
        for split, chosen in taken.items()
        for shard, start in enumerate(range(0, len(chosen), SHARD))
    ]
    return write_data(folder, header, jobs, sum(map(len, taken.values())), workers, progress, notes)


def usual_aspect(entries: Sequence[Entry], former: Mapping[str, Any] | None) -> Aspect:
    """ "keep" where squares would lose much of many pictures, else "crop"; where there is data, what it was built with.

    Args:
        former: settings of the data that is there.

    Photographs of telephones and cameras are 3:4 and 2:3: a square loses a quarter or a third of each, and with it
    things that captions name. Where nearly all pictures are square, there is nothing to keep.
    """
    if former is not None and former.get("aspect") in get_args(Aspect):
        return former["aspect"]
    chosen = np.unique(np.linspace(0, len(entries) - 1, min(LOOKED_AT, len(entries))).astype(int))
    lost = [one for one in (lost_by_cropping(entries[index]) for index in chosen.tolist()) if one is not None]
    return "keep" if sum(one > LOST for one in lost) > MANY * len(lost) else "crop"


def colour(name: str) -> str:
    """A colour as "#rrggbb", or "white". Raises DataError where there is none of that name."""
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except ValueError as problem:
        raise DataError(f"no colour is called {name!r}", "write it as CSS does: white, #88ccff") from problem
    return "white" if (red, green, blue) == (255, 255, 255) else f"#{red:02x}{green:02x}{blue:02x}"


def _undecoded(entries: Sequence[Entry]) -> list[str]:
    """Formats of some of the pictures whose optional decoder is not installed."""
    endings = {Path(entry.key).suffix.lower() for entry in entries}
    return [name for name, (suffixes, there) in OPTIONAL.items() if endings & suffixes and not there()]


def _repeated(entries: Sequence[Entry], contents: Mapping[str, str]) -> Iterator[Note]:
    """Files with the same content as an earlier one."""
    seen = set()
    for entry in entries:
        if digest := digest_of(entry, contents):
            if digest in seen:
                yield Note(entry.key, "pictures whose bytes are those of another one", TAKEN)
            seen.add(digest)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
