"""Finds the columns of a table, or keys of a JSON object, that name a picture or hold its captions.

The names are those that WebDataset, Hugging Face's ImageFolder, kohya's scripts, COCO and Flickr use, in any
capitalisation, with a language before or after: ``caption``, ``text_en``, ``Caption 1``, ``description-zh``. A caption
without a stated language is Chinese if it has a Chinese character.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lantu.data.account import printable

HAN = re.compile("[\u3400-\u9fff]")

FILES = (
    *("image", "file_name", "file", "filename", "image_file", "image_file_name", "image_filename", "file_path"),
    *("filepath", "image_path", "imagepath", "path", "image_name", "img", "img_path", "img_name", "img_file"),
    *("picture", "photo", "图片", "文件", "文件名", "图像"),
)
CONTENTS = ("jpg", "jpeg", "png", "webp", "image_bytes", "bytes")  # of a parquet table, beside those above
CAPTIONS = {
    *("caption", "captions", "text", "texts", "description", "descriptions", "prompt", "prompts", "sentence"),
    *("sentences", "image_caption", "image_description", "caption_text", "long_caption", "short_caption"),
    *("generated_caption", "detailed_caption", "说明", "描述", "文字", "提示词"),
}
# Captions only if the table has no better column.
TITLES = {"title", "titles", "alt", "alt_text", "comment", "comments", "tags", "tag_string", "keywords", "标题", "标签"}
# ISO 639-1, without those that are English words or usual names of columns: id, no, is, am, as, or, to …
CODES = "ar bn cs da de el en es fa fi fr he hi hu it ja ko ms nl pl pt ro ru sv sw ta th tr uk ur vi zh"
SPOKEN = {code: code for code in CODES.split()} | {
    **dict.fromkeys(("cn", "chinese", "cmn", "zho", "zh_cn", "zh_tw", "zh_hans", "zh_hant", "中文"), "zh"),
    **dict.fromkeys(("eng", "english", "en_us", "en_gb", "英文"), "en"),
}
ALONE = ("en", "zh", "cn", "english", "chinese", "中文", "英文")  # caption columns that are named after a language

Captions = Mapping[str, tuple[str, ...]]
Spoken = tuple[str, str]  # language, caption


def language_of(text: str) -> str:
    """ "zh" if a character is Chinese, else "en"."""
    return "zh" if HAN.search(text) else "en"


def script_of(text: str) -> str:
    """The script of most of a text's letters, e.g. "Cyrillic"; "" for Latin, and where there is no letter."""
    names = Counter(unicodedata.name(letter, "").partition(" ")[0] for letter in text if letter.isalpha())
    script = names.most_common(1)[0][0] if names else ""
    return "" if script == "LATIN" else script.capitalize()


def plain(name: str) -> str:
    """A column's name in lower case, with _ between the words."""
    return re.sub(r"\W+", "_", str(name).strip().lower()).strip("_")


def file_column(names: Iterable[str], contents: bool = False) -> str | None:
    """The column that names or holds the pictures; None if there is none.

    Args:
        contents: columns of a picture's bytes count, too.
    """
    known = {plain(name): name for name in reversed(list(names))}
    return next((known[name] for name in (*FILES, *(CONTENTS if contents else ())) if name in known), None)


def caption_columns(names: Iterable[str]) -> dict[str, str]:
    """Column → language of the columns that hold captions; "" if the name states no language."""
    names = [str(name) for name in names if name]
    found = {name: spoken for name in names if (spoken := _spoken(name, CAPTIONS)) is not None}
    if not found:
        found = {name: spoken for name in names if (spoken := _spoken(name, TITLES)) is not None}
    return found


def _spoken(name: str, words: set[str]) -> str | None:
    """The language in a column's name if one of these words names it; "" if it states none, None for other columns."""
    known = re.sub(r"_?\d+$", "", plain(name))
    if known in words:
        return ""
    if known in ALONE and words is CAPTIONS:
        return SPOKEN[known]
    for said, language in SPOKEN.items():
        if (known.endswith(f"_{said}") and known[: -len(said) - 1] in words) or (
            known.startswith(f"{said}_") and known[len(said) + 1 :] in words
        ):
            return language
    return None


def captions_in(row: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> tuple[list[Spoken], list[str]]:
    """The captions of a row, or of a JSON object, and what is wrong with those that are no text.

    Args:
        columns: the result of ``caption_columns`` for the table; computed from the row's own names if not given.
    """
    found: list[Spoken] = []
    wrong: list[str] = []
    for column, language in (caption_columns(row) if columns is None else columns).items():
        try:
            found += list(_texts(language, row.get(column)))
        except ValueError as problem:
            wrong.append(str(problem))
    return found, wrong


def _texts(language: str, value: Any) -> Iterator[Spoken]:
    """A caption; a list of them; or captions by language."""
    if value is None or value != value:  # pandas writes NaN for an empty cell
        return
    if isinstance(value, str):
        if text := " ".join(printable(value).split()):
            yield language or language_of(text), text
    elif isinstance(value, Mapping):
        for spoken, texts in value.items():
            yield from _texts(SPOKEN.get(plain(spoken), printable(str(spoken))), texts)
    elif isinstance(value, list | tuple):
        for text in value:
            if not isinstance(text, str | None):
                raise ValueError(f"a caption is {text!r}, not text")
            yield from _texts(language, text)
    else:
        raise ValueError(f"a caption is {value!r}, not text")


def merged(spoken: Iterable[Spoken]) -> Captions:
    """Language → captions, each once, in the order in which they came."""
    found: dict[str, dict[str, None]] = {}
    for language, text in spoken:
        found.setdefault(language, {})[text] = None
    return {language: tuple(texts) for language, texts in found.items()}


def decoded(content: bytes, errors: str = "strict") -> str:
    """Text in UTF-8, or in the encoding that a byte order mark states.

    Args:
        errors: "ignore" leaves out bytes in another encoding.

    Raises:
        ValueError: it is in another encoding.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors)
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError as problem:
        raise ValueError("it is not in UTF-8") from problem


def parsed(content: bytes | str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(decoded(content) if isinstance(content, bytes) else content)
    except RecursionError as problem:
        raise ValueError("it is too deeply nested") from problem
