"""Captions for language training: in known languages, and none so long that it pads a batch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lantu.tokens.bpe import TextCodec
from lantu.tokens.document import LANGUAGES
from lantu.types import Sample


def learnable(samples: Sequence[Sample], codec: TextCodec, longest: int) -> tuple[list[Sample], list[str]]:
    """Samples with only the captions that can be learnt, and long ones cut.

    Args:
        longest: ids of a caption at most.

    Returns:
        the samples, and lines that say how many captions were cut or left out.
    """
    passed: Counter[str] = Counter()
    cut = 0
    learnt = []
    for sample in samples:
        captions = {}
        for language, texts in sample.captions.items():
            if language not in LANGUAGES:
                passed[language] += len(texts)
                continue
            short = tuple(shortened(text, codec, longest) for text in texts)
            cut += sum(one is not text for one, text in zip(short, texts, strict=True))
            captions[language] = short
        changed = any(captions.get(language) != texts for language, texts in sample.captions.items())
        learnt.append(replace(sample, captions=captions) if changed else sample)
    lines = []
    if cut:
        lines.append(f"{cut:,} captions longer than {longest:,} ids are cut (longest)")
    for language, count in sorted(passed.items()):
        lines.append(f"{count:,} captions in {language!r} are passed over: only {' and '.join(LANGUAGES)} are learnt")
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
