"""Maps emoji to their drawings in each style, from Iconify sets and folders of files alike.

Some icon sets name their drawings by words alone. These are matched, in this order, with the emoji's present name, the
names that other sets give it, its Unicode character name, and its chat shortcodes. ``<style>.txt`` settles the rest.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from lantu.data.packages import fetch
from lantu.data.styles import STYLES

NAMED_SETS = ("@iconify-json/noto", "@iconify-json/fluent-emoji-flat")
SHORTCODES = ("cldr", "emojibase", "github", "iamcal", "joypixels")


def drawings(style: str, labels: Mapping[str, str], cache: Path | None = None) -> dict[str, bytes]:
    """The drawings of a style.

    Args:
        style: a key of ``STYLES``.
        labels: hexcode → English label, of all emoji (a name may belong to one that is not wanted).
        cache: where packages are kept; the user's cache when None.

    Returns:
        hexcode → the bytes of an SVG or WebP file, for those that the style draws.

    Raises:
        DataError: a package can't be had.
    """
    source = STYLES[style]
    folder = fetch(source.package, cache)
    if source.files:
        paths = {plain(path.stem): path for path in folder.glob(source.files)}
        return {hexcode: paths[plain(hexcode)].read_bytes() for hexcode in labels if plain(hexcode) in paths}
    icons = _read(folder / "icons.json")
    named = {plain(code): name for code, name in _read(folder / "chars.json").items()}
    named = named or _match(icons, style, labels, cache)
    found = {hexcode: _svg(icons, named[plain(hexcode)]) for hexcode in labels if plain(hexcode) in named}
    return {hexcode: svg.encode() for hexcode, svg in found.items() if svg}


def plain(hexcode: str) -> str:
    """A hexcode in capitals and without variation selectors, which some sets write and others leave out."""
    return "-".join(point for point in hexcode.upper().split("-") if point != "FE0F")


def squash(name: str) -> str:
    """A name's letters and digits, so that "Père Noël", "pere-noel" and "perenoel" are the same."""
    return re.sub("[^a-z0-9]", "", unicodedata.normalize("NFKD", name).lower())


def _match(icons: Mapping, style: str, labels: Mapping[str, str], cache: Path | None) -> dict[str, str]:
    """Plain hexcode → icon name, by the first kind of name that points to one emoji only."""
    code_of = _exceptions(style)
    for names in _kinds_of_names(labels, cache):
        owners: dict[str, set[str]] = {}
        for code, name in names:
            owners.setdefault(squash(name), set()).add(plain(code))
        for icon in [*icons["icons"], *icons.get("aliases", {})]:
            codes = owners.get(squash(icon), set())
            if icon not in code_of and len(codes) == 1:
                (code_of[icon],) = codes
    # Where several icons match an emoji, the most reliable kind of name, which comes first, wins.
    return {code: icon for icon, code in reversed(code_of.items())}


def _kinds_of_names(labels: Mapping[str, str], cache: Path | None) -> Iterator[list[tuple[str, str]]]:
    """(hexcode, name) pairs of one kind after another, the most reliable kind first."""
    codes = {plain(hexcode) for hexcode in labels}
    yield list(labels.items())
    sets = [_read(fetch(package, cache) / "chars.json") for package in NAMED_SETS]
    yield [(code, name) for named in sets for code, name in named.items() if plain(code) in codes]
    yield [(code, unicodedata.name(chr(int(code, 16)), "")) for code in codes if "-" not in code]
    folder = fetch("emojibase-data", cache) / "en" / "shortcodes"
    pairs = [pair for file in SHORTCODES for pair in _read(folder / f"{file}.json").items() if pair[0] in labels]
    yield [(code, name) for code, names in pairs for name in ([names] if isinstance(names, str) else names)]


def _exceptions(style: str) -> dict[str, str]:
    """Icon name → plain hexcode, "-" for none, where matching names would fail."""
    table = resources.files("lantu.data").joinpath(f"{style}.txt")
    if not table.is_file():
        return {}
    lines = table.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines if not line.startswith("#"))


def _svg(icons: Mapping, name: str) -> str:
    """The icon as a whole SVG file; empty for an alias that rotates or mirrors another icon."""
    alias = icons.get("aliases", {}).get(name)
    if alias and set(alias) != {"parent"}:
        return ""
    icon = icons["icons"][alias["parent"] if alias else name]
    left, top = icon.get("left", 0), icon.get("top", 0)
    width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>'
    )


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
