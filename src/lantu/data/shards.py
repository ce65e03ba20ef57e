"""Pictures and their descriptions on disk: WebDataset tars with an index for random access.

    index.json        what the data is, how it was made, how many pictures each split has
    train-00000.tar   0000000.png + 0000000.json, 0000001.png + …: ``SHARD`` pictures a tar
    train.npy         (N, 5) int64: tar, picture's offset and size, description's offset and size, in bytes; where
                      pictures are of several shapes (N, 7), with height and width in pixels

PNG at its fastest: a composed scene of 128 pixels takes 8 KiB, 1.5 ms to write and 0.6 ms to read. Lossless WebP is as
large at that speed, a quarter smaller at three times the time, and no faster to read.

Shapes: B batch, H W pixels.
"""

import io
import json
import mmap
import struct
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from lantu.data.order import groups
from lantu.errors import DataError
from lantu.files import replacing, write_json
from lantu.types import Placed, Sample

INDEX = "index.json"
SHARD = 500
REBUILD = "delete the folder and build the data again"
COLUMNS, SHAPED = 5, 7  # of an index: of squares, and of pictures of several shapes
DIMENSIONS = slice(16, 24)  # bytes of a PNG that hold its width and height


class Shards:
    """One split of a data folder. Safe to share between threads, and to send to other processes.

    Args:
        folder: where the data was built.
        split: "train", "val" or "heldout" for composed data; "train" or "val" for a user's own.
        or_empty: a split that the data doesn't have is empty.

    Attributes:
        size: pixels a side; of pictures of several shapes, a side of the square that is about as large.
        shaped: the pictures are not all squares.
        shapes: (N, 2) int64, height and width of each picture in pixels.

    Raises:
        DataError: there is no data, the build has not ended, or the split is unknown or damaged.
    """

    def __init__(self, folder: str | Path, split: str, or_empty: bool = False):
        self.folder, self.split = Path(folder), split
        index = read_index(self.folder)
        self.size: int = index["size"]
        if split not in index["splits"] and not (or_empty and index["splits"]):
            known = ", ".join(index["splits"]) or "none: the build has not ended"
            raise DataError(f"no split {split!r} in {folder} (it has {known})", "build the data, or name another split")
        self._places = self._load(index["splits"].get(split))
        self.shaped = self._places.shape[1] == SHAPED
        square = np.broadcast_to(np.int64(self.size), (len(self._places), 2))
        self.shapes: np.ndarray = np.array(self._places[:, COLUMNS:]) if self.shaped else square
        # Dropping an old map doesn't affect a thread that still reads from it, and limits the number of open files.
        self._tar = lru_cache(maxsize=128)(self._map)
        self._readers = ThreadPoolExecutor(2, thread_name_prefix=f"{split}-reader")

    def __reduce__(self) -> tuple[Any, ...]:
        return Shards, (self.folder, self.split, True)

    def _load(self, described: Mapping[str, Any] | None) -> np.ndarray:
        """(N, 5) or (N, 7) int64: where each picture is, and its height and width if there are several shapes."""
        if described is None:
            return np.empty((0, COLUMNS), np.int64)
        try:
            places = np.load(split_path(self.folder, self.split), mmap_mode="r")
        except (OSError, ValueError) as problem:
            what = f"the index of {self.split} in {self.folder} can't be read ({problem})"
            raise DataError(what, REBUILD) from problem
        if places.shape not in ((described["count"], COLUMNS), (described["count"], SHAPED)):
            raise DataError(f"the index of {self.split} in {self.folder} is damaged", REBUILD)
        return places

    def __len__(self) -> int:
        return len(self._places)

    def sample(self, index: int) -> Sample:
        """The description of a picture.

        Raises:
            DataError: it can't be read.
        """
        shard, _, _, offset, size = self._places[index][:COLUMNS].tolist()
        try:
            return from_description(json.loads(self._tar(shard)[offset : offset + size]))
        except (ValueError, KeyError, TypeError) as problem:
            raise DataError(f"picture {index} of {self.split} has no description ({problem})", REBUILD) from problem

    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8.

        Raises:
            DataError: the picture can't be read.
        """
        shard, offset, size, _, _ = self._places[index][:COLUMNS].tolist()
        try:
            with Image.open(io.BytesIO(self._tar(shard)[offset : offset + size])) as picture:
                return np.asarray(picture.convert("RGB"))
        except (OSError, SyntaxError) as problem:
            raise DataError(f"picture {index} of {self.split} is corrupt ({problem})", REBUILD) from problem

    def images(self, indices: Iterable[int]) -> np.ndarray:
        """(B, H, W, 3) uint8, decoded by two threads; all of one shape.

        Raises:
            DataError: a picture can't be read.
            ValueError: they are of several shapes.
        """
        wanted = list(indices)
        found = {tuple(self.shapes[index].tolist()) for index in wanted} or {(self.size, self.size)}
        if len(found) > 1:
            raise ValueError(f"pictures of {len(found)} shapes in one array")
        images_BHW3 = np.empty((len(wanted), *found.pop(), 3), np.uint8)

        def fill(row: int) -> None:
            images_BHW3[row] = self.image(wanted[row])

        for _ in self._readers.map(fill, range(len(wanted))):
            pass
        return images_BHW3

    def alike(self, indices: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The pictures by shape: places in ``indices``, and (B, H, W, 3) uint8.

        Raises:
            DataError: a picture can't be read.
        """
        for places in groups(self.shapes[indices]):
            yield places, self.images(indices[places].tolist())

    def _map(self, shard: int) -> mmap.mmap:
        path = shard_path(self.folder, self.split, shard)
        try:
            with path.open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as problem:
            raise DataError(f"{path} can't be read ({problem})", REBUILD) from problem


def shard_path(folder: Path, split: str, shard: int) -> Path:
    """The path of a tar."""
    return folder / f"{split}-{shard:05d}.tar"


def write_shard(path: Path, pictures: Iterable[tuple[int, Sample, np.ndarray]]) -> None:
    """Write a tar, completely or not at all. The same pictures give the same bytes.

    Args:
        path: of the tar.
        pictures: number within the split, description, (H, W, 3) uint8.

    Raises:
        DiskError: it can't be written.
    """
    with replacing(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, sample, image in pictures:
            png = io.BytesIO()
            Image.fromarray(image).save(png, format="PNG", compress_level=1)
            _add(tar, f"{number:07d}.png", png.getvalue())
            _add(tar, f"{number:07d}.json", json.dumps(asdict(sample), ensure_ascii=False).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def index_shard(path: Path, shard: int) -> np.ndarray:
    """(N, 7) int64 rows of the index: ``shard``, where each picture and description of the tar lies, height and width.

    Raises:
        DataError: it can't be read, or isn't one that ``write_shard`` wrote.
    """
    try:
        with tarfile.open(path, "r:") as tar, path.open("rb") as file:
            members = tar.getmembers()
            sides = [_sides(file, image.offset_data) for image in members[0::2]]
    except (OSError, tarfile.TarError) as problem:
        raise DataError(f"{path} can't be read ({problem})", "delete it and build again") from problem
    images, texts = members[0::2], members[1::2]
    if len(images) != len(texts) or any(not image.name.endswith(".png") for image in images):
        raise DataError(f"{path} was not written by lantu", "build into another folder")
    places = [
        (shard, image.offset_data, image.size, text.offset_data, text.size, *shape)
        for image, text, shape in zip(images, texts, sides, strict=True)
    ]
    return np.array(places, np.int64).reshape(-1, SHAPED)


def _sides(file: BinaryIO, offset: int) -> tuple[int, int]:
    """Height and width of the PNG at an offset."""
    file.seek(offset)
    head = file.read(DIMENSIONS.stop)[DIMENSIONS]
    width, height = struct.unpack(">II", head.ljust(8, b"\0"))
    return height, width


def split_path(folder: Path, split: str) -> Path:
    """Where the index of a split lies."""
    return folder / f"{split}.npy"


def save_split(folder: Path, split: str, places: Iterable[np.ndarray]) -> int:
    """Write a split's index from the rows of its tars, in order; returns how many pictures it has."""
    index = np.concatenate([np.empty((0, SHAPED), np.int64), *places])
    if len(np.unique(index[:, COLUMNS:])) <= 1:  # squares of one size
        index = index[:, :COLUMNS]
    with replacing(split_path(folder, split)) as temporary:
        np.save(temporary, index)
    return len(index)


def from_description(description: Mapping[str, Any]) -> Sample:
    """The sample that a ``.json`` of a tar describes.

    Raises:
        KeyError, TypeError: it is not a description.
    """
    return Sample(
        key=description["key"],
        kind=description["kind"],
        captions={language: tuple(texts) for language, texts in description["captions"].items()},
        objects=tuple(
            Placed(placed["concept"], placed["style"], tuple(placed["box"])) for placed in description["objects"]
        ),
        background=description["background"],
    )


def read_index(folder: str | Path) -> dict[str, Any]:
    """The content of a data folder's ``index.json``.

    Returns:
        format, version, source, size, settings, digest, gallery, splits, skipped, account (see ``lantu.data.account``).

    Raises:
        DataError: there is none, or it can't be read.
    """
    try:
        index = json.loads((Path(folder) / INDEX).read_text(encoding="utf-8"))
        missing = {"size", "settings", "digest", "splits"} - set(index)
    except FileNotFoundError as problem:
        raise DataError(f"no data in {folder}", "build it with `lantu data build`, or name another folder") from problem
    except (OSError, ValueError) as problem:
        raise DataError(f"{Path(folder) / INDEX} can't be read ({problem})", REBUILD) from problem
    if missing:
        raise DataError(f"{Path(folder) / INDEX} lacks {', '.join(sorted(missing))}", REBUILD)
    return index


def write_index(folder: Path, index: Mapping[str, Any]) -> None:
    """Write ``index.json``, the last step of a build.

    Raises:
        DiskError: it can't be written.
    """
    write_json(folder / INDEX, index)


def gallery_of(folder: str | Path) -> Path:
    """The folder of the gallery that a data folder's scenes were composed from.

    Raises:
        DataError: the data has no gallery (a user's own pictures), or it is gone.
    """
    gallery = read_index(folder).get("gallery")
    if not gallery:
        raise DataError(
            f"the pictures in {folder} come from no gallery", "name data built with `lantu data build emoji`"
        )
    if not Path(gallery).is_dir():
        raise DataError(f"the gallery {gallery} is missing", "build the data again: only the gallery is made anew")
    return Path(gallery)
