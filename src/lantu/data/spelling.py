"""Matches the names of pictures as tables spell them with the pictures."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path


class Names:
    """Finds pictures by names with other case, slashes or leading folders, or without an ending.

    Args:
        keys: names of pictures within the source.
    """

    def __init__(self, keys: Iterable[str]):
        self.keys: dict[str, list[str]] = {}
        self.ends: dict[str, list[str]] = {}
        for key in keys:
            spelt = _spelt(key)
            last = spelt.rpartition("/")[2]
            self.keys.setdefault(spelt, []).append(key)
            for end in {last, last.rpartition(".")[0]} - {""}:
                self.ends.setdefault(end, []).append(key)

    def find(self, name: str) -> str:
        """The picture that is meant; "" if there is none, or several match."""
        found = self._all(name)
        return found[0] if len(found) == 1 else ""

    def several(self, name: str) -> bool:
        """Whether several pictures match."""
        return len(self._all(name)) > 1

    def _all(self, name: str) -> list[str]:
        spelt = _spelt(name)
        if same := self.keys.get(spelt):
            return [key for key in same if key == name] or same
        fitting = []
        for key in self.ends.get(spelt.rpartition("/")[2], ()):
            known = _spelt(key)
            forms = (known, known.rpartition(".")[0])
            if any(f"/{form}".endswith(f"/{spelt}") or f"/{spelt}".endswith(f"/{form}") for form in forms):
                fitting.append(key)
        return fitting


def _spelt(name: str) -> str:
    """A name in one of the spellings that systems give to the same file."""
    return unicodedata.normalize("NFC", name).casefold().replace("\\", "/").removeprefix("./").strip("/")


def file_named(folder: Path, name: str) -> Path | None:
    """The file that a table in a folder names; None if there is none."""
    try:
        for spelt in (name, name.replace("\\", "/")):
            if (file := folder / spelt).is_file():
                return Path(*file.parts) if ".." not in file.parts else file.resolve()
    except (OSError, ValueError):  # too long, or with bytes of 0
        pass
    return None
