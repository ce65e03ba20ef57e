"""Captions worded as requests.

A caption describes a picture; a person writes "please draw …", or 画…, with or without a capital letter, a full
stop, or the comma of the other writing system.
"""

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


def ask(caption: str, language: str, rng: np.random.Generator) -> str:
    """Word a caption in "en" or "zh" as a request; its words about the picture stay."""
    if rng.random() < WRAPPED:
        caption = pick(PHRASES[language], rng).format(x=caption)
    chance = rng.random()
    if language == "en":
        return _english(caption, chance)
    return _chinese(caption, chance)


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
