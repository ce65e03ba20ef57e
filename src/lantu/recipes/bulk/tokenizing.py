"""``lantu data tokenize --ray``: the codes of a data set, made on a Ray cluster.

Workers encode spans of pictures, and this process appends the codes in order to the same file as without a cluster. So
a run that was killed can go on with or without one, and the bytes are the same.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from lantu.data.codes import Progress, rows_of, tokenize
from lantu.data.shards import Shards
from lantu.errors import ModelError
from lantu.models.loader import choose_device
from lantu.recipes.bulk.cluster import Cluster
from lantu.recipes.codes import encoder, load_tokenizer, name_of
from lantu.recipes.sources import part_folder

BATCHES = 16  # that a worker encodes before it gives the codes back
Span = tuple[int, int]


def tokenize_on_ray(
    data: str | Path, tokenizer: Path, cluster: Cluster, device: str = "cpu", progress: Progress | None = None
) -> str:
    """Make a data set's codes where they are missing; returns the name under which they are kept.

    Args:
        data: its folder, which workers on other machines see by the same path, like the tokenizer's.
        tokenizer: a run, a model or its folder.
        device: "cpu"; else workers have a GPU each, see ``Cluster.each``.
        progress: called with (pictures done, pictures in all).

    Raises:
        RecipeError, ModelError: there is no tokenizer.
        DataError: no data, or a picture can't be read.
        DiskError: the codes can't be written.
        LantuError: there is no cluster, or it is lost.
    """
    data, tokenizer = Path(data).absolute(), part_folder(tokenizer, "tokenizer").absolute()
    loaded = load_tokenizer(tokenizer)
    name = name_of(loaded)

    def rows(shards: Shards, start: int, batch: int, row: tuple[int, ...]) -> Iterator[np.ndarray]:
        step = batch * BATCHES
        spans = ((first, min(first + step, len(shards))) for first in range(start, len(shards), step))
        make = partial(_encoding, data, shards.split, tokenizer, name, batch, row, device)
        for encoded in cluster.each(make, spans, device, ordered=True):
            yield np.frombuffer(encoded, np.uint16).reshape(-1, *row)

    tokenize(data, encoder(loaded, data), name, progress=progress, rows=rows)
    return name


def _encoding(
    data: Path, split: str, tokenizer: Path, name: str, batch: int, row: tuple[int, ...], device: str
) -> Callable[[Span], bytes]:
    """What a worker does with each span of pictures, in the batches that one process would make."""
    loaded = load_tokenizer(tokenizer)
    if (found := name_of(loaded)) != name:
        what = f"{tokenizer} is another image tokenizer on a worker (its codes are {found}, not {name})"
        raise ModelError(what, "give all machines the same files")
    device = choose_device(device)
    shards, encode = Shards(data, split), encoder(loaded.to(device), data, device)

    def do(span: Span) -> bytes:
        starts = range(span[0], span[1], batch)
        made = [rows_of(shards, np.arange(first, min(first + batch, span[1])), encode, row) for first in starts]
        return np.concatenate(made).tobytes()

    return do
