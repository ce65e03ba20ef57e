"""Where ``lantu make`` reads and writes: what it must not write over, and what has changed since it began."""

from collections.abc import Mapping
from pathlib import Path

from lantu.data.shards import INDEX as DATA_INDEX
from lantu.data.walk import files_under
from lantu.errors import DataError, DiskError
from lantu.files import check_apart, check_folder, expand
from lantu.models.lantu.directory import FOLDER_KIND, INDEX
from lantu.recipes.make.stages import LEDGER, Ledger

# What is written into the folder of the work.
WRITTEN = (
    *("data", "rehearsal", "tokenizer", "adopt-language", "language", "adopt-decoder", "decoder", "report", "logs"),
    *("scores", "before", "kept", "kept-before"),
)


def check_places(pictures: Path, out: Path, work: Path, read: Mapping[str, Path]) -> None:
    """Refuse what would end badly, before hours of training.

    Args:
        pictures: a folder, a table or tars.
        out: the model directory.
        work: folder of data, runs and report.
        read: what a folder is, for the message → a folder that is only to be read.

    Raises:
        DataError: there are no pictures.
        DiskError: something would be written over, or folders lie in one another.
    """
    if not expand(pictures).exists():
        raise DataError(f"there is no {pictures}", "name a folder of pictures, a table or tars")
    check_folder(out, FOLDER_KIND)
    check_apart(out, read)
    check_apart(work, read, replaced=False)
    place, model = work.resolve(), out.resolve()
    if place == model or model in place.parents:
        raise DiskError(f"{out} can't hold the model and the work on it, {work}", "choose another folder: --work")
    if place in model.parents and model.relative_to(place).parts[0] in WRITTEN:
        raise DiskError(f"{out} is a folder of the work on the model", "choose another folder: --out or --work")
    if (place / LEDGER).is_file():
        return
    # The folder may hold other things, and even pictures, but none by a name that is written here.
    if there := [name for name in WRITTEN if (place / name).exists()]:
        raise DiskError(f"{work} has other files in it ({', '.join(there)})", "choose another folder: --work")


def check_new(out: Path, ledger: Ledger) -> None:
    """Refuse to replace a model that another call has made, or ``train`` and ``assemble``.

    Raises:
        DiskError: there is one.
    """
    if (out / INDEX).is_file() and "model" not in ledger.commands:
        raise DiskError(f"{out} is a model already", "choose another name, or remove it")


def check_moved(work: Path, ledger: Ledger) -> None:
    """Refuse to go on in a folder that was moved: its commands and runs name the old place.

    Raises:
        DiskError: it was.
    """
    command = ledger.commands.get("data", ())
    began = Path(command[command.index("--out") + 1]).parent if "--out" in command else work
    if began.resolve() != work.resolve():
        hint = "move it back, or link that name to it; or begin anew: --work"
        raise DiskError(f"{work} was {began} when this began, and its runs name that folder", hint)


def changes(pictures: Path, data: Path) -> str:
    """A line where files of the pictures are newer than the data that was built of them; else ""."""
    source = expand(pictures)
    try:
        built = (data / DATA_INDEX).stat().st_mtime
        files = files_under(source, data)[0] if source.is_dir() else [source]
    except (OSError, DataError):
        return ""
    new = [file for file in files if newest(file) > built]
    if not new:
        return ""
    what = f"{len(new):,} file{'s' if len(new) > 1 else ''} in {pictures} changed after the import, e.g. {new[0].name}"
    return f"{what}: this goes on without; to take all, begin anew in another folder (--work)"


def newest(file: Path) -> float:
    """When a file was written or, as copies keep that time, put here: seconds since 1970; 0 if it is gone."""
    try:
        facts = file.stat()
    except OSError:
        return 0.0
    return max(facts.st_mtime, facts.st_ctime)
