"""A gallery of emoji: the drawings of several styles, rasterised on all cores, with names in English and Chinese."""

import hashlib
import importlib.util
import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from lantu.data.drawings import drawings
from lantu.data.gallery import SPRITE_SIZE, Gallery, load_gallery, save_gallery
from lantu.data.names import WORDED, all_labels, world_concepts
from lantu.data.rasterise import rasterise
from lantu.data.styles import FIRST, STYLES
from lantu.errors import TRAINING, DataError
from lantu.files import cache_dir, replacing

PART = 64

Progress = Callable[[int, int], None]


def gallery_place(world: str, styles: Sequence[str] | None = None) -> tuple[Path, tuple[str, ...]]:
    """The folder of a world's gallery in the cache, and its styles: the first seven, or all if others are asked for.

    The galleries of the first seven styles never change, so that scores from them stay comparable. Those of worlds that
    were given more words lie beside the former ones, which data that was built with them refers to.
    """
    beyond = any(style in STYLES and style not in FIRST for style in styles or ())
    worded = f"{world}-words" if world in WORDED else world
    name, held = (f"{worded}-{len(STYLES)}", tuple(STYLES)) if beyond else (worded, FIRST)
    return cache_dir() / "galleries" / name, held


def check_styles(styles: Sequence[str]) -> None:
    """Refuse unknown styles.

    Raises:
        DataError: one is not in ``STYLES``.
    """
    if unknown := [style for style in styles if style not in STYLES]:
        raise DataError(f"no style is called {unknown[0]!r}", f"choose from {', '.join(STYLES)}")


def build_gallery(
    folder: str | Path,
    world: str = "everyday",
    styles: Sequence[str] = FIRST,
    workers: int | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> Gallery:
    """Rasterise every drawing of a world's concepts and store them as a gallery.

    Finished parts are kept until the end, so a killed build continues where it stopped; a gallery that is up to date is
    opened as it is.

    Args:
        folder: where the gallery goes.
        world: "few" (56 things, for experiments of minutes), "everyday" (about 200 well-known ones), "common" (some
            150 more), "composable" (all that can stand in a scene) or "all".
        styles: keys of ``STYLES``.
        workers: processes; one for each core when None.
        progress: called with (drawings done, drawings in all).
        cache: where packages are kept; the user's cache when None.

    Raises:
        DataError: an unknown world or style, or a package can't be had.
        DiskError: the gallery can't be written.
    """
    check_styles(styles)
    if importlib.util.find_spec("resvg_py") is None:
        raise DataError("drawings can't be rasterised without resvg-py", TRAINING)
    folder = Path(folder)
    concepts = world_concepts(world, cache)
    labels = all_labels(cache)
    drawn = {style: drawings(style, labels, cache) for style in styles}
    concepts = {key: concept for key, concept in concepts.items() if any(key in drawn[style] for style in styles)}
    cells = [(key, style) for key in concepts for style in styles if key in drawn[style]]
    work = [drawn[style][key] for key, style in cells]
    digest = hashlib.sha256(repr((concepts, cells)).encode() + b"".join(work)).hexdigest()
    if _digest_of(folder) != digest:
        parts = folder / f"parts-{digest[:16]}"
        _rasterise_parts(work, parts, workers, progress)
        save_gallery(folder, concepts, tuple(styles), cells, _stored(parts, len(work)), digest)
        for old in folder.glob("parts-*"):
            shutil.rmtree(old)
    return load_gallery(folder)


def _digest_of(folder: Path) -> str:
    try:
        return load_gallery(folder).digest
    except DataError:
        return ""


def _rasterise_parts(work: Sequence[bytes], parts: Path, workers: int | None, progress: Progress | None) -> None:
    """Rasterise the drawings into files of ``PART`` sprites, skipping the files that are there."""
    starts = range(0, len(work), PART)
    missing = [start for start in starts if not _part(parts, start).exists()]
    jobs = ((_part(parts, start), work[start : start + PART]) for start in missing)
    there = len(starts) - len(missing)
    # A forked child would inherit the locks of its parent's threads; and the parent handles Ctrl-C.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)
    )
    with pool:
        for done, _ in enumerate(pool.map(_rasterise_part, jobs), start=there + 1):
            if progress:
                progress(min(done * PART, len(work)), len(work))


def _rasterise_part(job: tuple[Path, Sequence[bytes]]) -> None:
    path, work = job
    sprites = np.stack([rasterise(drawing, SPRITE_SIZE) for drawing in work])
    with replacing(path) as temporary:
        np.save(temporary, sprites)


def _part(parts: Path, start: int) -> Path:
    return parts / f"{start:06d}.npy"


def _stored(parts: Path, count: int) -> Iterator[np.ndarray]:
    for start in range(0, count, PART):
        yield from np.load(_part(parts, start))
