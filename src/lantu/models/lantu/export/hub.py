"""Writes a model as a directory that is ready for the Hugging Face hub: the model itself, a card and sample pictures.

Such a directory opens like any model of lantu, from the folder or by its id.
"""

import importlib.util
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lantu import files
from lantu.errors import LantuError
from lantu.files import replacing_folder
from lantu.files.untrusted import check_regular
from lantu.models.lantu.directory import FOLDER_KIND
from lantu.models.lantu.export.card import card
from lantu.models.lantu.folder import LantuFolder, own
from lantu.models.spec import ModelFolder

ATTRIBUTES = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.png filter=lfs diff=lfs merge=lfs -text\n"
SAMPLES = "samples"
EXTRAS = (".gitattributes", f"{SAMPLES}/*.png")
Draw = Callable[[str, int, Path], None]  # prompt, seed, where to write the picture


def kind_of(folder: LantuFolder) -> files.FolderKind:
    """What such a directory holds: the model's files, which its own index proves to be lantu's, and ``EXTRAS``."""
    proof = ("_class_name", folder.index["_class_name"]) if "_class_name" in folder.index else None
    return replace(FOLDER_KIND, name="a model for the hub", files=(*FOLDER_KIND.files, *EXTRAS), proof=proof)


def check(folder: ModelFolder) -> None:
    """Refuse what can't be exported. Raises LantuError."""
    own(folder, "the export for the hub", "its publisher's directory is what belongs on the hub")
    if importlib.util.find_spec("huggingface_hub") is None:
        raise LantuError("the card needs huggingface_hub, which is not installed", "pip install 'lantu[hub]'")


def export(folder: LantuFolder, out: str | Path, draw: Draw, prompts: Sequence[str], seed: int = 7) -> Path:
    """Write the directory.

    Args:
        draw: draws a sample picture.
        prompts: of the samples.

    Raises:
        LantuError: see ``check``.
        DiskError: ``out`` can't be written, or holds other things.
    """
    check(folder)
    files.check_apart(out, {"model": folder.path})
    kind = kind_of(folder)
    paths = sorted(path for path in folder.path.rglob("*") if path.is_file())
    copied = [path for path in paths if kind.has(path.relative_to(folder.path)) and not is_made(path, folder.path)]
    check_regular(copied)
    readme = folder.path / "README.md"
    written = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    with replacing_folder(out, kind) as temporary, files.writing(Path(out)):
        for path in copied:
            place = temporary / path.relative_to(folder.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        (temporary / SAMPLES).mkdir()
        samples = []
        for number, prompt in enumerate(prompts, 1):
            draw(prompt, seed, temporary / SAMPLES / f"{number}.png")
            samples.append((f"{SAMPLES}/{number}.png", prompt, seed))
        (temporary / ".gitattributes").write_text(ATTRIBUTES, encoding="utf-8")
        (temporary / "README.md").write_text(card(folder.describe(), written, samples), encoding="utf-8")
    return Path(out)


def is_made(path: Path, folder: Path) -> bool:
    """Whether the export makes a file anew."""
    place = path.relative_to(folder)
    return place.parts[0] == SAMPLES or place.name in (".gitattributes", "README.md")
