"""The drawing styles: their source, licence, and names in captions.

``FIRST`` are the seven of 0.1: data and galleries contain these unless others are named, so that what was built and
scored with them stays the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

PATTERNS = {"en": r"\b{word}(?=[ -]style)", "zh": r"{word}(?=风格)"}  # a style's name in a caption


@dataclass(frozen=True)
class Style:
    """One artist's way to draw.

    Attributes:
        package: npm package; its version and integrity are pinned in ``packages.json``.
        files: glob of drawings named by code point inside the package; empty for an Iconify set.
        licence: SPDX identifier of the drawings.
        attribution: whom to credit.
        words: language → words that captions use before the noun ("a <word> style cat") or 风格 ("<word>风格的猫").
    """

    package: str
    files: str
    licence: str
    attribution: str
    words: Mapping[str, tuple[str, ...]]


STYLES = {
    "noto": Style(
        package="@iconify-json/noto",
        files="",
        licence="Apache-2.0",
        attribution="Noto Emoji, Google, https://github.com/googlefonts/noto-emoji",
        words={"en": ("Noto",), "zh": ("诺托", "Noto")},
    ),
    "noto-v1": Style(
        package="@iconify-json/noto-v1",
        files="",
        licence="Apache-2.0",
        attribution="Noto Emoji (v1), Google, https://github.com/googlefonts/noto-emoji",
        words={"en": ("blob", "old Noto"), "zh": ("圆润", "旧版Noto")},
    ),
    "fluent-3d": Style(
        package="@lobehub/fluent-emoji-3d",
        files="assets/*.webp",
        licence="MIT",
        attribution="Fluent Emoji, Microsoft Corporation, https://github.com/microsoft/fluentui-emoji",
        words={"en": ("3D",), "zh": ("3D", "立体")},
    ),
    "fluent-flat": Style(
        package="@iconify-json/fluent-emoji-flat",
        files="",
        licence="MIT",
        attribution="Fluent Emoji Flat, Microsoft Corporation, https://github.com/microsoft/fluentui-emoji",
        words={"en": ("flat",), "zh": ("扁平", "平面")},
    ),
    "twemoji": Style(
        package="twemoji-svg",
        files="dist/*.svg",
        licence="CC-BY-4.0",
        attribution="Twemoji, Twitter, Inc and other contributors, https://github.com/jdecked/twemoji",
        words={"en": ("Twemoji", "Twitter"), "zh": ("推特", "Twemoji")},
    ),
    "emojitwo": Style(
        package="@iconify-json/emojione",
        files="",
        licence="CC-BY-4.0",
        attribution="Emoji One (Colored) 2.3, EmojiTwo, https://github.com/EmojiTwo/emojitwo",
        words={"en": ("EmojiTwo",), "zh": ("EmojiTwo",)},
    ),
    "fxemoji": Style(
        package="@iconify-json/fxemoji",
        files="",
        licence="Apache-2.0",
        attribution="Firefox OS Emoji, Mozilla, https://github.com/mozilla/fxemoji",
        words={"en": ("Firefox",), "zh": ("火狐",)},
    ),
    "streamline": Style(
        package="@iconify-json/streamline-emojis",
        files="",
        licence="CC-BY-4.0",
        attribution="Streamline Emojis, Streamline, https://github.com/webalys-hq/streamline-vectors",
        words={"en": ("Streamline", "outlined"), "zh": ("描边", "Streamline")},
    ),
}
FIRST = ("noto", "noto-v1", "fluent-3d", "fluent-flat", "twemoji", "emojitwo", "fxemoji")


@cache
def naming(style: str, language: str) -> re.Pattern[str]:
    """Finds a style's names in a caption."""
    words = sorted(STYLES[style].words.get(language, ()), key=len, reverse=True)
    if language not in PATTERNS or not words:
        return re.compile(r"(?!)")  # nothing
    return re.compile("|".join(PATTERNS[language].format(word=re.escape(word)) for word in words))
