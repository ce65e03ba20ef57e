"""Tables that name pictures and their captions: CSV, TSV, JSON lines, JSON (lists, COCO's, kohya's) and parquet."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.data.account import UNUSED, Note
from lantu.data.columns import Spoken, caption_columns, captions_in, decoded, file_column, parsed, plain
from lantu.data.contents import PICTURES, InTable
from lantu.errors import DataError

TABLES = {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"}
SHEETS = {".xlsx", ".xls", ".ods", ".numbers", ".feather", ".arrow"}  # tables that are not read
BESIDE = ("captions", "metadata")  # tables of these names, or of a folder's name, are also read beside the folder
LONGEST_FIELD = 1 << 24
SPILT = "rows with more fields than the header has, whose rest is dropped (a comma outside quotes?)"

RawRow = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """The content of one row of a table.

    Attributes:
        number: from 1.
        name: of the picture, as the table spells it; "" if it names none.
        content: the picture itself, if the table contains it.
        captions: language and caption, in the order of the columns.
    """

    number: int
    name: str
    content: InTable | None
    captions: tuple[Spoken, ...]


class Table:
    """A table, read far enough to know its columns.

    Args:
        path: of the file.
        label: a column of class labels that are captions too; "" for none.

    Attributes:
        columns: all of them.
        file: the column that names or contains the pictures; None if there is none.
        captions: column → language of the columns that hold captions.
        labelled: one of them is the column of labels.
        notes: on rows and columns that are not used, complete once ``rows`` has ended.

    Raises:
        DataError: it can't be read.
    """

    def __init__(self, path: Path, label: str = ""):
        self.path = path
        self.notes: list[Note] = []
        self.holds = False
        self.classes: dict[str, Sequence[Any]] = {}  # column of labels → their names
        self._rows: Iterable[RawRow] = ()
        suffix = path.suffix.lower()
        try:
            if suffix == ".parquet":
                self.columns = self._open_parquet()
            elif suffix in (".jsonl", ".ndjson"):
                self.columns = self._keep(_json_lines(decoded(path.read_bytes())))
            elif suffix == ".json":
                self.columns = self._keep(_json_rows(parsed(path.read_bytes())))
            else:
                self.columns, self._rows = self._csv(decoded(path.read_bytes()))
        except (OSError, ValueError, TypeError, csv.Error) as problem:
            raise _unreadable(path, problem) from problem
        self.file = file_column(self.columns, contents=self.holds)
        self.captions = {name: spoken for name, spoken in caption_columns(self.columns).items() if name != self.file}
        self.labels = [name for name in self.columns if label and plain(name) == plain(label) and name != self.file]
        self.captions |= dict.fromkeys(self.labels, "")
        self.labelled = bool(self.labels)

    @property
    def unused(self) -> list[str]:
        """Columns that are neither the picture nor a caption."""
        return [column for column in self.columns if column != self.file and column not in self.captions]

    def rows(self) -> Iterator[Row]:
        """Every row.

        Raises:
            DataError: the table can't be read.
        """
        try:
            for number, row in enumerate(self._parquet() if self.path.suffix.lower() == ".parquet" else self._rows, 1):
                if row.get(None):  # type: ignore[call-overload]
                    self.notes.append(Note(f"{self.path.name} row {number}", SPILT, UNUSED))
                captions, wrong = captions_in(self._named(row), self.captions)
                self.notes += [Note(f"{self.path.name} row {number}", problem, UNUSED) for problem in wrong]
                value = row.get(self.file) if self.file else None
                content = value if isinstance(value, InTable) else None
                name = "" if content or value is None else str(value).strip()
                yield Row(number, name, content, tuple(captions))
        except (OSError, ValueError, csv.Error) as problem:
            raise _unreadable(self.path, problem) from problem

    def _named(self, row: RawRow) -> RawRow:
        """The row with labels that are numbers as text: by their names, where the table has these."""
        changed = {}
        for column in self.labels:
            value, names = row.get(column), self.classes.get(column, ())
            if isinstance(value, int) and not isinstance(value, bool):
                changed[column] = str(names[value]) if 0 <= value < len(names) else str(value)
        return {**row, **changed} if changed else row

    def _keep(self, rows: Sequence[RawRow]) -> list[str]:
        self._rows = rows
        return list(dict.fromkeys(str(name) for row in rows for name in row))

    def _csv(self, text: str) -> tuple[list[str], Iterable[RawRow]]:
        csv.field_size_limit(LONGEST_FIELD)
        head = text.lstrip("\r\n").partition("\n")[0]
        marks = "\t,;|" if self.path.suffix.lower() == ".tsv" else ",;\t|"
        mark = max(marks, key=lambda mark: (mark in head and bool(_usable(head.split(mark))), head.count(mark)))
        if "\0" in text:
            raise ValueError("it holds bytes of 0")
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
        first = next((line for line in lines if any(line)), [])
        if len(first) == 2 and Path(first[0]).suffix.lower() in PICTURES:
            reason = "tables without a header, read as a picture's name and its caption"
            self.notes.append(Note(self.path.name, reason, "taken"))
            return ["file", "caption"], (_row(["file", "caption"], line) for line in [first, *lines] if any(line))
        first = _distinct(first)
        return first, (_row(first, line) for line in lines if any(line))

    def _open_parquet(self) -> list[str]:
        try:
            from pyarrow import types
            from pyarrow.parquet import ParquetFile
        except ImportError as problem:
            raise DataError("reading parquet needs pyarrow", "install lantu[train]") from problem
        with ParquetFile(self.path) as file:
            schema = file.schema_arrow
            if len(set(schema.names)) < len(schema.names):
                raise ValueError("two of its columns have one name")
            self.classes = _classes(schema.metadata or {})
            if column := file_column(schema.names, contents=True):
                kind = schema.field(column).type
                binary = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_struct)
                self.holds = any(test(kind) for test in binary)
        return schema.names

    def _parquet(self) -> Iterator[RawRow]:
        from pyarrow.parquet import ParquetFile

        with ParquetFile(self.path) as file:
            read = [*self.captions, *([self.file] if self.file and not self.holds else [])]
            for group in range(file.num_row_groups):
                for place, row in enumerate(file.read_row_group(group, columns=read).to_pylist()):
                    if self.holds and self.file:
                        row = row | {self.file: InTable(self.path, group, place, self.file)}
                    yield row


def holds_pictures(path: Path) -> bool:
    """Whether a table contains pictures, as parquet may."""
    try:
        return path.suffix.lower() == ".parquet" and Table(path).holds
    except DataError:
        return False


def tables_beside(root: Path) -> Iterator[Path]:
    """Tables that lie beside a folder and are about it, to judge by their names."""
    try:
        inside = sorted(root.parent.iterdir())
    except OSError:
        return
    for file in inside:
        named = file.stem.lower() in (*BESIDE, root.name.lower())
        if named and file.suffix.lower() in (*TABLES, ".json") and file.is_file():
            yield file


def _usable(names: Iterable[str]) -> bool:
    names = [name.strip('"') for name in names]
    return bool(file_column(names) or caption_columns(names))


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of columns, of which no two are the same: ``caption``, ``caption 2``."""
    made: list[str] = []
    for name in names:
        distinct, number = name, 1
        while name and distinct in made:
            number += 1
            distinct = f"{name} {number}"
        made.append(distinct)
    return made


def _classes(metadata: Mapping[bytes, bytes]) -> dict[str, Sequence[Any]]:
    """Names of the labels of each column that Hugging Face's datasets calls a ``ClassLabel``."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        named = {column: feature.get("names") for column, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {column: names for column, names in named.items() if isinstance(names, list)}


def _row(names: Sequence[str], line: Sequence[str]) -> RawRow:
    row: dict[Any, Any] = dict(zip(names, line, strict=False))
    if any(line[len(names) :]):
        row[None] = line[len(names) :]
    return row


def _json_lines(text: str) -> list[RawRow]:
    rows = [parsed(line) for line in text.split("\n") if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is no JSON object")
    return rows


def _json_rows(value: Any) -> list[RawRow]:
    """A list of objects; COCO's images and annotations; or kohya's pictures by name. No rows for any other JSON."""
    if isinstance(value, list):
        return value if all(isinstance(row, dict) for row in value) else []
    if not isinstance(value, dict):
        return []
    images, annotations = value.get("images"), value.get("annotations")
    if isinstance(images, list) and isinstance(annotations, list):
        names = {one.get("id"): one.get("file_name") for one in images if isinstance(one, dict)}
        captioned = [one for one in annotations if isinstance(one, dict) and "caption" in one]
        return [{"file_name": names.get(one.get("image_id")), "caption": one["caption"]} for one in captioned]
    if all(isinstance(one, dict) for one in value.values()):
        return [{**one, "file": name} for name, one in value.items()]
    if all(isinstance(one, str) for one in value.values()) and any(Path(name).suffix for name in value):
        return [{"file": name, "caption": one} for name, one in value.items()]
    return []


def _unreadable(table: Path, problem: Exception) -> DataError:
    return DataError(f"{table} can't be read ({problem})", "save it anew as CSV in UTF-8, or as parquet")
