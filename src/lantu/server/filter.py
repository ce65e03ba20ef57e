"""The content filter: what this server refuses to draw, by a list of words and by the operator's own judge.

Both see a prompt before it is queued. The judge also sees each picture that a client sends, and each finished one
before it is sent; partial ones are not painted beside a judge, for a half-drawn picture can't be judged well.
"""

import asyncio
import importlib
import inspect
import logging
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL.Image import Image

from lantu.errors import LantuError
from lantu.server.http.errors import ApiError
from lantu.server.metrics import Metrics
from lantu.server.worker.unavailable import Late
from lantu.types import Picture

log = logging.getLogger("lantu.server")

Judge = Callable[[str | None, Image | None], str | None]
JUDGES = 4  # calls of the judge at once
# What the names of letters begin with where no spaces stand between words.
UNSPACED = ("CJK ", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR")


class Refused(ApiError):
    """A prompt or a picture that the filter refuses, as OpenAI says it of gpt-image; dall-e had another code for it.

    Args:
        stage: "input" or "output".
    """

    def __init__(self, message: str, param: str | None, stage: str):
        super().__init__(400, message, "moderation_blocked", param)
        self.stage = stage

    @property
    def body(self) -> dict[str, Any]:
        details = {"moderation_stage": self.stage, "categories": []}
        more = {"type": "image_generation_user_error", "moderation_details": details}
        return {"error": super().body["error"] | more}


class Filter:
    """Says no to prompts and pictures.

    Args:
        phrases: that a prompt may not hold, as ``read_phrases`` gives them.
        judge: called with prompt, picture or both; gives None, or the reason of a refusal.
        metrics: where refusals are counted.
        timeout_s: that a judgement may take.
    """

    def __init__(self, phrases: Sequence[str], judge: Judge | None, metrics: Metrics, timeout_s: float):
        self.phrases, self.judge, self.metrics, self.timeout_s = phrases, judge, metrics, timeout_s
        # Of its own: a slow judge must not keep pictures from being encoded.
        self.threads = ThreadPoolExecutor(JUDGES, "lantu judge")

    async def check_prompt(self, prompt: str) -> None:
        """Refuse words.

        Raises:
            Refused: they are not to be drawn.
            ApiError, Late: the judge failed, or took too long.
        """
        # On another thread: long lists take a while.
        if phrase := self.phrases and await asyncio.to_thread(first_of, self.phrases, prompt):
            reason = f"it holds {phrase!r}"
        else:
            reason = await self.judged(prompt, None)
        if reason is not None:
            raise self.refusal("prompt", f"the prompt is refused ({reason}): say it otherwise", "prompt", "input")

    async def check_upload(self, image: Image, param: str) -> None:
        """Refuse a picture that a client sends; raises as ``check_prompt``."""
        reason = await self.judged(None, image)
        if reason is not None:
            raise self.refusal("upload", f"the picture is refused ({reason}): send another", param, "input")

    async def check_picture(self, picture: Picture) -> None:
        """Refuse a finished picture; raises as ``check_prompt``."""
        reason = await self.judged(picture.prompt or None, picture.image)
        if reason is not None:
            raise self.refusal("picture", f"the picture is refused ({reason}): ask for another", None, "output")

    def refusal(self, what: str, message: str, param: str | None, stage: str) -> Refused:
        self.metrics.refused.labels(what).inc()
        return Refused(message, param, stage)

    async def judged(self, prompt: str | None, image: Image | None) -> str | None:
        """The reason why something is refused; None where it is not, or where there is no judge."""
        if self.judge is None:
            return None
        image = image and image.copy()  # what a judge does to it stays with it
        call = asyncio.get_running_loop().run_in_executor(self.threads, ask, self.judge, prompt, image)
        try:
            return await asyncio.wait_for(call, self.timeout_s)
        except TimeoutError as problem:
            raise Late from problem


def ask(judge: Judge, prompt: str | None, image: Image | None) -> str | None:
    """Call a judge.

    Raises:
        ApiError: it raised, whatever it was, or gave neither None nor a text: then nothing passes.
    """
    try:
        reason = judge(prompt, image)
        if reason is not None and not isinstance(reason, str):
            raise TypeError(f"a judge gives None or a reason as str, not {reason!r}")
    except BaseException as problem:  # SystemExit as well: it would end the server
        log.error("the judge failed", exc_info=problem)
        message = "the server could not judge this; its log tells more"
        raise ApiError(500, message, "internal_error") from problem
    return reason and " ".join(reason.split())


def read_phrases(file: Path | None) -> tuple[str, ...]:
    """The words and phrases of a file, normalised: one a line, # begins a remark.

    Raises:
        LantuError: the file can't be read, or holds none.
    """
    if file is None:
        return ()
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as problem:
        hint = "give a UTF-8 text file with one word or phrase a line"
        raise LantuError(f"can't read the words in {file}", hint) from problem
    phrases = [normalised(line) for line in lines if not line.lstrip().startswith("#")]
    if not any(phrases):
        raise LantuError(f"there are no words in {file}", "write one a line, or leave --refuse out")
    return tuple(dict.fromkeys(filter(None, phrases)))


def load_judge(name: str | None) -> Judge | None:
    """The operator's own function, of a module that lies in the working folder or is installed.

    Args:
        name: "MODULE:FUNCTION".

    Raises:
        LantuError: there is no such function, or it can't be called so.
    """
    if name is None:
        return None
    module, _, function = name.partition(":")
    if not (module and function):
        raise LantuError(f"--judge can't be {name!r}", "write MODULE:FUNCTION, e.g. rules:judge for judge in rules.py")
    if (folder := os.getcwd()) not in sys.path:
        sys.path.insert(0, folder)
    try:
        judge = getattr(importlib.import_module(module), function)
    except Exception as problem:
        told = " ".join(f"{type(problem).__name__}: {problem}".split())
        hint = "start the server where the module lies, or hint it"
        raise LantuError(f"can't load the judge {name} ({told})", hint) from problem
    if not callable(judge) or inspect.iscoroutinefunction(judge):
        raise LantuError(f"the judge {name} is no plain function", "write def judge(prompt, image): …")
    try:
        inspect.signature(judge).bind(None, None)
    except (TypeError, ValueError) as problem:
        raise LantuError(
            f"the judge {name} does not take (prompt, image)", "write def judge(prompt, image): …"
        ) from problem
    return judge


def normalised(text: str) -> str:
    """A text as it is compared: NFKC, no case, single spaces, nothing that can't be seen, no marks put over letters.

    Marks of scripts that are written with them, such as vowels of Hindi and Thai, stay, and so do those that make a
    letter of its own (é).
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    seen = "".join(letter for letter in text.translate(BLANK) if not invisible(letter))
    # Marks that an invisible character kept apart from their letters may make one of them now.
    seen = unicodedata.normalize("NFKC", seen)
    return " ".join("".join(letter for letter in seen if not decoration(letter)).split())


# Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties) besides what is of category Cf.
IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
# Combining diacritical marks of all purposes, their supplements, and those for symbols.
DECORATION = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
BLANK = {0x2800: " "}  # braille without dots


def decoration(letter: str) -> bool:
    """Whether a character is a mark that is put over or around any other."""
    return unicodedata.category(letter) == "Me" or DECORATION.match(letter) is not None


def invisible(letter: str) -> bool:
    """Whether nothing is seen of a character; white space is."""
    kind = unicodedata.category(letter)
    return kind == "Cf" or (kind == "Cc" and not letter.isspace()) or IGNORED.match(letter) is not None


def first_of(phrases: Sequence[str], text: str) -> str | None:
    """The first of some normalised phrases that a text holds."""
    text = normalised(text) if phrases else ""
    return next((phrase for phrase in phrases if holds(text, phrase)), None)


def holds(text: str, phrase: str) -> bool:
    """Whether a phrase is in a text; where there are spaces between words, not as a part of a longer one."""
    start = text.find(phrase)
    while start >= 0:
        end = start + len(phrase)
        if not (one_word(text[max(0, start - 1) : start + 1]) or one_word(text[end - 1 : end + 1])):
            return True
        start = text.find(phrase, start + 1)
    return False


def one_word(pair: str) -> bool:
    """Whether two neighbours belong to one word of a script with spaces."""
    return len(pair) == 2 and all(map(in_word, pair))


def in_word(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LMN" and not unicodedata.name(letter, "").startswith(UNSPACED)
