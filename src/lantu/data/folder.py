"""A user's own pictures and captions: what there is to take, and what of it is not taken.

A source is a folder of pictures with captions in files beside them (``lantu.data.sidecars``) or in tables
(``lantu.data.tables``) in the folder, or beside it if they are named captions, metadata or like the folder; WebDataset
tars (``lantu.data.tars``); parquet tables that contain pictures; or any mixture of these. All captions of a picture are
taken, each once. Every file of the folder ends as a picture, as captions, or in the account (``lantu.data.account``).
"""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lantu.data.account import LEFT_OUT, TAKEN, UNUSED, Note, grouped, printable
from lantu.data.columns import Spoken, caption_columns, decoded, file_column, language_of, merged
from lantu.data.contents import OTHERS, PICTURES, Content, Entry, InFile
from lantu.data.remarks import Suspect, labels_hint, refused, spoken_of
from lantu.data.sidecars import KEYS, Sidecars, captions_from, unused_keys
from lantu.data.spelling import Names, file_named
from lantu.data.tables import SHEETS, TABLES, Row, Table, holds_pictures, tables_beside
from lantu.data.tars import ARCHIVES, in_tar
from lantu.data.walk import files_under, format_of
from lantu.errors import DataError
from lantu.files import sha256

BOXES = re.compile(r"\d+( -?[\d.]+){4,}")  # a line of YOLO annotations
# Text files that are common in folders and never captions.
PAPERS = re.compile(r"(readme|licen[cs]e|notice|changelog|credits|classes|labels|requirements|attribution)", re.I)

NO_ROW = "rows whose picture isn't there"
ADDRESS = "rows that name a web address: download the pictures first"
NAMELESS = "rows that name no picture"
FOLDERS = "folders"  # whose names are labels
ORPHAN = "captions without a picture"


@dataclass
class Found:
    """The content of a source.

    Attributes:
        entries: pictures, in a fixed order, each with a unique key.
        notes: the account of everything else.
    """

    entries: list[Entry]
    notes: list[Note]

    @property
    def left_out(self) -> list[Note]:
        """The number of pictures, and of rows that name some, that can't be taken."""
        return [note for note in self.notes if note.kind == LEFT_OUT]

    def contents(self) -> dict[str, str]:
        """File → SHA-256 of its bytes, of all files that pictures are in."""
        paths = sorted({entry.content.path for entry in self.entries})
        with ThreadPoolExecutor() as readers:
            return dict(zip(map(str, paths), readers.map(_hash, paths), strict=True))


def _hash(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as problem:
        return f"unreadable: {problem.strerror}"  # the picture is left out, with this reason, when it is read


def find_entries(
    path: Path, out: Path | None = None, captions: bool = True, labels: str = "", suspicious: bool = True
) -> Found:
    """Every picture of a source with its captions, and the account of everything else.

    Args:
        path: a folder, a table, a tar or a picture.
        out: the data folder, or the table, that is being written, which is not part of the source.
        captions: take them; False takes the pictures alone.
        labels: class labels that are captions too: ``FOLDERS``, or a column of the tables; "" for none.
        suspicious: refuse a source in which files look like captions, and no picture has one.

    Raises:
        DataError: there is nothing to take, a table can't be read, or the source is suspicious.
    """
    if not path.exists():
        raise DataError(f"there is no {path}", "name a folder of pictures, a table or tars")
    if labels and not captions:
        raise DataError("labels become captions, but captions are left out", "leave out --labels or --no-captions")
    source = Source(path if path.is_dir() else path.parent, labels)
    if path.is_dir():
        source.take_folder(out)
    else:
        source.take_file(path)
    if not suspicious:
        source.suspects.clear()
    return source.finished(path, captions)


@dataclass
class Draft:
    """A picture whose captions are still being collected."""

    content: Content
    spoken: list[Spoken] = field(default_factory=list)


class Source:
    """What has been found so far.

    Args:
        root: the folder to which names are relative.
        labels: see ``find_entries``.
    """

    def __init__(self, root: Path, labels: str = ""):
        self.root, self.labels, self.labelled = root, labels, 0
        self.drafts: dict[str, Draft] = {}
        self.notes: list[Note] = []
        self.suspects: list[Suspect] = []
        self.unused: Counter[str] = Counter()  # keys of JSON files
        self.names = Names(())

    @property
    def column(self) -> str:
        """The column of the tables that holds labels; "" for none."""
        return "" if self.labels == FOLDERS else self.labels

    def name(self, path: Path) -> str:
        """A file's name relative to the root."""
        return printable(path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path))

    def note(self, file: str, reason: str, kind: str = LEFT_OUT, times: int = 1) -> None:
        """Add a note to the account."""
        self.notes.append(Note(file, reason, kind, times))

    def take_folder(self, out: Path | None) -> None:
        """Take everything in a folder."""
        files, notes = files_under(self.root, out)
        files = [file for file in files if not _is(file, out)]
        self.notes += notes
        used: set[Path] = set()
        sidecars = Sidecars(files)
        for file in files:
            if file.suffix.lower() in PICTURES:
                used |= {file, *self.take_picture(file, sidecars)}
        self.names = Names(self.drafts)
        for file in files:
            if file.suffix.lower() == ".tar":
                used.add(file)
                self.take_tar(file)
        tables = [file for file in files if file not in used and self.is_table(file)]
        # First those that hold pictures, which the others may name.
        for file in sorted(tables, key=lambda file: not holds_pictures(file)):
            used.add(file)
            self.take_table(file)
        for file in tables_beside(self.root):
            if not _is(file, out):
                self.take_table(file, beside=True)
        tabled = {draft.content.path for draft in self.drafts.values()}
        for file in files:
            if file not in used and file not in tabled:
                self.explain(file)

    def take_file(self, path: Path) -> None:
        """A single picture with the captions beside it, a tar or a table."""
        suffix = path.suffix.lower()
        if suffix == ".tar":
            self.take_tar(path)
        elif suffix in TABLES or suffix == ".json":
            self.take_table(path, alone=True)
        elif suffix in PICTURES:
            self.take_picture(path, Sidecars(file for file in path.parent.iterdir() if file.is_file()))
        else:
            self.explain(path)

    def take_picture(self, file: Path, sidecars: Sidecars) -> list[Path]:
        """Take a picture; returns the files of its captions."""
        beside, name = sidecars.beside(file), self.name(file)
        spoken: list[Spoken] = []
        for sidecar in beside:
            suffix = sidecar.suffix.lower()
            try:
                content = sidecar.read_bytes()
                found = captions_from(content, suffix)
                if suffix == ".json":
                    self.unused.update(unused_keys(content))
            except (OSError, ValueError, TypeError) as problem:
                self.note(name, f"its captions can't be read: {problem}")
                return beside
            if suffix == ".txt" and found and all(BOXES.fullmatch(text) for _, text in found):
                self.note(self.name(sidecar), "text files of numbers, as of boxes, and not captions", UNUSED)
                continue
            if found:
                self.note("", f"captions from {suffix} files beside pictures", TAKEN, len(found))
            else:
                self.note(self.name(sidecar), f"{suffix} files beside pictures without a caption in them", UNUSED)
                remedy = "write the caption into it: a line of text, or in JSON as the value of caption"
                self.suspects.append(Suspect(f"{self.name(sidecar)} lies beside a picture", remedy))
            spoken += found
        self.drafts[name] = Draft(InFile(file), spoken)
        return beside

    def take_tar(self, path: Path) -> None:
        """Take the pictures of a tar."""
        found = list(in_tar(path, self.name(path)))
        for one in found:
            if isinstance(one, Note):
                self.notes.append(one)
                continue
            spoken = [(language, text) for language, texts in one.captions.items() for text in texts]
            self.drafts[one.key] = Draft(one.content, spoken)
        if not any(isinstance(one, Entry) or one.file == self.name(path) for one in found):
            self.note(self.name(path), "tars without a picture")

    def is_table(self, file: Path) -> bool:
        """Whether a file that belongs to no picture is a table; JSON and text files may be."""
        suffix = file.suffix.lower()
        if suffix == ".txt":
            try:
                with file.open("rb") as opened:
                    head = decoded(opened.read(4096), "ignore").strip().partition("\n")[0]
            except OSError:
                return False
            split = (head.split(mark) for mark in "\t,;|")
            return any(file_column(names) and caption_columns(names) for names in split)
        return suffix in TABLES or suffix == ".json"

    def take_table(self, path: Path, beside: bool = False, alone: bool = False) -> None:
        """Take the captions of a table, and the pictures that it contains.

        Args:
            beside: it lies beside the folder, not in it, and may be about other pictures.
            alone: it is the whole source.
        """
        name = self.name(path)
        try:
            table = Table(path, self.column)
            if not table.file:
                self.useless(table, name, alone)
                return
            rows = list(table.rows())
        except DataError as problem:
            if alone or "pyarrow" in problem.message:
                raise
            self.note(name, "tables that can't be read")
            self.suspects.append(Suspect(problem.message.removeprefix(f"{path.parent}/"), problem.hint))
            return
        captions, known, problems = 0, set(), []
        self.labelled += table.labelled
        for row in rows:
            key = self.key_of(row, path, beside)
            if isinstance(key, Note):
                problems.append(key)
                continue
            known.add(key)
            captions += len(row.captions)
            self.drafts[key].spoken += row.captions
        if not known and not alone:
            self.note(name, "tables that name none of these pictures", UNUSED)
            self.suspects.append(
                Suspect(f"there is {name}, which names none of its pictures", "name them there as the files are called")
            )
            return
        self.notes += [*problems, *table.notes]
        if captions:
            self.note(name, "captions from tables", TAKEN, captions)
        elif not alone and not table.holds:
            what = f"there is {name} (with the columns {', '.join(table.columns)})"
            self.suspects.append(Suspect(what, labels_hint(table.unused)))
            self.note(name, "tables without a column of captions", UNUSED)
        for column in table.unused:
            self.note(f"{name}: {column}", "columns of tables that are neither a picture's name nor captions", UNUSED)

    def useless(self, table: Table, name: str, alone: bool) -> None:
        """A table, or JSON that is none, in which no column names pictures."""
        columns = ", ".join(table.columns) or "none"
        if alone:
            what = f"{table.path} has no column that names pictures (it has {columns})"
            raise DataError(what, "call the column file or image, and that of captions caption")
        if table.path.suffix.lower() == ".json" and not table.captions:
            self.note(name, "JSON files that describe no picture", UNUSED)
            self.suspects.append(Suspect(f"there is {name}"))
            return
        self.note(name, "tables without a column that names pictures", UNUSED)
        self.suspects.append(Suspect(f"there is {name} (with the columns {columns})"))

    def key_of(self, row: Row, table: Path, beside: bool) -> str | Note:
        """The picture that a row is about, or why there is none."""
        place = f"{self.name(table)} row {row.number}"
        if row.content:
            self.drafts[place] = Draft(row.content)
            return place
        if not row.name:
            return Note(place, NAMELESS)
        if re.match(r"(https?|ftp|s3|gs)://", row.name):
            return Note(row.name, ADDRESS)
        file = file_named(table.parent, row.name)
        if file and (key := self.name(file)) in self.drafts:
            return key
        if row.name in self.drafts:  # in a tar or a table, by its key
            return row.name
        if key := self.names.find(row.name):
            return key
        if file and not beside:
            key = self.name(file)
            self.drafts[key] = Draft(InFile(file))
            return key
        if file:
            return Note(row.name, "rows of pictures outside the folder", UNUSED)
        several = self.names.several(row.name)
        return Note(row.name, "rows that may mean several pictures" if several else NO_ROW)

    def explain(self, file: Path) -> None:
        """Record why a file is neither a picture nor captions."""
        name, suffix = self.name(file), file.suffix.lower()
        if suffix in OTHERS:
            self.note(name, f"no decoder for {suffix} here: convert it to PNG, JPEG or WebP")
        elif suffix in ARCHIVES:
            self.note(name, "archives that are not read: unpack them, or make them .tar")
        elif suffix in SHEETS:
            self.note(name, "tables of a kind that is not read: save them as CSV", UNUSED)
            self.suspects.append(Suspect(f"there is {name}", "save it as CSV in UTF-8"))
        elif suffix in (".txt", ".caption"):
            if PAPERS.match(file.name):
                self.note(name, "texts that are not about one picture", UNUSED)
            else:
                self.note(name, ORPHAN, UNUSED)
                self.suspects.append(
                    Suspect(f"there is {name}, and no picture of that name", "give it its picture's name")
                )
        elif kind := format_of(file):
            self.note(name, f"{kind} by their content, but their names end otherwise: rename them")
        else:
            self.note(name, f"neither pictures nor captions ({suffix or 'no ending'})", UNUSED)

    def label(self, path: Path) -> None:
        """Make the names of folders captions, where that is asked for. Raises DataError where no label is found."""
        if self.labels == FOLDERS:
            for key, draft in self.drafts.items():
                folder = key.rpartition("/")[0].rpartition("/")[2]
                if words := " ".join(re.split(r"[\s_-]+", folder)).strip():
                    draft.spoken.append((language_of(words), words))
                    self.labelled += 1
        if self.labels and not self.labelled:
            what = (
                "no picture lies in a subfolder" if self.labels == FOLDERS else f"no table has a column {self.labels}"
            )
            raise DataError(f"{path} has no labels: {what}", f"name {FOLDERS} or a column, or leave out --labels")
        if self.labels == FOLDERS:
            self.note("", "captions from the names of folders", TAKEN, self.labelled)

    def finished(self, path: Path, captions: bool) -> Found:
        """The entries, and the notes that concern all of them."""
        if not self.drafts:
            why = "; ".join(f"{one['count']:,} {one['reason']}" for one in grouped(self.notes)[:3])
            hint = "name a folder of pictures, a CSV or parquet table, or tars"
            raise DataError(f"no pictures in {path}" + (f" ({why})" if why else ""), hint)
        self.label(path)
        entries = [Entry(key, draft.content, merged(draft.spoken)) for key, draft in self.drafts.items()]
        if not captions:
            count = sum(len(texts) for entry in entries for texts in entry.captions.values())
            if count:
                self.note("", "captions left out by --no-captions", UNUSED, count)
            entries = [Entry(entry.key, entry.content, {}) for entry in entries]
        elif self.suspects and not any(entry.captions for entry in entries):
            raise refused(path, self.suspects)
        for key, times in self.unused.items():
            self.note(key, KEYS, UNUSED, times)
        self.notes += spoken_of(entries)
        return Found(entries, self.notes)


def _is(file: Path, out: Path | None) -> bool:
    """Whether two paths are of the same file; those of a folder's files are many."""
    return out is not None and file.name == out.name and file.resolve() == out.resolve()
