"""What is said of all pictures of a source: languages, what training can't learn, captions that seem to be missed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lantu.data.account import TAKEN, UNUSED, Note
from lantu.data.columns import plain, script_of
from lantu.data.contents import Entry
from lantu.errors import DataError
from lantu.tokens.document import LANGUAGES

LONG = 1000  # length in characters from which language training cuts captions
WRITTEN = " and ".join(LANGUAGES)
SPOKEN = "pictures with captions in "
# Columns that name what is in a picture, by a word of their names.
CLASSES = ("label", "class", "category", "species", "breed", "kind", "type", "name", "类", "标签")


@dataclass(frozen=True)
class Suspect:
    """Something that was perhaps meant as captions.

    Attributes:
        what: it is.
        remedy: what to do, that it becomes captions.
    """

    what: str
    remedy: str = "call its columns file and caption, and give the pictures' names"


def labels_hint(columns: Sequence[str]) -> str:
    """What to do with a table that names pictures, but has no column of captions.

    Args:
        columns: that are not used.
    """
    usual = "call the column of captions caption"
    label = next((name for name in columns if any(word in plain(name) for word in CLASSES)), "")
    return f"take a column as captions (--labels {label}), or {usual}" if label else usual


def refused(path: Path, suspects: Sequence[Suspect]) -> DataError:
    """The error of a source that has no caption, though some files look like captions."""
    first, more = suspects[0], len(suspects) - 1
    rest = f" ({more:,} more such files)" if more else ""
    hint = f"{first.remedy}; or leave the captions out with --no-captions"
    return DataError(f"no picture in {path} has a caption, though {first.what}{rest}", hint)


def spoken_of(entries: Sequence[Entry]) -> Iterator[Note]:
    """Pictures by the languages of their captions; those without; and captions that training can't learn."""
    languages = Counter(language for entry in entries for language in entry.captions)
    for language, count in languages.items():
        yield Note("", f"{SPOKEN}{language}", TAKEN, count)
        if language not in LANGUAGES:
            yield Note("", f"captions in {language}, which teach drawing alone ({WRITTEN} are written)", TAKEN, count)
    scripts = Counter(script_of(text) for entry in entries for text in entry.captions.get("en", ()))
    for script, count in ((script, count) for script, count in scripts.items() if script):
        yield Note("", f"captions in {script} letters, learnt as those of unknown languages are: as en", TAKEN, count)
    folders = {top for entry in entries if (top := entry.key.rpartition("/")[0])}
    if not languages and len(folders) > 1:
        for name in sorted(folders):
            yield Note(name, "folders whose names are no captions (--labels folders takes them)", UNUSED)
    for entry in entries:
        if not entry.captions:
            yield Note(entry.key, "pictures without a caption", TAKEN)
        for texts in entry.captions.values():
            for _ in filter(lambda text: len(text) > LONG, texts):
                yield Note(entry.key, f"captions of more than {LONG:,} characters, whose ends training cuts off", TAKEN)
