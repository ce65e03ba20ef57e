"""Captions for language training: in any language, and none so long that it pads a batch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lantu.tokens.bpe import TextCodec
from lantu.tokens.document import LANGUAGES
from lantu.types import Sample

LOOKED_AT = 32  # of the captions that are cut, the longest, to tell how long they are in ids
SHOWN = 40  # characters of an example


def learnable(samples: Sequence[Sample], codec: TextCodec, longest: int) -> tuple[list[Sample], list[str]]:
    """Samples with long captions cut.

    Args:
        longest: ids of a caption at most.

    Returns:
        the samples, and lines that say how many captions were cut, and which only teach drawing.
    """
    others: Counter[str] = Counter()
    cut: list[str] = []
    learnt = []
    for sample in samples:
        captions = {}
        for language, texts in sample.captions.items():
            if language not in LANGUAGES:
                others[language] += len(texts)
            captions[language] = tuple(shortened(text, codec, longest) for text in texts)
            cut += [text for one, text in zip(captions[language], texts, strict=True) if one is not text]
        changed = any(captions[language] != texts for language, texts in sample.captions.items())
        learnt.append(replace(sample, captions=captions) if changed else sample)
    lines = []
    if cut:
        most = max(len(codec.encode(text)) for text in sorted(cut, key=len)[-LOOKED_AT:])
        kept = shortened(cut[0], codec, longest)[-SHOWN:]
        where = f"e.g. after “…{kept}”; to keep all: --set longest={most}"
        lines.append(f"{len(cut):,} captions longer than {longest:,} ids are cut, {where}")
    for language, count in sorted(others.items()):
        lines.append(f"{count:,} captions in {language!r} teach drawing alone: it writes {' and '.join(LANGUAGES)}")
    return learnt, lines


def shortened(text: str, codec: TextCodec, longest: int) -> str:
    """The beginning of a text, of at most ``longest`` ids; the text itself if it has no more."""
    if len(text.encode("utf-8", "replace")) <= longest:  # an id is at least a byte
        return text
    ids = codec.encode(text)
    if len(ids) <= longest:
        return text
    return codec.decode(ids[:longest]).rstrip("\ufffd").rstrip()


def caption_of(captions: Mapping[str, Sequence[str]], turn: int) -> str:
    """The first caption in one of the languages, which ``turn`` chooses; "" if there is none."""
    firsts = [texts[0] for _, texts in sorted(captions.items()) if texts]
    return firsts[turn % len(firsts)] if firsts else ""
