"""Names of emoji in English and Chinese: a short everyday name, and other words for the same thing.

Keywords of emoji are mostly associations ("pet", "sweet", "rain"). The words here were selected from them by hand into
``worlds/everyday.txt`` and ``names.txt``; emojibase's label is used for the rest. ``synonyms.txt`` has more, which
only the larger worlds teach: those of "few" and "everyday" stay as they were when models were scored on them.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from lantu.data.gallery import Concept
from lantu.data.packages import fetch
from lantu.errors import DataError

LANGUAGES = ("en", "zh")
WORLDS = ("few", "everyday", "common", "composable", "all")
WORDED = ("common", "composable", "all")  # worlds that have the words of ``synonyms.txt``
COMPOSABLE_GROUPS = ("animals-nature", "food-drink", "travel-places", "objects")

Words = Mapping[str, Sequence[str]]


def all_labels(cache: Path | None = None) -> dict[str, str]:
    """Hexcode → English label of every emoji without skin tones.

    Raises:
        DataError: a package can't be had.
    """
    return {entry["hexcode"]: entry["label"] for entry in entries("en", cache)}


def table(file: str) -> dict[str, Words]:
    """Hexcode → language → words, the name first, from a table of names in the package."""
    return {hexcode: {"en": en.split(" / "), "zh": zh.split(" / ")} for hexcode, en, zh in rows(file)}


def synonyms() -> dict[str, Words]:
    """English name of a thing → language → more words for it, of which there may be none."""
    found = [[*row, ""][:3] for row in rows("synonyms.txt")]
    return {name: {"en": en.split(" / ") if en else [], "zh": zh.split(" / ") if zh else []} for name, en, zh in found}


def rows(file: str) -> list[list[str]]:
    """The columns of each line of a table in the package."""
    lines = resources.files("lantu.data").joinpath(file).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def world_concepts(world: str, cache: Path | None = None) -> dict[str, Concept]:
    """The concepts of a world, by hexcode.

    "everyday" is the list in ``worlds/everyday.txt``, in its order, and "few" every fourth of it; "common" adds the
    list in ``worlds/common.txt``, none of which takes an everyday thing's name; "composable" adds all other animals,
    plants, foods, vehicles, places and objects; "all" is every emoji but skin tones and the letters of flags.

    Raises:
        DataError: an unknown world, or a package can't be had.
    """
    if world not in WORLDS:
        raise DataError(f"no world is called {world!r}", f"choose from {', '.join(WORLDS)}")
    everyday, others = table("worlds/everyday.txt"), table("names.txt")
    groups = _groups(cache)
    keys = {
        "few": list(everyday)[::4],
        "everyday": list(everyday),
        "common": [*everyday, *(key for key, _ in rows("worlds/common.txt"))],
        "composable": [key for key in groups if key in everyday or groups[key][0] in COMPOSABLE_GROUPS],
        "all": [key for key in groups if groups[key][0] != "component"],
    }[world]
    words = {}
    for language in LANGUAGES:
        labels = {entry["hexcode"]: entry["label"] for entry in entries(language, cache)}
        formal = {key: others[key][language] if key in others else [labels[key]] for key in keys}
        words[language] = _settle(formal, {key: everyday[key][language] for key in keys if key in everyday})
    if world in WORDED:
        _add(words)
    return {
        key: Concept(
            key=key,
            names={language: words[language][key][0] for language in LANGUAGES},
            keywords={language: words[language][key][1:] for language in LANGUAGES},
            group=groups[key][0],
            subgroup=groups[key][1],
        )
        for key in keys
    }


def _settle(formal: Words, everyday: Words) -> dict[str, tuple[str, ...]]:
    """Key → name and keywords, without keywords that could mean another concept.

    Most people call a cat's face "cat". If the whole cat is there too, it keeps the name.
    """
    taken = {words[0] for key, words in formal.items() if key not in everyday}
    names, words_of = {}, {}
    for key, words in formal.items():
        words_of[key] = everyday.get(key, words)
        names[key] = words[0] if words_of[key][0] in taken else words_of[key][0]
    claims = Counter(word for key in formal for word in {names[key], *words_of[key]})
    return {
        key: (names[key], *(word for word in words_of[key] if word != names[key] and claims[word] == 1))
        for key in formal
    }


def _add(words: dict[str, dict[str, tuple[str, ...]]]) -> None:
    """Add the words of ``synonyms.txt`` to language → key → name and keywords; none that names another thing."""
    more = synonyms()
    for language, its in words.items():
        further = {key: more.get(words["en"][key][0], {}).get(language, ()) for key in its}
        claims = Counter(word for of in (its, further) for some in of.values() for word in some)
        for key, some in further.items():
            its[key] = (*its[key], *(word for word in some if claims[word] == 1))


def _groups(cache: Path | None) -> dict[str, tuple[str, str]]:
    """Hexcode → group and subgroup, in the standard order of emoji."""
    meta = json.loads((fetch("emojibase-data", cache) / "meta" / "groups.json").read_text(encoding="utf-8"))
    grouped = sorted((entry for entry in entries("en", cache) if "group" in entry), key=lambda entry: entry["order"])
    return {
        entry["hexcode"]: (meta["groups"][str(entry["group"])], meta["subgroups"][str(entry["subgroup"])])
        for entry in grouped
    }


def entries(language: str, cache: Path | None = None) -> list[dict]:
    """emojibase's entries for all emoji in a language.

    Raises:
        DataError: the package can't be had.
    """
    path = fetch("emojibase-data", cache) / language / "data.json"
    return json.loads(path.read_text(encoding="utf-8"))
