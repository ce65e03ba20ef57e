"""Captions worded as requests.

A caption describes a picture; a person writes "please draw …", or 画…, with or without a capital letter, a full
stop, or the comma of the other writing system; with words that say nothing of the picture; with brackets. A model that
never saw such a word or sign is lost at the first one, so some requests have one that means nothing.
"""

import re

import numpy as np

from lantu.data.captions import pick

# Share of requests with a phrase around the caption; the others get only the small changes below.
WRAPPED = 0.5
PHRASES = {
    "en": (
        "draw {x}",
        "please draw {x}",
        "paint {x}",
        "show me {x}",
        "show {x}",
        "{x}, please",
        "I would like {x}",
        "make a picture of {x}",
        "generate an image: {x}",
        "can you draw {x}?",
        "a picture with {x}",
        "an image that shows {x}",
        "I'd like {x}",
        "I'd like a picture of {x}, please",
        "I want {x}",
        "I need a picture: {x}",
        "give me {x}",
        "please draw me {x}",
        "could you draw {x}?",
        "would you please make a picture of {x}?",
        "let me see {x}",
        "create an image of {x}",
        "hi, draw {x}",
        "draw: {x}",
        "how about {x}?",
        "{x}, thank you",
        "picture: {x}",
    ),
    "zh": (
        "画{x}",
        "请画{x}",
        "画一张：{x}",
        "给我画{x}",
        "我想要{x}",
        "来一张图：{x}",
        "可以画{x}吗？",
        "生成一张图片：{x}",
        "图片：{x}",
        "图中{x}",
        "画出{x}",
        "我想要一张图：{x}",
        "我要{x}",
        "我要一张图，{x}",
        "帮我画{x}",
        "请帮忙画{x}",
        "麻烦画{x}",
        "能画{x}吗？",
        "能不能帮我画{x}？",
        "请给我画{x}",
        "给我一张图：{x}",
        "给我看看{x}",
        "帮我生成一张图：{x}",
        "想要{x}，谢谢",
        "你好，画{x}",
        "画{x}吧",
        "{x}，谢谢",
    ),
}
FILLED = 0.3  # share of requests with words or signs that say nothing of the picture
FILLERS = {
    "en": (
        *("just", "maybe", "please", "really", "somewhere", "here", "also", "nicely", "kind of", "well", "so", "again"),
        *("you know", "if possible", "for me", "perhaps", "quickly", "exactly", "simply", "of course", "now", "too"),
    ),
    "zh": (
        "嗯",
        "那个",
        "大概",
        "最好",
        "可以的话",
        "尽量",
        "刚好",
        "这样",
        "就好",
        "应该",
        "我想",
        "对了",
        "好吗",
        "哦",
    ),
}
# Where a word may be put in without tearing a name apart: before these, or beside a comma.
BEFORE = {
    "en": re.compile(r"(?<= )(?=(?:an?|on|at|in|and|with|below|above|under|next|beside|between) )"),
    "zh": re.compile(r"(?<=[，；、])|^|$"),
}
# A place that may stand in brackets: none that is seen from another thing ("to the left of …").
PLACE = {
    "en": re.compile(
        r"(?<= )(?:on|at|in|to) the [a-z]+(?: left| right)?(?: side| half| corner)?(?= and |,|;| with |$)"
    ),
    "zh": re.compile(r"(?<![的在是])在?[左右上下]+[边面侧方角](?=[，；、]|$)"),
}
SHORTENED = (("there is ", "there's "), ("it is ", "it's "), ("I would ", "I'd "), ("do not ", "don't "))


def ask(caption: str, language: str, rng: np.random.Generator) -> str:
    """Word a caption in "en" or "zh" as a request; its words about the picture stay."""
    if rng.random() < FILLED:
        caption = fill(caption, language, rng)
    if rng.random() < WRAPPED:
        caption = pick(PHRASES[language], rng).format(x=caption)
    chance = rng.random()
    if language == "en":
        return _english(caption, chance)
    return _chinese(caption, chance)


def fill(text: str, language: str, rng: np.random.Generator) -> str:
    """Put in a word or two that say nothing, shorten what people shorten, and set some places in brackets."""
    if rng.random() < 0.5:
        for long, short in SHORTENED:
            text = text.replace(long, short)
    if rng.random() < 0.4:
        opening, closing = "（）" if language == "zh" else "()"
        text = PLACE[language].sub(lambda found: f"{opening}{found[0].removeprefix('在')}{closing}", text)
    for _ in range(int(rng.integers(3))):
        places = [found.start() for found in BEFORE[language].finditer(text)]
        if places:
            at, word = places[rng.integers(len(places))], pick(FILLERS[language], rng)
            gap = " " if language == "en" else "，" if rng.random() < 0.5 and at > 0 else ""
            text = f"{text[:at]}{word}{gap}{text[at:]}" if at < len(text) else f"{text}{gap}{word}"
    return text


def _english(text: str, chance: float) -> str:
    if chance < 0.3:
        text = _capital(text)
        return text if text[-1] in ".?!" else f"{text}."
    if chance < 0.5:
        return _capital(text)
    if chance < 0.6:
        return text.replace(",", "").replace(";", "").lower()
    return text


def _chinese(text: str, chance: float) -> str:
    if chance < 0.2:
        return text if text[-1] in "。？！" else f"{text}。"
    if chance < 0.35:
        return text.replace("，", ",")
    if chance < 0.5:
        return text.replace("，", " ")
    if chance < 0.55:
        return text.replace("，", "")
    return text


def typed(question: str, rng: np.random.Generator) -> str:
    """A question as people type it: sometimes with a capital letter, sometimes without its question mark."""
    if rng.random() < 0.25:
        question = _capital(question)
    return question.rstrip("?？") if rng.random() < 0.2 else question


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
