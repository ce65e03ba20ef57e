"""A data folder made in milliseconds."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lantu.data.account import Note
from lantu.data.shards import index_shard, save_split, shard_path, write_index, write_shard
from lantu.data.writer import Job, write_data
from lantu.types import Placed, Sample


def sample(number: int) -> Sample:
    """What is known of the picture with this number."""
    return Sample(
        key=f"fake.{number}",
        kind=("single", "scene")[number % 2],
        captions={"en": (f"cat {number}", "a cat"), "zh": (f"猫{number}",)},
        objects=(Placed("1F431", "noto", (0.0, 0.25, 0.5, 1.0)),),
        background="white",
    )


def image(number: int, size: int) -> np.ndarray:
    """(H, W, 3) uint8; the first pixel is the number."""
    pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)
    pixels[0, 0] = number
    return pixels


def make_data(folder: Path, size: int = 8, per_shard: int = 4, **counts: int) -> Path:
    """Write a data folder with so many pictures in each split."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = {}
    for split, count in (counts or {"train": 10, "val": 3}).items():
        places = []
        for shard, start in enumerate(range(0, count, per_shard)):
            numbers = range(start, min(start + per_shard, count))
            path = shard_path(folder, split, shard)
            write_shard(path, ((number, sample(number), image(number, size)) for number in numbers))
            places.append(index_shard(path, shard))
        splits[split] = {"count": save_split(folder, split, places), "shards": len(places)}
    write_index(folder, {"source": "fake", "size": size, "settings": {}, "digest": "", "splits": splits, "skipped": []})
    return folder


@dataclass(frozen=True)
class Numbers:
    """A source of pictures ``start`` to ``stop``, each ``pause_s`` late; those in ``broken`` can't be read."""

    start: int
    stop: int
    pause_s: float = 0.0
    broken: tuple[int, ...] = ()

    def pictures(self, notes: list[Note]) -> Iterator[tuple[int, Sample, np.ndarray]]:
        for number in range(self.start, self.stop):
            time.sleep(self.pause_s)
            if number in self.broken:
                notes.append(Note(f"{number}.jpg", "broken"))
            else:
                yield number, sample(number), image(number, 8)


def write_numbers(folder: Path, workers: int = 1, digest: str = "a", **source) -> Path:
    """Build a data folder of 12 training pictures in tars of 3, and 1 for validation."""
    jobs = [Job(folder, "train", shard, Numbers(3 * shard, 3 * shard + 3, **source)) for shard in range(4)]
    jobs.append(Job(folder, "val", 0, Numbers(0, 1)))
    header = {"source": "fake", "size": 8, "settings": {"digest": digest}, "digest": digest}
    return write_data(folder, header, jobs, 13, workers)


if __name__ == "__main__":
    write_numbers(Path(sys.argv[1]), workers=2, pause_s=0.3)
