"""Free captions for exactly known content, in English and Chinese."""

from dataclasses import dataclass

import numpy as np

from lantu.data import chinese, english
from lantu.data.backgrounds import ALL
from lantu.data.gallery import Concept
from lantu.data.phrases import ADJECTIVES, IN_STYLE, ON_BACKGROUND, PHRASES, THING_IN_STYLE
from lantu.data.styles import STYLES
from lantu.data.wordings import SLOTS, wording

EACH = 4  # captions in each language
WORDED = 0.3  # share of captions of placed things that are put together from parts
PLAINEST = 0.45  # share of the others that use the first phrase
KEYWORDS = 0.15  # share of things that are called by another of their names
BACKDROPS = 0.75  # share of captions that mention a background that is not white
WHITES = 0.1  # share of captions that mention a white one
STYLED = 0.6  # share of captions that mention the style


@dataclass(frozen=True)
class Content:
    """The content of a scene.

    Attributes:
        relation: one of the keys of ``PHRASES``.
        concepts: in the order of the layout's slots; for "count" the same one several times.
        style, background: keys of ``STYLES`` and ``backgrounds.ALL``.
    """

    relation: str
    concepts: tuple[Concept, ...]
    style: str
    background: str


def captions(content: Content, rng: np.random.Generator) -> dict[str, tuple[str, ...]]:
    """Language → captions, all true of the content; they differ from one another where possible."""
    return {language: tuple(caption(content, language, rng) for _ in range(EACH)) for language in PHRASES}


def caption(content: Content, language: str, rng: np.random.Generator) -> str:
    """One caption in "en" or "zh"."""
    phrases = PHRASES[language][content.relation]
    if content.relation in SLOTS and rng.random() < WORDED:
        phrase = wording(content.relation, language, rng)
    else:
        phrase = phrases[0] if rng.random() < PLAINEST else phrases[rng.integers(len(phrases))]
    text = say(phrase, content.concepts, language, rng)
    if rng.random() < STYLED / 4 and phrase in ("{a}", "{n}") and (style := STYLES.get(content.style)):
        word = pick(style.words[language], rng)
        return pick(THING_IN_STYLE[language], rng).format(x=text, w=word, aw=f"{english.article(word)} {word}")
    mentioned = BACKDROPS if content.background != "white" else WHITES
    if rng.random() < mentioned:
        template = pick(ON_BACKGROUND[language], rng)
        word = pick(ALL[content.background].words[language], rng)
        text = template.format(x=text, w=word, aw=f"{english.article(word)} {word}")
    if rng.random() < STYLED and (style := STYLES.get(content.style)):
        text = pick(IN_STYLE[language], rng).format(x=text, w=pick(style.words[language], rng))
    return text


def say(phrase: str, concepts: tuple[Concept, ...], language: str, rng: np.random.Generator | None = None) -> str:
    """Fill a phrase with names; with ``rng``, sometimes with other names of the same things."""
    places: dict[str, str] = {}
    for letter, concept in zip("abcd", concepts, strict=False):
        name = concept.names[language]
        others = concept.keywords[language]
        if rng is not None and others and rng.random() < KEYWORDS:
            name = pick(others, rng)
        places[letter.upper()] = name
        places[letter] = english.one(name) if language == "en" else chinese.counted(name, concept)
        if letter == "a":
            count = len(concepts)
            places |= {f"{word} a": described(word, name, concept, language) for word in ADJECTIVES[language]}
            places["n"] = english.many(name, count) if language == "en" else chinese.counted(name, concept, count)
    return phrase.format(**places)


def described(adjective: str, name: str, concept: Concept, language: str) -> str:
    """A thing with an adjective: a big cat, 一只很大的猫."""
    return english.one(name, adjective) if language == "en" else chinese.counted(name, concept, adjective=adjective)


def words_for(concept: Concept, language: str) -> tuple[str, ...]:
    """All names of a thing in a language, the usual one first."""
    return (concept.names[language], *concept.keywords[language])


def pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    """A random phrase."""
    return choices[rng.integers(len(choices))]
