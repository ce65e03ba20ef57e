"""A text tokenizer of lantu's as transformers' ``PreTrainedTokenizerFast``, which diffusers' pipelines call."""

import json
from dataclasses import dataclass
from pathlib import Path

from lantu import files
from lantu.tokens.bpe import TextCodec

SPECIAL = ("<|bos|>", "<|eos|>", "<|pad|>")


@dataclass(frozen=True)
class Prompts:
    """Texts → ids of one length.

    Attributes:
        length: ids of a prompt with both ends and padding.
    """

    codec: TextCodec
    length: int

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.codec.size + len(SPECIAL)

    def special(self, name: str) -> int:
        """The id of "bos", "eos" or "pad"."""
        return self.codec.size + SPECIAL.index(f"<|{name}|>")

    def padded(self, text_ids: list[int]) -> list[int]:
        """A text's ids between both ends, cut or padded to ``length``."""
        bos, eos, pad = map(self.special, ("bos", "eos", "pad"))
        ids = [bos, *text_ids[: self.length - 2], eos]
        return [*ids, *[pad] * (self.length - len(ids))]

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and its config. Raises DiskError."""
        from tokenizers import AddedToken, Tokenizer, processors

        tokenizer = Tokenizer.from_str(json.dumps(json.loads(self.codec.tokenizer.to_str()) | {"added_tokens": []}))
        tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
        if [tokenizer.token_to_id(token) for token in SPECIAL] != list(range(self.codec.size, self.size)):
            raise ValueError("the special tokens don't follow the text's ids")
        ends = [(token, tokenizer.token_to_id(token)) for token in SPECIAL[:2]]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{SPECIAL[0]} $A {SPECIAL[1]}", special_tokens=ends
        )
        names = dict(zip(("bos_token", "eos_token", "pad_token"), SPECIAL, strict=True))
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": self.length,
            "padding_side": "right",
            "clean_up_tokenization_spaces": False,
            **names,
        }
        files.write_text(folder / "tokenizer.json", tokenizer.to_str())
        files.write_json(folder / "tokenizer_config.json", config)
        files.write_json(folder / "special_tokens_map.json", names)
