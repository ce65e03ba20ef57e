"""Text ↔ ids: a byte-level BPE of English and Chinese (arXiv:1508.07909), in the file format of Hugging Face.

Every text can be encoded, because all 256 bytes have ids. Two choices help a small model that reads short captions: a
Latin word has the same ids at the start of a text as inside it (the tokenizer prepends a space, and strips it when
decoding), and Chinese is first split into characters, so that 猫 has the same ids in every context. Case is kept.

``normalise`` runs before the tokenizer, both in training and in drawing: NFKC, except that full-width punctuation is
kept (the Chinese ， is not a comma), and white space collapses to single spaces.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from lantu import files
from lantu.errors import ModelError, PromptError
from lantu.files.untrusted import read_bytes, shown
from lantu.tokens.vocabulary import Vocabulary

BYTES = 256
# GPT-4's pattern, except that letters never join punctuation and each Chinese character stands alone.
PIECES = (
    r"'(?i:s|t|re|ve|m|ll|d)|\p{Han}| ?[\p{L}\p{M}&&[^\p{Han}]]+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
HAN_LEADS = (0xE3, 0xF4)  # first bytes in UTF-8


def byte_letters() -> dict[str, int]:
    """The letters of bytes in a byte-level BPE: printable Latin-1 as itself, the other bytes from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(BYTES) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(BYTES + place): byte for place, byte in enumerate(others)}


BYTE_OF = byte_letters()
FULL_WIDTH = re.compile("([！-／：-＠［-｀｛-～…]+)")


def check_unicode(text: str) -> None:
    """Refuse lone surrogates. Raises PromptError."""
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise PromptError("the text is not valid Unicode", "type it again") from problem


def normalise(text: str) -> str:
    """A text as the tokenizer reads it.

    Raises:
        PromptError: it holds lone surrogates, so it is not valid Unicode.
    """
    if not text.isascii():
        check_unicode(text)
        pieces = FULL_WIDTH.split(text)
        pieces[::2] = [unicodedata.normalize("NFKC", piece) for piece in pieces[::2]]
        text = "".join(pieces)
    return " ".join(text.split())


class TextCodec:
    """Text ↔ ids below ``size``. A text that spells a special token, such as "<|boi|>", stays text.

    The text tokenizer of a pretrained language model is a ``lantu.tokens.pretrained.PretrainedCodec``.

    Args:
        source: a language model's directory, or a tokenizer.

    Raises:
        ModelError: the directory has no readable tokenizer.

    Attributes:
        size: the number of text ids, ``Vocabulary.text_size``.
    """

    def __init__(self, source: str | Path | Tokenizer):
        self.tokenizer = source if isinstance(source, Tokenizer) else read(Path(source))
        self.tokenizer.encode_special_tokens = True
        self.tokenizer.no_padding()  # the file's padding and truncation are for batches
        self.tokenizer.no_truncation()
        first_control = self.tokenizer.token_to_id("<|pad|>")
        self.size: int = ids_of(self.tokenizer) if first_control is None else first_control

    def encode(self, text: str) -> list[int]:
        """The ids of a text. Raises PromptError if it is not valid Unicode."""
        return self.tokenizer.encode(normalise(text), add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """``encode`` for many texts, on all cores."""
        encodings = self.tokenizer.encode_batch([normalise(text) for text in texts], add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def han_ids(self) -> set[int]:
        """Ids with a byte that begins a Chinese character (U+3000 and above), which no other language needs."""
        return {id_ for id_, piece in self.pieces() if any(HAN_LEADS[0] <= byte <= HAN_LEADS[1] for byte in piece)}

    def english_word_ids(self) -> set[int]:
        """Ids that begin with a space and a lower-case Latin letter, as English words inside a text do."""
        return {id_ for id_, piece in self.pieces() if piece[:1] == b" " and piece[1:2].isalpha() and piece.islower()}

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Each text id and its bytes."""
        for token, id_ in self.tokenizer.get_vocab().items():
            if id_ < self.size and all(letter in BYTE_OF for letter in token):
                yield id_, bytes(BYTE_OF[letter] for letter in token)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the text ids among ``ids``; invalid UTF-8 becomes U+FFFD."""
        return self.tokenizer.decode([int(id_) for id_ in ids if id_ < self.size], skip_special_tokens=False)

    def save(self, vocabulary: Vocabulary, folder: str | Path) -> None:
        """Write the tokenizer with a token for every id, in the format of AutoTokenizer: see ``save``."""
        save(self, vocabulary, folder)


def train(captions: Iterable[str], size: int = 4096) -> TextCodec:
    """Train a BPE on captions.

    Args:
        size: maximum number of ids, 256 or more; there are fewer if the captions have fewer pairs that repeat.
    """
    tokenizer = Tokenizer(models.BPE())
    # Prepend a space only if the text begins with a word.
    not_a_word = normalizers.Replace(Regex(r"\A (?![\p{L}&&[^\p{Han}]])"), "")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(" "), not_a_word])
    split = pre_tokenizers.Split(Regex(PIECES), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=max(size, BYTES),
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(map(normalise, captions), trainer)
    return TextCodec(tokenizer)


def read(folder: Path) -> Tokenizer:
    """The tokenizer of a transformers directory."""
    try:
        return Tokenizer.from_buffer(read_bytes(folder / "tokenizer.json"))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as problem:  # the library raises plain Exceptions, and its panics are BaseExceptions
        raise ModelError(f"can't read a tokenizer in {folder}", "give a complete model directory") from problem


def check(codec: TextCodec, vocabulary: Vocabulary) -> None:
    """Refuse a tokenizer whose ids contradict the language model's config.

    Raises:
        ModelError: the number of text ids differs, two tokens have one id, or a special token or code has another id.
    """
    hint = "restore tokenizer.json and config.json, or fetch the model again"
    ids = codec.tokenizer.get_vocab()
    wanted = dict(zip(vocabulary.tokens(), range(vocabulary.text_size, vocabulary.size), strict=True))
    places = set(ids.values())
    if wanted.items() <= ids.items() and len(places) == len(ids) and max(places) < vocabulary.size:
        return  # the usual case; the rest names the culprit, and accepts older files
    if codec.size != vocabulary.text_size:
        what = f"tokenizer.json has {codec.size} text ids, but text_size in config.json is {vocabulary.text_size}"
        raise ModelError(what, hint)
    for token, place in wanted.items():
        found = ids.pop(token, place)
        if found != place and not token.startswith(
            "<|reserved_"
        ):  # reserved tokens were renumbered when some got names
            raise ModelError(f"tokenizer.json gives {token} the id {found}, not {place}", hint)
    for token, id_ in ids.items():
        if id_ >= vocabulary.text_size and not token.startswith("<|reserved_"):
            raise ModelError(f"tokenizer.json gives {shown(token)} the id {id_}, beyond the text ids", hint)
    texts = sorted(id_ for id_ in ids.values() if id_ < vocabulary.text_size)
    if len(set(texts)) < len(texts):
        twice = next(low for low, high in pairwise(texts) if low == high)
        raise ModelError(f"tokenizer.json gives the id {twice} twice", hint)


def ids_of(tokenizer: Tokenizer) -> int:
    """The highest id of a tokenizer plus one."""
    return max(tokenizer.get_vocab().values()) + 1


def save(codec: TextCodec, vocabulary: Vocabulary, folder: str | Path) -> None:
    """Write the tokenizer with a token for every special token and code, in the format of AutoTokenizer.

    Raises:
        DiskError: it can't be written.
        ValueError: the vocabulary has a different number of text ids.
    """
    folder = Path(folder)
    tokenizer = extended(codec.tokenizer, vocabulary)
    special = {"bos_token": "<|bos|>", "eos_token": "<|eos|>", "pad_token": "<|pad|>"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **special}
    files.write_text(folder / "tokenizer.json", tokenizer.to_str())
    files.write_json(folder / "tokenizer_config.json", config)
    files.write_json(folder / "special_tokens_map.json", special)


def extended(tokenizer: Tokenizer, vocabulary: Vocabulary) -> Tokenizer:
    """A copy in which the vocabulary's special tokens and codes follow the text; tokens that it already has stay.

    Ids that an older version had reserved get today's names.
    """
    content, tokens = json.loads(tokenizer.to_str()), vocabulary.tokens()
    for added in content["added_tokens"]:
        place = added["id"] - vocabulary.text_size
        if added["content"].startswith("<|reserved_") and 0 <= place < len(tokens):
            added["content"] = tokens[place]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in tokens])
    ids = [tokenizer.token_to_id(token) for token in tokens]
    if ids != list(range(vocabulary.text_size, vocabulary.size)):
        raise ValueError(f"the vocabulary's ids don't continue the tokenizer's text ids ({ids[0]}, …)")
    return tokenizer
