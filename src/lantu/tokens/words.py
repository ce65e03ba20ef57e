"""The words that a model was taught: finding unknown words in a prompt, their nearest known ones, and emoji as words.

A model directory may have two files, written by ``lantu.data.taught``:

    words.json    "names" of things and other "words" of its captions, by language; "emoji" → names; "counts", the
                  most things of a kind, if its captions say numbers in words alone
    related.json  unknown words → the nearest names, by language; "emoji" that it was not taught → their names

The second is only read if a prompt has something that the first lacks.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from lantu.errors import ModelError
from lantu.files.untrusted import read_json
from lantu.tokens import numbers
from lantu.tokens.prompts import HAN, PICTOGRAM, Prompts
from lantu.types import UnknownWord

WORDS, RELATED = "words.json", "related.json"
NAMES = 5  # of an emoji at most: in English and Chinese, its plurals and its measure word
HINT = "copy the whole model directory again, or delete this file: then prompts are not checked"
KEPT = 64  # prompts whose unknown words are cached
MOST = 8  # unknown words that are reported
NEAREST = 3  # names for each unknown word
TYPED = 4  # letters from which an unknown word may be another one, mistyped: "sea" is no "seat"
LETTERS = re.compile(r"[^\W\d_\u3400-\u9fff]+(?:['’][^\W\d_\u3400-\u9fff]+)*")
CAPITALS = re.compile(r"(?<!\w)(?=[a-z]*[A-Z])[A-Za-z]+(?!\w)")


def function_words(kind: str) -> frozenset[str]:
    """Words of ``function_words.txt``: "en", "zh", or "determiners", which stand before a noun's description."""
    rows = (Path(__file__).parent / "function_words.txt").read_text(encoding="utf-8").splitlines()
    cells = [row.partition("\t") for row in rows]
    return frozenset(word for its, _, words in cells if its == kind for word in words.split())


ENGLISH = function_words("en")
CHINESE = function_words("zh")

DETERMINERS = function_words("determiners")


class Lexicon:
    """The words of one model.

    Args:
        content: of ``words.json``.
        folder: of ``related.json``; None if there is none.

    Attributes:
        languages: that it was taught: "zh", and "en" for all others.

    Raises:
        ModelError: the content is malformed.
    """

    def __init__(self, content: Mapping[str, Any], folder: Path | None = None):
        self.folder = folder
        try:
            self.names: dict[str, list[str]] = {
                language: texts(content["names"][language]) for language in ("en", "zh")
            }
            words = {language: texts(content["words"][language]) for language in ("en", "zh")}
            self.emoji: dict[str, list[str]] = {str(key): texts(its, NAMES) for key, its in content["emoji"].items()}
            self.counts = count_of(content.get("counts", 0))
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            raise ModelError(f"{(folder or Path()) / WORDS} is not a list of words", HINT) from problem
        self.languages = {language for language in ("en", "zh") if self.names[language] or words[language]}
        self.english_names = {tokens(name): name for name in self.names["en"] if tokens(name)}
        self.english = ENGLISH.union(word.lower() for word in words["en"])
        self.chinese_names = set(self.names["zh"])
        self.chinese = CHINESE.union(words["zh"])
        self.longest = max((len(word) for word in (*self.chinese, *self.chinese_names)), default=1)
        self.found: dict[str, tuple[UnknownWord, ...]] = {}  # cached for the newest prompts

    @classmethod
    def load(cls, folder: Path) -> "Lexicon | None":
        """The words of a model directory; None if it has no list, as models of version 0.1.

        Raises:
            ModelError: the file is damaged.
        """
        path = folder / WORDS
        return cls(read(path), folder) if path.exists() else None

    @cached_property
    def related(self) -> dict[str, dict[str, list[str]]]:
        """The names nearest to unknown words: language (or "emoji") → word → names."""
        path = (self.folder or Path()) / RELATED
        content = read(path) if self.folder and path.exists() else {}
        try:
            return {
                kind: {str(word): texts(names, most) for word, names in content.get(kind, {}).items()}
                for kind, most in (("en", None), ("zh", None), ("emoji", NAMES))
            }
        except (TypeError, AttributeError, ValueError) as problem:
            raise ModelError(f"{path} is not a list of words", HINT) from problem

    @cached_property
    def spelling(self) -> dict[str, str]:
        """Words of the English names in lower case → as the model was taught them: "cat", "Christmas", "TV"."""
        found = (word for name in self.names["en"] for word in re.findall("[A-Za-z]+", name))
        return {word.lower(): word for word in found if word not in ENGLISH}  # not those of "cup of tea"

    def small_letters(self, prompt: str) -> str:
        """A prompt with only the capitals that the model was taught: "A CAT" becomes "A cat"."""
        return CAPITALS.sub(self.small, prompt) if self.spelling else prompt

    def small(self, found: re.Match[str]) -> str:
        """A capitalised word in the case that was taught; unchanged if that is unknown, or if it may begin a sentence.

        "Cat" and "CAT" have other ids than "cat", which the model never learnt. Words that are no names ("Noto") are
        listed without their case, so they are only changed if they are all capitals.
        """
        word, lower = found[0], found[0].lower()
        if word == "I":
            return word
        for form in sorted(forms(lower), key=len, reverse=True):
            if form in self.spelling:
                return self.spelling[form] + lower[len(form) :] if lower.startswith(form) else lower
        if lower in ENGLISH:
            begins = not re.search(r"[^\s.!?。！？:：;；][^.!?。！？:：;；\n]*$", found.string[: found.start()])
            return lower.capitalize() if begins else lower
        return lower if len(word) > 1 and word.isupper() and self.knows_english(lower) else word

    @cached_property
    def prompts(self) -> Prompts:
        """Writes emoji in words."""
        return Prompts(self.emoji, lambda: self.related["emoji"], ENGLISH, DETERMINERS, counts=self.counts or 4)

    def expand(self, prompt: str) -> str:
        """A prompt with emoji replaced by words: see ``Prompts.expand``."""
        return self.prompts.expand(prompt)

    def unknown(self, prompt: str) -> tuple[UnknownWord, ...]:
        """Words of a prompt that the model was never taught, in order, ``MOST`` at most, with their nearest names."""
        if prompt not in self.found:
            if len(self.found) >= KEPT:
                self.found.clear()
            self.found[prompt] = self.look_for_unknown(prompt)
        return self.found[prompt]

    def look_for_unknown(self, prompt: str) -> tuple[UnknownWord, ...]:
        """``unknown`` without the cache."""
        found: dict[str, str] = {}
        text = self.expand(prompt)
        for place in sorted([*HAN.finditer(text), *LETTERS.finditer(text)], key=lambda found: found.start()):
            if HAN.match(place[0]):
                found |= dict.fromkeys(self.unknown_chinese(place[0]), "zh")
        for word in self.unknown_english(text):
            found.setdefault(word, "en")
        if self.counts:
            found |= dict.fromkeys(numbers.digits(text), "zh" if HAN.search(text) else "en")
        in_order = sorted(found, key=lambda word: max(0, text.lower().find(word)))
        return tuple(UnknownWord(word, self.nearest(word, found[word])) for word in in_order[:MOST])

    def names_something(self, prompt: str) -> bool:
        """Whether a prompt names anything that the model knows."""
        text = self.expand(prompt)
        if self.names["en"] or self.names["zh"]:
            chinese = any(word in self.chinese_names for run in HAN.findall(text) for word, _ in self.cut(run))
            return chinese or any(name for name, _ in self.spelled(tokens(text)))
        english = any(word not in ENGLISH and self.knows_english(word) for word in tokens(text))
        return english or any(
            known and word not in CHINESE for run in HAN.findall(text) for word, known in self.cut(run)
        )

    def warnings(self, prompt: str, draws: bool = True) -> list[str]:
        """Warnings about a prompt, one sentence each.

        Args:
            draws: the prompt must name something to draw; an instruction need not.
        """
        found = []
        unknown = self.unknown(prompt)
        if draws and not self.names_something(prompt):
            found.append("the prompt names nothing that the model knows: the picture shows something else, or nothing")
        if (read_as := self.expand(prompt)) != prompt and PICTOGRAM.search(prompt):
            found.append(f'emoji are read as words: "{read_as}"')
        if (better := self.small_letters(read_as)) != read_as:
            found.append(f'the model doesn\'t know words in these capitals: write "{better}"')
        for word in unknown:
            near = f"; nearest: {', '.join(word.nearest)}" if word.nearest else ""
            found.append(f'the model doesn\'t know "{word.word}"{near}')
        return found

    # English

    def unknown_english(self, text: str) -> Iterator[str]:
        """Words in other scripts than Chinese that are neither taught nor function words, in lower case."""
        for name, word in self.spelled(tokens(text)):
            if not name and len(word) > 1 and (self.beyond(word) or not self.knows_english(word)):
                yield word

    def beyond(self, word: str) -> bool:
        """Whether a word is a number above those that were taught."""
        return bool(self.counts) and (numbers.value(word) or 0) > self.counts

    def knows_english(self, word: str) -> bool:
        """Whether a word was taught, in the singular or the plural."""
        return bool(forms(word) & self.english) or f"{word}s" in self.english or f"{word}es" in self.english

    def spelled(self, words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """The words split into known names (name, "") and other words ("", word); longest names first."""
        place, longest = 0, max(map(len, self.english_names), default=0)
        while place < len(words):
            for length in range(min(longest, len(words) - place), 0, -1):
                if name := self.name_of(words[place : place + length]):
                    yield name, ""
                    place += length
                    break
            else:
                yield "", words[place]
                place += 1

    def name_of(self, words: tuple[str, ...]) -> str:
        """The name that some words spell, where the first or last may be a plural; "" if there is none."""
        for last in forms(words[-1]):
            if name := self.english_names.get((*words[:-1], last)):
                return name
        if len(words) > 1:
            for first in forms(words[0]):
                if name := self.english_names.get((first, *words[1:])):
                    return name
        return ""

    # Chinese

    def unknown_chinese(self, run: str) -> Iterator[str]:
        """The runs of Chinese characters that no taught word covers."""
        pieces = list(self.cut(run))
        if all(known for _, known in pieces):
            return
        others = {word for word in self.related["zh"] if len(word) > 1}
        yield from (word for word, known in self.cut(run, others) if not known)

    def cut(self, run: str, others: Iterable[str] = ()) -> Iterator[tuple[str, bool]]:
        """Chinese text segmented into the longest words from the left, each with whether the model knows it.

        Args:
            others: words that the model doesn't know.
        """
        others = set(others)
        longest = max(self.longest, max(map(len, others), default=0))
        place, stray = 0, ""
        while place < len(run):
            sizes = range(min(longest, len(run) - place), 0, -1)
            word = next((run[place : place + n] for n in sizes if self.is_word(run[place : place + n], others)), "")
            if not word:
                stray += run[place]
                place += 1
                continue
            if stray:
                yield stray, False
                stray = ""
            yield word, word in self.chinese_names or (word in self.chinese and not self.beyond(word))
            place += len(word)
        if stray:
            yield stray, False

    def is_word(self, word: str, others: set[str]) -> bool:
        """Whether a Chinese word is known, or one of some others."""
        return word in self.chinese_names or word in self.chinese or word in others

    # Nearest names

    def nearest(self, word: str, language: str) -> tuple[str, ...]:
        """Names that mean nearly the same, contain the word, or are spelled alike; the best first."""
        if self.counts and (number := numbers.value(word)) is not None:
            return (numbers.nearest(number, self.counts, language),)
        related = self.related[language]
        found: list[str] = []
        for form in sorted(forms(word)) if language == "en" else [word]:
            found += related.get(form, [])
        known = self.names[language] or sorted((self.english - ENGLISH) if language == "en" else self.chinese - CHINESE)
        if language == "en":
            found += [name for name in known if word in tokens(name)]
            if not found and len(word) >= TYPED:  # else it is a word, not a slip
                found += alike(word, [name for name in known if abs(len(name) - len(word)) <= 2])
        else:
            its = characters(word)
            sharing = [(len(characters(name) & its) / len(characters(name) | its), name) for name in known]
            found += [name for share, name in sorted(sharing, key=lambda one: -one[0]) if share >= 1 / 3]
        return tuple(dict.fromkeys(found))[:NEAREST]


def characters(word: str) -> set[str]:
    """The characters of a Chinese word; of two, without the ending: 鞋子 (shoes) and 狮子 (lion) share nothing."""
    return set(word[:1] if len(word) == 2 and word[1] == "子" else word)


def alike(word: str, names: Sequence[str]) -> list[str]:
    """Names that are spelled like a word."""
    from difflib import get_close_matches

    return get_close_matches(word, names, NEAREST, 0.72)


@lru_cache(4096)
def forms(word: str) -> frozenset[str]:
    """An English word, and the words of which it may be the plural."""
    found = {word}
    if word.endswith("s") and len(word) > 3:
        found.add(word[:-1])
    if word.endswith("es") and len(word) > 4:
        found.add(word[:-2])
    if word.endswith("ies"):
        found.add(word[:-3] + "y")
    if word.endswith("ves"):
        found |= {word[:-3] + "f", word[:-3] + "fe"}
    if word.endswith("men"):
        found.add(word[:-3] + "man")
    if word.endswith("i") and len(word) > 4:
        found.add(word[:-1] + "us")
    irregular = {"mice": "mouse", "geese": "goose", "teeth": "tooth", "feet": "foot", "people": "person", "dice": "die"}
    return frozenset(found | ({irregular[word]} if word in irregular else set()))


def tokens(text: str) -> tuple[str, ...]:
    """The words of a text in other scripts than Chinese, in lower case; "I'd" and "T-shirt" are two words each."""
    return tuple(part for found in LETTERS.findall(text.lower()) for part in re.split("['’]", found) if part)


def texts(value: Any, most: int | None = None) -> list[str]:
    """A list of texts.

    Raises:
        TypeError: it is something else.
    """
    if (
        not isinstance(value, list)
        or not all(isinstance(one, str) for one in value)
        or (most and not 2 <= len(value) <= most)
    ):
        raise TypeError("not a list of texts")
    return value


def count_of(value: Any) -> int:
    """A number of things.

    Raises:
        TypeError: it is something else, or higher than the words for numbers go.
    """
    if type(value) is not int or not 0 <= value < len(numbers.WORDS["zh"]):
        raise TypeError("not a number of things")
    return value


def read(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ModelError: it can't be read.
    """
    try:
        return read_json(path)
    except (OSError, ValueError) as problem:
        raise ModelError(f"{path} can't be read as JSON ({problem})", HINT) from problem
