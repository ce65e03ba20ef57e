"""Captions in files beside their pictures: ``NAME.txt`` and ``NAME.caption``, one a line, and ``NAME.json``."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from lantu.data.columns import Spoken, caption_columns, captions_in, decoded, language_of, parsed

KEYS = "keys of JSON files that hold no caption"
SIDECARS = (".json", ".txt", ".caption")  # in the order in which their captions are taken


def captions_from(content: bytes, suffix: str) -> list[Spoken]:
    """The captions of one file.

    Args:
        suffix: ".json", ".txt" or ".caption".

    Raises:
        ValueError: it can't be read.
    """
    if suffix != ".json":
        lines = (" ".join(line.split()) for line in decoded(content).splitlines())
        return [(language_of(line), line) for line in lines if line]
    described = parsed(content)
    if not isinstance(described, Mapping):
        raise ValueError("it is no JSON object")
    found, wrong = captions_in(described)
    if wrong:
        raise ValueError(wrong[0])
    return found


def unused_keys(content: bytes) -> list[str]:
    """Keys of a JSON object that hold no captions."""
    described = parsed(content)
    return [key for key in described if key not in caption_columns(described)]


class Sidecars:
    """The caption files of a folder, found by the picture that they belong to; case of endings is ignored.

    Args:
        files: all of the folder.
    """

    def __init__(self, files: Iterable[Path]):
        self.places: dict[Path, list[Path]] = {}
        for file in files:
            if file.suffix.lower() in SIDECARS:
                self.places.setdefault(file.with_suffix(""), []).append(file)
        for found in self.places.values():
            found.sort(key=lambda file: (SIDECARS.index(file.suffix.lower()), file.name))

    def beside(self, picture: Path) -> list[Path]:
        """``NAME.txt`` and, as some downloaders write it, ``NAME.png.txt``, of a picture ``NAME.png``."""
        return [*self.places.get(picture.with_suffix(""), ()), *self.places.get(picture, ())]
