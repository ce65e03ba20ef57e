"""The text tokenizer of a pretrained language model that learns to draw: its own, kept as it was published.

Its ids are the text ids of ``lantu.tokens.vocabulary``; rows of the model that have no token (vocabularies are often
padded) count as text ids too, and get tokens without meaning. lantu's special tokens and codes follow.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from lantu import files
from lantu.errors import ModelError
from lantu.files.untrusted import parse_json, read_bytes, shown
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary

TOKENIZER, CONFIG = "tokenizer.json", "tokenizer_config.json"
# What lies beside the weights in a published directory, beyond its configs: of it and of its tokenizer.
COMPANIONS = (
    *(TOKENIZER, CONFIG, "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"),
    *("tokenizer.model", "chat_template.jinja", "generation_config.json", *files.PAPERS),
)
MARK = "▁"  # how SentencePiece writes a space
HINT = "give a directory with the tokenizer.json of its model"


class PretrainedCodec(bpe.TextCodec):
    """Text ↔ ids by a pretrained model's own tokenizer, without its chat template.

    Captions and prompts are normalised as all of lantu's, plain text is not.

    Args:
        companions: name → content of the files that are kept as they are, tokenizer.json among them.
        size: the number of text ids.

    Raises:
        ModelError: there is no readable tokenizer.
    """

    def __init__(self, companions: Mapping[str, bytes], size: int):
        super().__init__(parse(companions))
        self.companions, self.size = companions, size

    @classmethod
    def load(cls, folder: Path, size: int) -> "PretrainedCodec":
        """The tokenizer of an adopted language model."""
        return cls(read_companions(folder), size)

    def encode_page(self, text: str) -> list[int]:
        """The ids of plain text with its white space and the marks that the model expects, as AutoTokenizer's."""
        bpe.check_unicode(text)
        return self.tokenizer.encode(text).ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the text ids among ``ids``, without the model's own special tokens."""
        return self.tokenizer.decode([int(id_) for id_ in ids if id_ < self.size], skip_special_tokens=True)

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Each text id and its bytes, of byte-level and of SentencePiece vocabularies."""
        special = {id_ for id_, token in self.tokenizer.get_added_tokens_decoder().items() if token.special}
        in_bytes = '"ByteLevel"' in self.companions[TOKENIZER].decode("utf-8")
        for token, id_ in self.tokenizer.get_vocab().items():
            if id_ >= self.size or id_ in special:
                continue
            if in_bytes and all(letter in bpe.BYTE_OF for letter in token):
                yield id_, bytes(bpe.BYTE_OF[letter] for letter in token)
            elif not in_bytes and len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
                yield id_, bytes([int(token[3:5], 16)])
            elif not in_bytes:
                yield id_, token.replace(MARK, " ").encode()

    def save(self, vocabulary: Vocabulary, folder: str | Path) -> None:
        """Write the files as they were read, the model's other small files among them.

        Raises:
            ValueError: the vocabulary has other text ids.
        """
        if vocabulary.text_size != self.size:
            raise ValueError(f"the vocabulary has {vocabulary.text_size} text ids, the tokenizer {self.size}")
        write_companions(self.companions, Path(folder))


def read_companions(folder: Path) -> dict[str, bytes]:
    """The small files of a published directory.

    Raises:
        ModelError: one can't be read, or there is no tokenizer.json.
    """
    found = {}
    for name in COMPANIONS:
        if (folder / name).exists():
            try:
                found[name] = read_bytes(folder / name)
            except (OSError, ValueError) as problem:
                raise ModelError(f"{folder / name} can't be read ({problem})", HINT) from problem
    if TOKENIZER not in found:
        hint = "have transformers write it: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"
        raise ModelError(f"{folder} has no {TOKENIZER}", hint)
    return found


def write_companions(companions: Mapping[str, bytes], folder: Path) -> None:
    """Write small files, each whole or not at all. Raises DiskError."""
    for name, content in companions.items():
        with files.replacing(folder / name) as temporary:
            temporary.write_bytes(content)


def parse(companions: Mapping[str, bytes]) -> Tokenizer:
    """The tokenizer among some files. Raises ModelError."""
    try:
        return Tokenizer.from_buffer(companions[TOKENIZER])
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as problem:  # see ``bpe.read``
        raise ModelError("its tokenizer.json can't be read", HINT) from problem


def with_tokens(companions: Mapping[str, bytes], vocabulary: Vocabulary) -> dict[str, bytes]:
    """The files with a token for every id of a vocabulary whose text ids are the model's rows.

    Raises:
        ModelError: the tokenizer has more ids than the model, or has lantu's tokens already, or can't take them.
    """
    before = parse(companions)
    known, first = before.get_vocab(), bpe.ids_of(before)
    if first > vocabulary.text_size:
        what = f"its tokenizer has {first:,} ids, the model only {vocabulary.text_size:,}: more ids than rows"
        raise ModelError(what, "give a model with its own tokenizer")
    tokens = [*(f"<|unused_{id_}|>" for id_ in range(first, vocabulary.text_size)), *vocabulary.tokens()]
    if taken := [token for token in tokens if token in known]:
        raise ModelError(f"its tokenizer already has {shown(taken[0])}", "adopt a model that doesn't draw yet")
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": id_, "content": token, **flags} for id_, token in enumerate(tokens, first)]
    content = read(companions, TOKENIZER)
    content["added_tokens"] = [*(content.get("added_tokens") or []), *added]
    made = {**companions, TOKENIZER: dumped(content)}
    if CONFIG in companions:
        config = read(companions, CONFIG)
        if isinstance(config.get("added_tokens_decoder"), dict):  # written by transformers below 5
            config["added_tokens_decoder"] |= {str(each["id"]): {"content": each["content"], **flags} for each in added}
            made[CONFIG] = dumped(config)
    after = parse(made)
    if [after.token_to_id(token) for token in tokens] != list(range(first, vocabulary.size)):
        raise ModelError("its tokenizer leaves out ids, so no tokens can follow them", "adopt another model")
    return made


def read(companions: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """The JSON object in one of the files. Raises ModelError."""
    try:
        content = parse_json(companions[name])
    except ValueError as problem:
        raise ModelError(f"its {name} can't be read as JSON ({problem})", HINT) from problem
    if not isinstance(content, dict):
        raise ModelError(f"its {name} is not a JSON object", HINT)
    return content


def dumped(content: dict[str, Any]) -> bytes:
    """JSON as transformers writes it."""
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()
