"""Documents as ids, in formats that other trainers read.

    jsonl      a line {"key", "ids", "answer"} for each document
    parquet    the same as columns
    megatron   Megatron's indexed dataset: OUT.bin, the ids of all documents in sequence, and OUT.idx

``answer`` is the index at which the document's last part begins: train on all ids, or from there on.
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lantu.data.codes import load_codes
from lantu.data.shards import Shards
from lantu.errors import DataError
from lantu.files import replacing
from lantu.tokens.document import LANGUAGES, to_ids
from lantu.types import CodeGrid, Document, Sample
from lantu.weights.language_config import read_vocabulary
from lantu.weights.text_codec import read_codec

Progress = Callable[[int, int], None]


class Record(NamedTuple):
    """A document: its picture's key, (N,) int32 ids, and the index at which the answer begins."""

    key: str
    ids: np.ndarray
    answer: int


def export(
    folder: str | Path,
    name: str,
    language: str | Path,
    out: str | Path,
    format: str = "jsonl",
    split: str = "train",
    progress: Progress | None = None,
) -> int:
    """Write every document of a split.

    Args:
        folder: of the data.
        name: of the codes, as they were made with ``tokenize``.
        language: folder of the language model, or of its tokenizer and config.
        out: the file; for Megatron its name without ".bin".
        format: "jsonl", "parquet" or "megatron".
        split: of the data.
        progress: called with (pictures done, pictures in all).

    Returns:
        how many documents were written.

    Raises:
        DataError: no data or codes, codes of another tokenizer, or an unknown format.
        ModelError: ``language`` has no tokenizer or vocabulary.
        DiskError: it can't be written.
    """
    if format not in WRITERS:
        raise DataError(f"no format is called {format!r}", f"choose from {', '.join(WRITERS)}")
    shards, codes_Nhw = Shards(folder, split), load_codes(folder, name, split)
    vocabulary, codec = read_vocabulary(language), read_codec(language)

    def records() -> Iterator[Record]:
        for number in range(len(shards)):
            sample = shards.sample(number)
            for document in documents(sample, codes_Nhw[number]):
                try:
                    ids, owners = to_ids(document, vocabulary, codec.encode)
                except ValueError as problem:
                    raise DataError(
                        f"picture {sample.key} can't be exported ({problem})", "name its codes"
                    ) from problem
                yield Record(sample.key, ids, int((owners == owners[-1]).argmax()))
            if progress:
                progress(number + 1, len(shards))

    return WRITERS[format](Path(out), records())


def documents(sample: Sample, codes_hw: np.ndarray) -> Iterator[Document]:
    """A drawing document for every caption, one captioning document per language; a picture without captions alone."""
    grid = CodeGrid(codes_hw)
    if not any(sample.captions.values()):
        yield Document((grid,))
    for language, captions in sample.captions.items():
        mark = language if language in LANGUAGES else ""
        for caption in captions:
            yield Document((caption, grid), mark)
        for caption in captions[: bool(mark)]:  # a caption needs the id of its language
            yield Document((grid, caption), mark)


def write_jsonl(out: Path, records: Iterable[Record]) -> int:
    """One JSON object a line."""
    count = 0
    with replacing(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        for record in records:
            count += 1
            line = {"key": record.key, "ids": record.ids.tolist(), "answer": record.answer}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return count


def write_parquet(out: Path, records: Iterable[Record]) -> int:
    """Columns key (string), ids (list of int32), answer (int32); a thousand documents a row group."""
    try:
        import pyarrow
        from pyarrow.parquet import ParquetWriter
    except ImportError as problem:
        raise DataError("writing parquet needs pyarrow", "install lantu[train]") from problem
    fields = {"key": pyarrow.string(), "ids": pyarrow.list_(pyarrow.int32()), "answer": pyarrow.int32()}
    schema = pyarrow.schema(list(fields.items()))
    count, group = 0, []
    with replacing(out) as temporary, ParquetWriter(temporary, schema) as writer:
        for record in records:
            count += 1
            group.append(record._asdict())
            if len(group) == 1000:
                writer.write_table(pyarrow.Table.from_pylist(group, schema))
                group = []
        if group:
            writer.write_table(pyarrow.Table.from_pylist(group, schema))
    return count


def write_megatron(out: Path, records: Iterable[Record]) -> int:
    """Megatron-LM's ``IndexedDataset``, version 1, of int32 ids; each document is one sequence.

    The index: b"MMIDIDX\\0\\0", version (uint64), type of the ids (uint8; 4 is int32), the number of sequences and of
    document bounds (uint64 each), lengths in ids (int32), places in bytes (int64), document bounds (int64), all
    little-endian.
    """
    lengths: list[int] = []
    with replacing(out.with_name(f"{out.name}.bin")) as temporary, temporary.open("wb") as file:
        for record in records:
            file.write(record.ids.astype("<i4").tobytes())
            lengths.append(len(record.ids))
    bounds = np.arange(len(lengths) + 1, dtype="<i8")
    places = np.cumsum([0, *lengths[:-1]], dtype="<i8")[: len(lengths)] * 4
    with replacing(out.with_name(f"{out.name}.idx")) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, 4, len(lengths), len(bounds)))
        for array in (np.array(lengths, "<i4"), places, bounds):
            file.write(array.tobytes())
    return len(lengths)


WRITERS = {"jsonl": write_jsonl, "parquet": write_parquet, "megatron": write_megatron}
