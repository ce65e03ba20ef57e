"""The words that a model was trained on, as its directory records them: see ``lantu.tokens.words``."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lantu.data import anywhere, asking, chinese, edits, english, phrases, questions, wordings
from lantu.data.backgrounds import ALL, BACKGROUNDS
from lantu.data.captions import words_for
from lantu.data.gallery import Concept, load_gallery
from lantu.data.layouts import LAYOUTS
from lantu.data.names import entries, synonyms, table
from lantu.data.shards import Shards, gallery_of, read_index
from lantu.data.styles import STYLES
from lantu.errors import DataError
from lantu.tokens.prompts import HAN, UNSEEN
from lantu.tokens.words import CHINESE, ENGLISH, tokens

Taught = tuple[dict[str, Any], dict[str, Any]]  # the contents of words.json and related.json
# A colour in the name of a thing ("red apple", 黄色爱心) counts as known.
COLOURS = {
    "red": ("红", "红色"),
    "orange": ("橙", "橙色"),
    "yellow": ("黄", "黄色"),
    "green": ("绿", "绿色", "青"),
    "blue": ("蓝", "蓝色"),
    "purple": ("紫", "紫色"),
    "brown": ("棕", "棕色"),
    "black": ("黑", "黑色"),
    "white": ("白", "白色"),
}
PLACES = re.compile(r"\{[^}]*\}")
LONGEST = 4  # characters of a Chinese word that is found by its repetition
SEEN_ONCE = 1000  # number of captions up to which a single use of a word counts
MAX_WORDS = 50_000  # also the maximum of samples whose captions are read
NEAR = 3  # names that are listed as nearest to a word


def taught_by(data: str | Path) -> Taught:
    """The words that the captions of a data folder teach.

    Raises:
        DataError: there is no data.
    """
    settings = read_index(data)["settings"]
    if settings.get("world"):
        with contextlib.suppress(DataError):  # without its gallery a composed scene still has captions
            concepts = load_gallery(gallery_of(data)).concepts
            return taught_by_things(concepts, settings["styles"], settings.get("placement", "slots"))
    shards = Shards(data, "train")
    step = max(1, len(shards) // MAX_WORDS)
    samples = (shards.sample(place) for place in range(0, len(shards), step))
    return taught_by_captions(text for sample in samples for texts in sample.captions.values() for text in texts), {}


def taught_by_captions(captions: Iterable[str]) -> dict[str, Any]:
    """The words of free captions, those that occur only once left out unless there are few captions.

    English words as they stand, in lower case. Chinese words are sequences of two to four characters that are frequent,
    known names of things, and single characters between function words.
    """
    english_words: Counter[str] = Counter()
    chinese_words: Counter[str] = Counter()
    names = {
        name for file in ("worlds/everyday.txt", "names.txt") for its in table(file).values() for name in its["zh"]
    }
    number = 0
    for caption in captions:
        number += 1
        english_words.update(set(tokens(caption)))
        for run in HAN.findall(caption):
            chinese_words.update(stretches(run))
            chinese_words.update(name for name in names if len(name) == 1 and name in run)
            chinese_words.update(
                part for part in re.split(f"[{''.join(w for w in CHINESE if len(w) == 1)}]", run) if part
            )
    least = 1 if number <= SEEN_ONCE else 2
    return {
        "names": {"en": [], "zh": []},
        "words": {
            "en": [
                word for word, count in english_words.most_common(MAX_WORDS) if count >= least and word not in ENGLISH
            ],
            "zh": [
                word for word, count in chinese_words.most_common(MAX_WORDS) if count >= least and word not in CHINESE
            ],
        },
        "emoji": {},
    }


def stretches(run: str) -> set[str]:
    """All sequences of two to four characters."""
    return {run[at : at + size] for size in range(2, LONGEST + 1) for at in range(len(run) - size + 1)}


def taught_by_things(
    concepts: Mapping[str, Concept], styles: Sequence[str] = tuple(STYLES), placement: str = "slots"
) -> Taught:
    """The words of composed scenes: names of their things, and the words of all phrases around them.

    Args:
        styles: of the scenes: those of other styles are not taught.
        placement: of the things: it decides the backgrounds, and how many things of a kind there are.
    """
    names = {
        language: list(dict.fromkeys(w for c in concepts.values() for w in words_for(c, language)))
        for language in ("en", "zh")
    }
    free = placement == "anywhere"
    grounds = (ALL if free else BACKGROUNDS).values()
    relations = {layout.relation for _, layout in LAYOUTS}
    said_of = [{r: p for r, p in its.items() if free or r in relations} for its in phrases.PHRASES.values()]
    shown = {relation for its in said_of for relation in its}
    named = [dict(one.words) for one in (*grounds, *(STYLES[style] for style in styles))]
    spoken = list(templates([said_of, wordings.spoken(shown), named]))
    measures = {*chinese.BY_NAME, *chinese.BY_SUBGROUP.values()}
    said = " ".join([*names["en"], *names["zh"]])
    colours = {name: words for name, words in COLOURS.items() if name in tokens(said) or words[0] in said}
    measures |= {word for words in colours.values() for word in words}
    words = {
        "en": sorted({word for text in spoken for word in tokens(text)} - ENGLISH | set(colours)),
        "zh": sorted({part for text in spoken for run in HAN.findall(text) for part in stretches(run)} | measures),
    }
    emoji = {
        spelled(key): [
            concept.names["en"],
            concept.names["zh"],
            english.one(concept.names["en"]),
            english.many(concept.names["en"], 2).removeprefix("two "),
            chinese.measure(concept.names["zh"], concept),
        ]
        for key, concept in concepts.items()
    }
    counts = anywhere.MOST if free else max(len(layout.slots) for _, layout in LAYOUTS if layout.same)
    return {"names": names, "words": words, "emoji": emoji, "counts": counts}, related(concepts)


def templates(further: Sequence[Any]) -> Iterable[str]:
    """All phrases that are said of any scene, and ``further`` ones, without their things."""
    found: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, str):
            found.append(PLACES.sub(" ", value))
        elif isinstance(value, Mapping):
            for each in value.values():
                collect(each)
        elif isinstance(value, tuple | list):
            for each in value:
                collect(each)

    collect([phrases.ADJECTIVES, phrases.ON_BACKGROUND, phrases.IN_STYLE, phrases.THING_IN_STYLE])
    collect([asking.PHRASES, asking.FILLERS, dict(asking.SHORTENED), questions.PHRASES, edits.PHRASES])
    collect(further)
    return found


def related(concepts: Mapping[str, Concept]) -> dict[str, Any]:
    """Words that name none of the things, and the names nearest to them, from the keywords and kinds of all emoji.

    Empty if emojibase can't be downloaded.
    """
    found: dict[str, dict[str, list[str]]] = {"en": {}, "zh": {}, "emoji": {}}
    try:
        listed = {language: {entry["hexcode"]: entry for entry in entries(language, None)} for language in ("en", "zh")}
    except DataError:
        return found
    others = table("names.txt")
    for language in ("en", "zh"):
        its = listed[language]
        known = {word.lower() for concept in concepts.values() for word in words_for(concept, language)}
        tags = {key: {tag.lower() for tag in its[key].get("tags", ())} for key in its}
        keyword: dict[str, list[str]] = {}
        for key, concept in concepts.items():
            for tag in tags.get(key, ()):
                keyword.setdefault(tag, []).append(concept.names[language])
        # A keyword that many things share describes none of them well.
        found[language] = {tag: names[:NEAR] for tag, names in keyword.items() if len(names) <= 4 and tag not in known}
        for key, entry in its.items():
            if key in concepts or "group" not in entry:
                continue
            near = sorted(concepts, key=lambda one: -likeness(entry, its.get(one, {}), tags[key], tags.get(one, set())))
            close = [
                one for one in near[:NEAR] if likeness(entry, its.get(one, {}), tags[key], tags.get(one, set())) >= 1
            ]
            names = [concepts[one].names[language] for one in close]
            for word in (entry["label"], *(others[key][language] if key in others else ())):
                if names and word.lower() not in known:
                    found[language][word.lower()] = names
        for word, name in same_thing(concepts, language):
            if word not in known:
                found[language][word] = list(dict.fromkeys([name, *found[language].get(word, ())]))[:NEAR]
    for key, entry in listed["en"].items():
        if key not in concepts and "group" in entry and key in listed["zh"]:
            name = {
                language: others[key][language][0] if key in others else listed[language][key]["label"]
                for language in ("en", "zh")
            }
            found["emoji"][spelled(key)] = [name["en"], name["zh"]]
    return found


def same_thing(concepts: Mapping[str, Concept], language: str) -> Iterator[tuple[str, str]]:
    """Other words for things, in lower case, each with the thing's name."""
    more = synonyms()
    for concept in concepts.values():
        for word in more.get(concept.names["en"], {}).get(language, ()):
            yield word.lower(), concept.names[language]


def likeness(entry: Mapping[str, Any], other: Mapping[str, Any], tags: set[str], its: set[str]) -> float:
    """How near two emoji are: a shared kind counts as a keyword."""
    return len(tags & its) + (entry.get("subgroup") is not None and entry.get("subgroup") == other.get("subgroup"))


def spelled(hexcode: str) -> str:
    """The emoji of a hexcode, without variation selectors."""
    return UNSEEN.sub("", "".join(chr(int(part, 16)) for part in hexcode.split("-")))
