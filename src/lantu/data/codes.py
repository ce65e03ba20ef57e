"""The codes of a data set under one tokenizer, kept beside the data.

``codes-<name>-<split>.npy`` holds (N, h, w) uint16, in the order of the split (where pictures have several shapes, the
rows of ``lantu.data.grids``), ``codes-<name>.json`` the digest of the data. While codes are made, batches are appended
to ``codes-<name>-<split>.part`` (bare numbers), so that a killed run continues after the last whole batch.

Shapes: B batch, N pictures, H W pixels, h w grid.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from lantu.data.grids import SIDES, Grids, as_row
from lantu.data.order import groups
from lantu.data.shards import Shards, read_index
from lantu.errors import DataError, DiskError
from lantu.files import locked, replacing, write_json, writing
from lantu.tokens.vocabulary import MAX_CODES

COMPARED = 16  # pictures of a split whose codes are looked at
ALIKE = 0.9  # share of their codes that must be the same

Encode = Callable[[np.ndarray], np.ndarray]
Progress = Callable[[int, int], None]
# (split, first picture, pictures of a batch, shape of a row) → the rows of all pictures from there on, in order
Rows = Callable[[Shards, int, int, tuple[int, ...]], Iterator[np.ndarray]]


def tokenize(
    folder: str | Path,
    encode: Encode,
    name: str,
    batch: int = 64,
    progress: Progress | None = None,
    rows: Rows | None = None,
) -> None:
    """Encode every split whose codes are missing.

    Args:
        folder: of the data.
        encode: (B, H, W, 3) uint8, of any shape that the pictures have → (B, h, w) codes.
        name: of the tokenizer; each name has codes of its own.
        batch: pictures at a time.
        progress: called with (pictures done, pictures in all).
        rows: encodes elsewhere, in the same batches; None for this process, with ``encode``.

    Raises:
        DataError: no data, or a picture can't be read.
        DiskError: the codes can't be written.
    """
    splits = {split: Shards(folder, split) for split in read_index(folder)["splits"]}
    _claim(Path(folder), splits, encode, name)
    total, done = sum(map(len, splits.values())), 0
    rows = rows or here(encode)
    for split, shards in splits.items():
        path = codes_path(folder, name, split)
        if not path.exists():
            before = done

            def report(count: int, before: int = before) -> None:
                if progress:
                    progress(before + count, total)

            with locked(Path(folder) / f".codes-{name}.lock"):
                # Another process that needs the same codes may have made them meanwhile.
                if not path.exists():
                    _encode_split(shards, encode, rows, path, batch, report)
        done += len(shards)
    if progress:
        progress(total, total)


def load_codes(folder: str | Path, name: str, split: str, or_empty: bool = False) -> np.ndarray | Grids:
    """(N, h, w) uint16, a memory map; ``Grids`` of pictures of several shapes.

    Args:
        or_empty: return no codes for a split that the data doesn't have.

    Raises:
        DataError: they have not been made, or belong to other data.
    """
    path = codes_path(folder, name, split)
    if or_empty and split not in read_index(folder)["splits"]:
        return np.empty((0, 1, 1), np.uint16)
    remake = "make them with `lantu data tokenize`"
    try:
        codes_Nhw = np.load(path, mmap_mode="r")
    except FileNotFoundError as problem:
        raise DataError(f"no codes {name!r} of {split} in {folder}", remake) from problem
    except (OSError, ValueError) as problem:
        raise DataError(f"{path} can't be read ({problem})", f"delete it and {remake}") from problem
    _check_owner(Path(folder), name)
    count = read_index(folder)["splits"].get(split, {}).get("count")
    if codes_Nhw.ndim not in (2, 3) or len(codes_Nhw) != count:
        raise DataError(f"{path} has codes of {len(codes_Nhw)} pictures, not {count}", f"delete it and {remake}")
    if codes_Nhw.ndim == 3:
        return codes_Nhw
    grids = Grids(codes_Nhw)
    if not grids.fit:
        raise DataError(f"{path} is damaged", f"delete it and {remake}")
    return grids


def keep_codes(folder: str | Path, name: str, codes: Mapping[str, np.ndarray]) -> None:
    """Keep codes that are known without the tokenizer, such as those of drawings.

    Args:
        codes: split → (N, h, w), in the order of its pictures.

    Raises:
        DiskError: they can't be written.
    """
    for split, codes_Nhw in codes.items():
        with replacing(codes_path(folder, name, split)) as temporary, temporary.open("wb") as file:
            np.save(file, _checked(codes_Nhw, codes_Nhw.shape))
    write_json(_owner_path(Path(folder), name), {"data": read_index(folder)["digest"]})


def codes_path(folder: str | Path, name: str, split: str) -> Path:
    """The file of a split's codes."""
    return Path(folder) / f"codes-{name}-{split}.npy"


def are_there(folder: str | Path, name: str, split: str) -> bool:
    """Whether the codes of a split have been made for this data.

    Raises:
        DataError: no data, or they belong to other data.
    """
    _check_owner(Path(folder), name)
    return codes_path(folder, name, split).exists()


def _owner_path(folder: Path, name: str) -> Path:
    """The file that records the data of these codes."""
    return folder / f"codes-{name}.json"


def _check_owner(folder: Path, name: str) -> bool:
    """Whether the codes are recorded as those of this data.

    Raises:
        DataError: they are recorded as those of other data.
    """
    path = _owner_path(folder, name)
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))["data"]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise DataError(f"{path} can't be read ({problem})", _away(name)) from problem
    if owner != read_index(folder)["digest"]:
        raise DataError(f"the codes {name} in {folder} are of other data", _away(name))
    return True


def _claim(folder: Path, splits: Mapping[str, Shards], encode: Encode, name: str) -> None:
    """Record the data of these codes; codes of lantu 0.1, which have no record, are first compared with some pictures.

    Raises:
        DataError: they are of other data.
    """
    if _check_owner(folder, name):
        return
    for split, shards in splits.items():
        if not _fit(codes_path(folder, name, split), shards, encode):
            raise DataError(f"the codes {name} of {split} in {folder} are not those of its pictures", _away(name))
    whole = all(codes_path(folder, name, split).exists() for split in splits)
    # Read-only data is fine where nothing is missing.
    with contextlib.suppress(DiskError) if whole else contextlib.nullcontext():
        write_json(_owner_path(folder, name), {"data": read_index(folder)["digest"]})


def _fit(path: Path, shards: Shards, encode: Encode) -> bool:
    """Whether the codes that are there, all or some, are those of their pictures; some of them are checked."""
    part = path.with_suffix(".part")
    there = path if path.exists() else part
    if not there.exists() or not len(shards):
        return True
    if shards.shaped:
        return False  # 0.1 knew no shapes
    some = np.unique(np.linspace(0, len(shards) - 1, COMPARED).astype(np.int64))
    made_Bhw = encode(shards.images(some.tolist()))
    try:
        codes = np.load(path, mmap_mode="r") if there is path else np.fromfile(part, np.uint16)
    except (OSError, ValueError):
        return True  # whoever loads them says so
    if there is part:
        done = len(codes) // made_Bhw[0].size
        codes = codes[: done * made_Bhw[0].size].reshape(done, *made_Bhw.shape[1:])
        some, made_Bhw = some[some < done], made_Bhw[some < done]
    elif codes.ndim != 3 or len(codes) != len(shards):
        return True  # the same
    if codes.shape[1:] != made_Bhw.shape[1:]:
        return False
    # Another processor may round a few codes elsewhere.
    return not len(some) or float((codes[some] == made_Bhw).mean()) >= ALIKE


def _away(name: str) -> str:
    return f"move codes-{name}* away, and they are made anew"


def here(encode: Encode) -> Rows:
    """``Rows`` that this process encodes."""

    def rows(shards: Shards, start: int, batch: int, row: tuple[int, ...]) -> Iterator[np.ndarray]:
        for first in range(start, len(shards), batch):
            yield rows_of(shards, np.arange(first, min(first + batch, len(shards))), encode, row)

    return rows


def _encode_split(
    shards: Shards, encode: Encode, rows: Rows, path: Path, batch: int, report: Callable[[int], None]
) -> None:
    """Encode what the part file lacks, then rename it to the finished file."""
    part = path.with_suffix(".part")
    if not len(shards):
        with replacing(path) as temporary:
            np.save(temporary, np.empty((0, 1, 1), np.uint16))
        return
    row = row_shape(shards, encode)
    row_bytes = int(np.prod(row)) * np.dtype(np.uint16).itemsize
    with writing(part), part.open("ab") as file:
        # Whole batches, so that all batches are those of an unbroken run: what is beside a picture may round its codes.
        done = file.tell() // (row_bytes * batch) * batch
        file.truncate(done * row_bytes)
        for made in rows(shards, done, batch, row):
            file.write(made.tobytes())
            file.flush()
            done += len(made)
            report(done)
    codes = np.fromfile(part, np.uint16)[: len(shards) * int(np.prod(row))].reshape(-1, *row)
    with replacing(path) as temporary:
        np.save(temporary, codes)
    part.unlink()


def row_shape(shards: Shards, encode: Encode) -> tuple[int, ...]:
    """The shape of a picture's codes in the file: (h, w), or (2 + most,) for pictures of several shapes."""
    firsts = [encode(shards.images([int(group[0])])).shape[1:] for group in groups(shards.shapes)]
    return (SIDES + max(height * width for height, width in firsts),) if shards.shaped else firsts[0]


def rows_of(shards: Shards, indices: np.ndarray, encode: Encode, row: tuple[int, ...]) -> np.ndarray:
    """(n, *row) uint16: the codes of some pictures as the file keeps them."""
    if not shards.shaped:
        return _checked(encode(shards.images(indices.tolist())), (len(indices), *row))
    rows = np.zeros((len(indices), *row), np.uint16)
    for places, images_BHW3 in shards.alike(indices):
        codes_Bhw = encode(images_BHW3)
        rows[places] = as_row(_checked(codes_Bhw, (len(places), *codes_Bhw.shape[1:])), row[0])
    return rows


def _checked(codes_Bhw: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    codes_Bhw = np.asarray(codes_Bhw)
    if codes_Bhw.shape != shape:
        raise ValueError(f"the tokenizer made codes of shape {codes_Bhw.shape}, not {shape}")
    if codes_Bhw.min() < 0 or codes_Bhw.max() >= MAX_CODES:
        raise ValueError(f"codes from {codes_Bhw.min()} to {codes_Bhw.max()} don't fit in 16 bits")
    return codes_Bhw.astype(np.uint16)
