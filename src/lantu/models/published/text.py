"""The text tokenizer of a published directory, read by transformers; no code of the directory is run."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lantu.errors import TRAINING, LantuError, ModelError

AGAIN = "fetch it again"


class Text:
    """Text ↔ ids of a published model.

    Args:
        folder: with the tokenizer's files, which are read when they are first needed.
        size: ids that the language model has for text, with its special tokens.

    Raises:
        LantuError: transformers is not installed.
        ModelError: the directory has no text tokenizer that transformers can read, or it can't encode a prompt.
    """

    def __init__(self, folder: str | Path, size: int):
        self.folder, self.size = Path(folder), size

    @cached_property
    def tokenizer(self) -> Any:
        """transformers' tokenizer."""
        try:
            from transformers import AutoTokenizer
        except ImportError as problem:
            raise LantuError("this model needs transformers, which is not installed", TRAINING) from problem
        try:
            return AutoTokenizer.from_pretrained(str(self.folder), trust_remote_code=False, local_files_only=True)
        except Exception as problem:  # of any kind: transformers does not check what a file says
            what = f"no text tokenizer can be read in {self.folder} ({first_line(problem)})"
            raise ModelError(what, AGAIN) from problem

    @cached_property
    def template(self) -> str | None:
        """The chat template, a Jinja text; None where the directory has none."""
        if self.tokenizer.chat_template:
            return self.tokenizer.chat_template
        try:
            old = json.loads((self.folder / "chat_template.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return old.get("chat_template") if isinstance(old, dict) else None

    def chat(self, content: list[dict[str, str]] | str, answer: bool = True) -> str:
        """What a user says, in the chat template, which must exist.

        Args:
            content: parts of the message, as chat templates of transformers take them, or a text.
            answer: the answer comes next, so the template begins it.
        """
        try:
            return self.tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=self.template,
                tokenize=False,
                add_generation_prompt=answer,
            )
        except Exception as problem:  # of any kind: a template is a program
            raise self.damaged(problem) from problem

    def encode(self, text: str, special: bool = True) -> list[int]:
        """The ids of a text.

        Args:
            special: with the tokens that the tokenizer adds at both ends.
        """
        try:
            ids = list(self.tokenizer(text, add_special_tokens=special)["input_ids"])
        except Exception as problem:  # of any kind: a tokenizer may be damaged
            raise self.damaged(problem) from problem
        return self.checked(ids)

    def checked(self, ids: list[int]) -> list[int]:
        """The ids, if the language model has them all. Raises ModelError."""
        if ids and max(ids) >= self.size:
            what = f"the tokenizer in {self.folder} has an id {max(ids)}, the language model {self.size}"
            raise ModelError(what, "fetch the model again")
        return ids

    def token(self, text: str) -> int:
        """The id of a token. Raises ModelError if the tokenizer doesn't know it."""
        id_ = self.tokenizer.convert_tokens_to_ids(text)
        if not isinstance(id_, int) or (id_ == self.tokenizer.unk_token_id and text != self.tokenizer.unk_token):
            raise ModelError(f"the tokenizer in {self.folder} does not know {text}", AGAIN)
        return id_

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True).strip()

    def damaged(self, problem: Exception) -> ModelError:
        """The error of a tokenizer that fails."""
        return ModelError(f"the tokenizer in {self.folder} can't encode a prompt ({first_line(problem)})", AGAIN)


def first_line(problem: Exception) -> str:
    """What is wrong, for a message of one line."""
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]
