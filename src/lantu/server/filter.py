"""The content filter: refuses prompts that contain listed words, and whatever the operator's judge refuses.

The judge is a function that the operator supplies. Prompts are checked before they are queued. The judge also sees each
picture that a client sends, and each finished picture before the client does. With a judge there are no previews,
because a half-drawn picture can't be judged reliably.
"""

import asyncio
import importlib
import inspect
import logging
import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL.Image import Image

from lantu.errors import LantuError
from lantu.server.http.errors import ApiError
from lantu.server.metrics import Metrics
from lantu.server.options import Judge
from lantu.server.worker.unavailable import DeadlineExceeded
from lantu.types import Picture

log = logging.getLogger("lantu.server")

JUDGE_THREADS = 4
# Unicode names of letters start like this in scripts that are written without spaces.
UNSPACED = ("CJK ", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR")


class Refused(ApiError):
    """The filter refused a prompt or a picture. The answer is that of OpenAI's gpt-image; dall-e had another code.

    Args:
        stage: "input" or "output".
    """

    def __init__(self, message: str, param: str | None, stage: str):
        super().__init__(400, message, "moderation_blocked", param)
        self.stage = stage

    @property
    def body(self) -> dict[str, Any]:
        """The answer's JSON object, with the details that OpenAI adds."""
        details = {"moderation_stage": self.stage, "categories": []}
        extra = {"type": "image_generation_user_error", "moderation_details": details}
        return {"error": super().body["error"] | extra}


class Filter:
    """Checks prompts and pictures.

    Args:
        phrases: what prompts may not contain, as ``read_phrases`` returns it.
        judge: called with a prompt, a picture or both; returns None, or the reason for a refusal.
        metrics: counts refusals.
        timeout_s: the most time for a call of the judge.
    """

    def __init__(self, phrases: Sequence[str], judge: Judge | None, metrics: Metrics, timeout_s: float):
        self.phrases, self.judge, self.metrics, self.timeout_s = phrases, judge, metrics, timeout_s
        # A pool of its own, so that a slow judge does not hold up the encoding of pictures.
        self.threads = ThreadPoolExecutor(JUDGE_THREADS, "lantu judge")

    async def check_prompt(self, prompt: str) -> None:
        """Check a prompt.

        Raises:
            Refused: it is refused.
            ApiError, DeadlineExceeded: the judge failed, or took too long.
        """
        # On another thread, because a long list takes a while.
        if phrase := self.phrases and await asyncio.to_thread(first_match, self.phrases, prompt):
            reason = f"it contains {phrase!r}"
        else:
            reason = await self.ask_judge(prompt, None)
        if reason is not None:
            raise self.refusal("prompt", f"the prompt was refused ({reason}): reword it", "prompt", "input")

    async def check_upload(self, image: Image, param: str) -> None:
        """Check a picture that a client sent; raises like ``check_prompt``."""
        reason = await self.ask_judge(None, image)
        if reason is not None:
            raise self.refusal("upload", f"the picture was refused ({reason}): send another", param, "input")

    async def check_picture(self, picture: Picture) -> None:
        """Check a finished picture; raises like ``check_prompt``."""
        reason = await self.ask_judge(picture.prompt or None, picture.image)
        if reason is not None:
            raise self.refusal("picture", f"the picture was refused ({reason}): ask for another", None, "output")

    def refusal(self, what: str, message: str, param: str | None, stage: str) -> Refused:
        """Count a refusal of a prompt, upload or picture, and return its error."""
        self.metrics.refused.labels(what).inc()
        return Refused(message, param, stage)

    async def ask_judge(self, prompt: str | None, image: Image | None) -> str | None:
        """The judge's reason for a refusal; None when it refuses nothing, or when there is no judge.

        Raises:
            ApiError, DeadlineExceeded: the judge failed, or took too long.
        """
        if self.judge is None:
            return None
        image = image and image.copy()  # the judge may change its copy
        answer = asyncio.get_running_loop().run_in_executor(self.threads, call, self.judge, prompt, image)
        try:
            return await asyncio.wait_for(answer, self.timeout_s)
        except TimeoutError as problem:
            raise DeadlineExceeded from problem


def call(judge: Judge, prompt: str | None, image: Image | None) -> str | None:
    """Call a judge; returns its reason in one line, or None.

    Raises:
        ApiError: it raised anything, or returned neither None nor a string. The request must not pass then.
    """
    try:
        reason = judge(prompt, image)
        if reason is not None and not isinstance(reason, str):
            raise TypeError(f"a judge returns None or a reason as str, not {reason!r}")
    except BaseException as problem:  # including SystemExit, which would end the server
        log.error("the judge failed", exc_info=problem)
        message = "the server's content judge failed; see its log"
        raise ApiError(500, message, "internal_error") from problem
    return reason and " ".join(reason.split())


def read_phrases(file: Path | None) -> tuple[str, ...]:
    """The words and phrases in a file, normalised. It has one per line; lines with # are comments.

    Raises:
        LantuError: the file can't be read, or contains none.
    """
    if file is None:
        return ()
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as problem:
        hint = "give a UTF-8 text file with one word or phrase per line"
        raise LantuError(f"can't read the words in {file}", hint) from problem
    phrases = [normalise(line) for line in lines if not line.lstrip().startswith("#")]
    if not any(phrases):
        raise LantuError(f"there are no words in {file}", "write one per line, or leave --refuse out")
    return tuple(dict.fromkeys(filter(None, phrases)))


def load_judge(name: str | None) -> Judge | None:
    """Load the operator's judge from a module that is installed or in the working folder.

    Args:
        name: "MODULE:FUNCTION"; None if there is no judge.

    Raises:
        LantuError: there is no such function, or it does not take (prompt, image).
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
        reason = " ".join(f"{type(problem).__name__}: {problem}".split())
        hint = "start the server in the module's folder, or fix the module"
        raise LantuError(f"can't load the judge {name} ({reason})", hint) from problem
    if not callable(judge) or inspect.iscoroutinefunction(judge):
        raise LantuError(f"the judge {name} is not a plain function", "write def judge(prompt, image): …")
    try:
        inspect.signature(judge).bind(None, None)
    except (TypeError, ValueError) as problem:
        raise LantuError(
            f"the judge {name} does not take (prompt, image)", "write def judge(prompt, image): …"
        ) from problem
    return judge


def normalise(text: str) -> str:
    """A text in the form in which texts are compared.

    NFKC, case folded, single spaces, without invisible characters and without decorating marks. Marks stay that a
    script is written with, such as vowels of Hindi and Thai, and those that combine with their letter (é).
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    visible = "".join(letter for letter in text.translate(BLANK) if not is_invisible(letter))
    # A mark may combine with its letter now that no invisible character separates them.
    visible = unicodedata.normalize("NFKC", visible)
    return " ".join("".join(letter for letter in visible if not is_decoration(letter)).split())


# Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties), without those of category Cf.
IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
# Combining diacritical marks, their extensions and supplement, and those for symbols.
DECORATION = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
BLANK = {0x2800: " "}  # the braille pattern without dots


def is_decoration(letter: str) -> bool:
    """Whether a character is a mark that can be put over or around any other."""
    return unicodedata.category(letter) == "Me" or DECORATION.match(letter) is not None


def is_invisible(letter: str) -> bool:
    """Whether a character can't be seen. White space counts as visible."""
    kind = unicodedata.category(letter)
    return kind == "Cf" or (kind == "Cc" and not letter.isspace()) or IGNORED.match(letter) is not None


def first_match(phrases: Sequence[str], text: str) -> str | None:
    """The first normalised phrase that a text contains; None if it contains none of them."""
    text = normalise(text) if phrases else ""
    return next((phrase for phrase in phrases if contains(text, phrase)), None)


def contains(text: str, phrase: str) -> bool:
    """Whether a normalised text contains a phrase. In scripts with spaces it must match whole words."""
    start = text.find(phrase)
    while start >= 0:
        end = start + len(phrase)
        if not (in_one_word(text[max(0, start - 1) : start + 1]) or in_one_word(text[end - 1 : end + 1])):
            return True
        start = text.find(phrase, start + 1)
    return False


def in_one_word(pair: str) -> bool:
    """Whether two neighbouring characters belong to the same word of a script with spaces."""
    return len(pair) == 2 and all(map(is_word_character, pair))


def is_word_character(letter: str) -> bool:
    """Whether a character is a letter, mark or digit of a script with spaces."""
    return unicodedata.category(letter)[0] in "LMN" and not unicodedata.name(letter, "").startswith(UNSPACED)
