"""Prompts as the language model reads them: emoji in words, characters normalised.

``lantu export diffusers`` puts this very file beside a model, where ``DiffusionPipeline`` loads ``Prompts`` as one of
its components. So it imports nothing of lantu.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

HAN = re.compile("[\u3400-\u9fff]+")
UNSEEN = re.compile("[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")  # variation selectors and skin tones
JOINED = re.compile("[\u200d\U000e0020-\U000e007f]")  # zero-width joiner, and tags of flags
PICTOGRAM = re.compile("[\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]")
FULL_WIDTH = re.compile("([！-／：-＠［-｀｛-～…]+)")
COUNTS = {"en": ("", "", "two", "three", "four", "five", "six"), "zh": ("", "一", "两", "三", "四", "五", "六")}
TAIL = 200  # characters before an emoji that may describe it
FILE = "prompts.json"
Names = Mapping[str, Sequence[str]]  # emoji → its English and Chinese name, with article, plural, measure word


def normalise(text: str) -> str:
    """NFKC, except that full-width punctuation is kept; white space collapses to single spaces."""
    if not text.isascii():
        pieces = FULL_WIDTH.split(text)
        pieces[::2] = [unicodedata.normalize("NFKC", piece) for piece in pieces[::2]]
        text = "".join(pieces)
    return " ".join(text.split())


class Prompts:
    """Prompt → the text that is encoded.

    Args:
        emoji: names of those that the model was taught.
        others: names of the other emoji, read when they are first needed.
        function_words: English words that name nothing, in lower case.
        determiners: words that stand before a noun's description.
        plain: the text tokenizer normalises by itself, as those of pretrained models do.
        counts: the most things of a kind that the model was taught to draw; more emoji than that are one.
    """

    def __init__(
        self,
        emoji: Names,
        others: Callable[[], Names],
        function_words: Sequence[str] | frozenset[str],
        determiners: Sequence[str] | frozenset[str],
        plain: bool = False,
        counts: int = 4,
    ):
        self.emoji, self._others, self.plain = emoji, others, plain
        self.counts = min(counts, len(COUNTS["en"]) - 1)
        self.function_words, self.determiners = frozenset(function_words), frozenset(determiners)

    def __call__(self, prompt: str) -> str:
        """The text that the tokenizer encodes."""
        text = prompt if prompt.isascii() else self.expand(prompt) or prompt
        return " ".join(text.split()) if self.plain else normalise(text)

    @classmethod
    def from_pretrained(cls, folder: str | Path, **options: Any) -> "Prompts":
        """Read what ``save_pretrained`` wrote."""
        content = json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))
        others = content.pop("others")
        return cls(others=lambda: others, **content)

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """Write all that it knows as one JSON file."""
        content = {
            "plain": self.plain,
            "counts": self.counts,
            "emoji": dict(self.emoji),
            "others": dict(self.others),
            "function_words": sorted(self.function_words),
            "determiners": sorted(self.determiners),
        }
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / FILE).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @cached_property
    def others(self) -> Names:
        """Names of emoji that the model was not taught."""
        return self._others()

    def expand(self, prompt: str) -> str:
        """A prompt with emoji replaced by words: "🐱" becomes "a cat", and "🍎🍎🍎和🐱" becomes 三个苹果和猫."""
        if not PICTOGRAM.search(prompt):
            return prompt
        plain = UNSEEN.sub("", prompt)
        language = "zh" if HAN.search(plain) else "en"
        parts: list[str] = []
        for run in self.runs(plain):
            if isinstance(run, str):
                parts.append(run)
                continue
            bare = self.described("".join(parts[-TAIL:])[-TAIL:])
            named = [self.counted(key, count, language, bare and not place) for place, (key, count) in enumerate(run)]
            if language == "zh":
                parts.append("和".join(named))
            else:
                parts += [" " if parts and not parts[-1].endswith(" ") else "", " and ".join(named), " "]
        return " ".join("".join(parts).split())

    def runs(self, text: str) -> Iterator[str | list[tuple[Sequence[str], int]]]:
        """A text split into plain text and runs of emoji: the names of each emoji, and how often it is repeated."""
        keys = {**self.others, **self.emoji} if self.has_untaught_emoji(text) else self.emoji
        longest = max(map(len, keys), default=0)
        plain, run, place = "", [], 0
        while place < len(text):
            key = next((text[place : place + n] for n in range(longest, 0, -1) if text[place : place + n] in keys), "")
            if key and len(key) <= len(text) - place:
                if plain and (plain.strip() or not run):
                    yield from ([run] if run else [])
                    yield plain
                    run = []
                plain = ""
                if run and run[-1][0] == keys[key]:
                    run[-1] = (keys[key], run[-1][1] + 1)
                else:
                    run.append((keys[key], 1))
                place += len(key)
                continue
            if run and not plain and JOINED.match(text, place):
                place += 1  # of a joined emoji whose parts are named
                continue
            plain += text[place]
            place += 1
        if run:
            yield run
        if plain:
            yield plain

    def has_untaught_emoji(self, text: str) -> bool:
        """Whether a text has emoji that the model was not taught."""
        for key in sorted(self.emoji, key=len, reverse=True):
            text = text.replace(key, "")
        return PICTOGRAM.search(text) is not None

    def described(self, before: str) -> bool:
        """Whether English text ends in a noun's description, after which no article may follow: "a big red"."""
        words = re.findall(r"\w+|[^\w\s]", before.lower())
        for place, word in enumerate(reversed(words)):
            if word in self.determiners:
                return True
            if word in self.function_words or not word.isalnum():
                return False
            if place == len(words) - 1:
                return True
        return False

    def counted(self, names: Sequence[str], count: int, language: str, bare: bool) -> str:
        """An emoji in words, by its names (English, Chinese, with article, plural, measure word); bare: no article."""
        english, chinese, *rest = names
        one, many, measure = rest if len(rest) == 3 else (english, english, "个")
        several = 1 < count <= self.counts
        if language == "zh":
            return f"{COUNTS['zh'][count]}{measure}{chinese}" if several else chinese
        return f"{COUNTS['en'][count]} {many}" if several else english if bare else one
