"""``lantu data tokenize --ray``: the codes of a data set, made on a Ray cluster.

Workers encode spans of pictures, and this process appends the codes in order to the same file as without a cluster. So
a run that was killed can go on with or without one, and the bytes are the same.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lantu.data.codes import Progress, rows_of, tokenize
from lantu.data.shards import Shards
from lantu.errors import ModelError
from lantu.models.loader import choose_device
from lantu.recipes.bulk.cluster import Cluster, Do
from lantu.recipes.codes import encoder, load_tokenizer, name_of
from lantu.recipes.sources import part_folder

BATCHES = 16  # that a worker encodes before it gives the codes back


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
        order = {"data": str(data), "split": shards.split, "tokenizer": str(tokenizer), "name": name}
        order |= {"batch": batch, "row": row, "device": device}
        for _, encoded in cluster.each(encoding, order, spans, device, ordered=True):
            yield np.frombuffer(encoded, np.uint16).reshape(-1, *row)

    tokenize(data, encoder(loaded, data), name, progress=progress, rows=rows)
    return name


def encoding(order: dict[str, Any]) -> Do:
    """What a worker does with each span of pictures, in the batches that one process would make."""
    tokenizer, name, batch = order["tokenizer"], order["name"], order["batch"]
    loaded = load_tokenizer(Path(tokenizer))
    if (found := name_of(loaded)) != name:
        what = f"{tokenizer} is another image tokenizer on a worker (its codes are {found}, not {name})"
        raise ModelError(what, "give all machines the same files")
    device, data, row = choose_device(order["device"]), Path(order["data"]), tuple(order["row"])
    shards, encode = Shards(data, order["split"]), encoder(loaded.to(device), data, device)

    def do(span: list[int]) -> bytes:
        starts = range(span[0], span[1], batch)
        made = [rows_of(shards, np.arange(first, min(first + batch, span[1])), encode, row) for first in starts]
        return np.concatenate(made).tobytes()

    return do
