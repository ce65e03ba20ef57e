"""How Janus writes a drawing: the prompt, ``<begin_of_image>``, then one id for each code of a fixed grid.

Guidance compares with the same prompt, in which every id but BOS and BOI has become PAD; those pads are read, not
masked, as in transformers' ``JanusForConditionalGeneration.generate``.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lantu.engine.request import Embeddings, Request
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ImageError, LantuError, ModelError
from lantu.models.janus.config import Config
from lantu.types import MASK_CODE

Grid = tuple[int, int]
Size = tuple[int, int]
PARAMS = SamplingParams(guidance=5.0)  # of DeepSeek's own generation_inference.py
MOST_ANSWER = 512  # ids of a caption
BOI = "<begin_of_image>"
NEEDS = "pip install 'lantu[train]'"


class Layout:
    """Prompts and codes as ids.

    Args:
        folder: of the model, with its text tokenizer, which is loaded when it is first needed.

    Attributes:
        grid: height and width in codes; no other is drawn.
        abilities: what it can do.
    """

    abilities = frozenset({"drawing", "captioning"})

    def __init__(self, folder: str | Path, config: Config):
        self.folder, self.config = Path(folder), config
        self.grid: Grid = config.grid

    def grid_of(self, size: Size) -> Grid:
        """Height and width in codes of a picture of width and height in pixels.

        Raises:
            ImageError: it is not the one size that the model draws.
        """
        own = self.size_of(self.grid)
        if tuple(size) != own:
            what = f"the model draws {own[0]}x{own[1]} pixels, not {size[0]}x{size[1]}"
            raise ImageError(what, "leave out the size")
        return self.grid

    def size_of(self, grid: Grid) -> Size:
        """Width and height in pixels."""
        return grid[1] * self.config.patch, grid[0] * self.config.patch

    def draw(self, prompt: str, grid: Grid, seed: int, params: SamplingParams) -> Request:
        """What the engine is asked for to draw a prompt.

        Raises:
            ModelError: the directory has no text tokenizer that transformers can read.
            LantuError: transformers is not installed.
        """
        prefix = self.encode(prompt)
        return Request(
            prefix,
            (range(self.config.text_size, self.config.text_size + self.config.codebook_size),),
            limit=grid[0] * grid[1],
            seed=seed,
            unconditional=self.unconditional(prefix),
            guidance=params.guidance,
            temperature=params.temperature,
            top_k=params.top_k,
            top_p=params.top_p,
            contrast=params.contrast,
            num_draft_tokens=params.num_draft_tokens,
            min_accepted=params.min_accepted,
        )

    def read(self, prompt: Embeddings, seed: int = 0, temperature: float = 0.0) -> Request:
        """What the engine is asked for to answer a prompt in words.

        Args:
            prompt: text and features of a picture, see ``vision.Reader``.
        """
        config, text = self.config, (range(self.config.text_size),)
        return Request(prompt, text, limit=MOST_ANSWER, stop=config.eos, seed=seed, temperature=temperature)

    def codes(self, ids: Sequence[int], grid: Grid) -> np.ndarray:
        """Drafted ids → (h, w) int64; MASK_CODE where a code is still missing."""
        codes_N = np.full(grid[0] * grid[1], MASK_CODE, np.int64)
        codes_N[: len(ids)] = np.array(ids, np.int64) - self.config.text_size
        return codes_N.reshape(grid)

    def encode(self, prompt: str) -> list[int]:
        """The ids of a prompt as transformers' processor writes it: in the chat template, if there is one, BOI last."""
        return self.ids_of([{"type": "text", "text": prompt}], self.boi)

    def ids_of(self, content: list[dict[str, str]], suffix: str = "") -> list[int]:
        """The ids of what a user says.

        Args:
            content: parts of the message, as chat templates of transformers take them.
            suffix: text behind the template.
        """
        template, messages = self.template, [{"role": "user", "content": content}]
        text = "".join(part.get("text", "") for part in content)
        if template:
            text = self.tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=True
            )
        ids = list(self.tokenizer(text + suffix)["input_ids"])
        if suffix and ids[-1:] != [self.boi_id]:  # the tokenizer does not take it for a token
            ids = [*self.tokenizer(text)["input_ids"], self.boi_id]
        if max(ids) >= self.config.text_size:
            what = f"the tokenizer in {self.folder} has an id {max(ids)}, the language model {self.config.text_size}"
            raise ModelError(what, "fetch the model again")
        return ids

    def unconditional(self, prefix: Sequence[int]) -> list[int]:
        """A prompt without its words, as long as it."""
        return [id_ if id_ in (self.config.bos, self.boi_id) else self.config.pad for id_ in prefix]

    @property
    def boi(self) -> str:
        """The text of the token that begins a picture."""
        if self.config.boi is not None:
            return self.tokenizer.convert_ids_to_tokens(self.config.boi)
        return getattr(self.tokenizer, "boi_token", None) or BOI

    @property
    def boi_id(self) -> int:
        """Its id."""
        if self.config.boi is not None:
            return self.config.boi
        return self.tokenizer.convert_tokens_to_ids(self.boi)

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

    @cached_property
    def tokenizer(self) -> Any:
        """transformers' tokenizer of the directory; no code of the directory is run."""
        try:
            from transformers import AutoTokenizer
        except ImportError as problem:
            raise LantuError("Janus needs transformers, which is not installed", NEEDS) from problem
        try:
            return AutoTokenizer.from_pretrained(str(self.folder), trust_remote_code=False, local_files_only=True)
        except Exception as problem:  # of any kind: transformers does not check what a file says
            reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
            raise ModelError(
                f"no text tokenizer can be read in {self.folder} ({reason})", "fetch it again"
            ) from problem
