"""Text ↔ ids: a byte-level BPE of English and Chinese (arXiv:1508.07909), in the file format of Hugging Face.

Every text can be encoded, for the 256 bytes are always among the ids. Two choices help a small model that reads short
captions: a Latin word has the same ids at the start of a text as inside (the tokenizer puts a space before it, and
takes it away again), and Chinese is cut into characters first, so that 猫 has the same ids whatever stands beside it.
Case is kept.

``normalise`` runs before the tokenizer, at training and at drawing alike: NFKC, but full-width punctuation is kept
(，is not a comma in Chinese), and white space collapses to single spaces.
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
# GPT-4's cut, but a letter is never joined to punctuation, and each Chinese character stands alone.
PIECES = (
    r"'(?i:s|t|re|ve|m|ll|d)|\p{Han}| ?[\p{L}\p{M}&&[^\p{Han}]]+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
HAN_LEADS = (0xE3, 0xF4)  # first bytes in UTF-8


def byte_letters() -> dict[str, int]:
    """How a byte-level BPE spells bytes: printable ones of Latin-1 as themselves, the others from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(BYTES) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(BYTES + place): byte for place, byte in enumerate(others)}


BYTE_OF = byte_letters()
FULL_WIDTH = re.compile("([！-／：-＠［-｀｛-～…]+)")


def normalise(text: str) -> str:
    """What the tokenizer gets to see of a text.

    Raises:
        PromptError: it holds half characters, so that it is not Unicode text.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as problem:
            raise PromptError("the text is not valid Unicode", "type it again") from problem
        pieces = FULL_WIDTH.split(text)
        pieces[::2] = [unicodedata.normalize("NFKC", piece) for piece in pieces[::2]]
        text = "".join(pieces)
    return " ".join(text.split())


class TextCodec:
    """Text ↔ ids below ``size``. A text that spells a control id, such as "<|boi|>", stays text.

    Args:
        source: a language model's directory, or a tokenizer at hand.

    Raises:
        ModelError: the directory has no tokenizer that can be read.

    Attributes:
        size: the number of text ids, ``Vocabulary.text_size``.
    """

    def __init__(self, source: str | Path | Tokenizer):
        self.tokenizer = source if isinstance(source, Tokenizer) else read(Path(source))
        self.tokenizer.encode_special_tokens = True
        self.tokenizer.no_padding()  # a prompt is as long as it is, whatever the file wants of batches
        self.tokenizer.no_truncation()
        first_control = self.tokenizer.token_to_id("<|pad|>")
        self.size: int = ids_of(self.tokenizer) if first_control is None else first_control

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(normalise(text), add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Many at once, on all cores."""
        encodings = self.tokenizer.encode_batch([normalise(text) for text in texts], add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def han_ids(self) -> set[int]:
        """Ids with a byte that begins a Chinese character (U+3000 and above): no other language's text needs them."""
        return {id_ for id_, piece in self.pieces() if any(HAN_LEADS[0] <= byte <= HAN_LEADS[1] for byte in piece)}

    def english_word_ids(self) -> set[int]:
        """Ids of a space and a small Latin letter: how an English word begins inside a text."""
        return {id_ for id_, piece in self.pieces() if piece[:1] == b" " and piece[1:2].isalpha() and piece.islower()}

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Each text id and the bytes that it stands for."""
        for token, id_ in self.tokenizer.get_vocab().items():
            if id_ < self.size and all(letter in BYTE_OF for letter in token):
                yield id_, bytes(BYTE_OF[letter] for letter in token)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the text ids among ``ids``; bytes that are no character become U+FFFD."""
        return self.tokenizer.decode([int(id_) for id_ in ids if id_ < self.size], skip_special_tokens=False)


def train(captions: Iterable[str], size: int = 4096) -> TextCodec:
    """Learn a BPE from captions.

    Args:
        size: ids at most, 256 at least; fewer when the captions hold fewer pairs of pieces that repeat.
    """
    tokenizer = Tokenizer(models.BPE())
    # A space before a first word, and before nothing else.
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
    except BaseException as problem:  # the library raises nothing more exact, and panics are no Exception
        raise ModelError(f"no tokenizer can be read in {folder}", "give a complete model directory") from problem


def check(codec: TextCodec, vocabulary: Vocabulary) -> None:
    """Refuse a tokenizer whose ids are not those that the language model's config speaks of.

    Raises:
        ModelError: it has another number of text ids, two tokens with one id, or a mark or code in another place.
    """
    hint = "restore tokenizer.json and config.json, or fetch the model again"
    ids = codec.tokenizer.get_vocab()
    wanted = dict(zip(vocabulary.tokens(), range(vocabulary.text_size, vocabulary.size), strict=True))
    places = set(ids.values())
    if wanted.items() <= ids.items() and len(places) == len(ids) and max(places) < vocabulary.size:
        return  # as nearly always; what follows finds the culprit, and lets older files pass
    if codec.size != vocabulary.text_size:
        what = f"tokenizer.json has {codec.size} text ids, in config.json text_size is {vocabulary.text_size}"
        raise ModelError(what, hint)
    for token, place in wanted.items():
        found = ids.pop(token, place)
        if found != place and not token.startswith("<|reserved_"):  # whose numbers changed when others were named
            raise ModelError(f"tokenizer.json gives {token} the id {found}, not {place}", hint)
    for token, id_ in ids.items():
        if id_ >= vocabulary.text_size and not token.startswith("<|reserved_"):
            raise ModelError(f"tokenizer.json gives {shown(token)} the id {id_}, beyond the text ids", hint)
    texts = sorted(id_ for id_ in ids.values() if id_ < vocabulary.text_size)
    if len(set(texts)) < len(texts):
        twice = next(low for low, high in pairwise(texts) if low == high)
        raise ModelError(f"tokenizer.json gives the id {twice} twice", hint)


def ids_of(tokenizer: Tokenizer) -> int:
    """How many ids a tokenizer takes up, gaps included."""
    return max(tokenizer.get_vocab().values()) + 1


def save(codec: TextCodec, vocabulary: Vocabulary, folder: str | Path) -> None:
    """Write the tokenizer with every control id and code as one token, so that AutoTokenizer loads it.

    Raises:
        DiskError: it can't be written.
        ValueError: the vocabulary has another number of text ids.
    """
    folder = Path(folder)
    tokenizer = extended(codec.tokenizer, vocabulary)
    special = {"bos_token": "<|bos|>", "eos_token": "<|eos|>", "pad_token": "<|pad|>"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **special}
    files.write_text(folder / "tokenizer.json", tokenizer.to_str())
    files.write_json(folder / "tokenizer_config.json", config)
    files.write_json(folder / "special_tokens_map.json", special)


def extended(tokenizer: Tokenizer, vocabulary: Vocabulary) -> Tokenizer:
    """A copy in which the vocabulary's controls and codes follow the text, and those already there stay.

    Ids that an older version kept in reserve get the names that they have now.
    """
    told, tokens = json.loads(tokenizer.to_str()), vocabulary.tokens()
    for added in told["added_tokens"]:
        place = added["id"] - vocabulary.text_size
        if added["content"].startswith("<|reserved_") and 0 <= place < len(tokens):
            added["content"] = tokens[place]
    tokenizer = Tokenizer.from_str(json.dumps(told))
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in tokens])
    ids = [tokenizer.token_to_id(token) for token in tokens]
    if ids != list(range(vocabulary.text_size, vocabulary.size)):
        raise ValueError(f"the vocabulary's ids don't follow the tokenizer's text ids ({ids[0]}, …)")
    return tokenizer
