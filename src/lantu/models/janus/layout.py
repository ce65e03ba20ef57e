"""How Janus writes a drawing: the prompt, ``<begin_of_image>``, then one id for each code of a fixed grid.

Guidance compares with the same prompt, in which every id but BOS and BOI has become PAD; those pads are read, not
masked, as in transformers' ``JanusForConditionalGeneration.generate``.
"""

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu import images
from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.engine.request import Embeddings, Request
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ImageError, LantuError, ModelError, PromptError
from lantu.models.janus.config import Config
from lantu.models.janus.folder import PARAMS, UNUSED
from lantu.models.spec import Grid, Size
from lantu.models.validation import check_codes, check_prompt
from lantu.types import MASK_CODE, Picture, UnknownWord

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_ANSWER = 512  # ids of a caption
BOI = "<begin_of_image>"
NEEDS = "pip install 'lantu[train]'"
QUESTION = {"en": "Describe this image in one sentence.", "zh": "用一句话描述这张图片。"}


class JanusLayout:
    """Prompts and codes as ids; see ``lantu.models.spec.Layout``.

    Args:
        folder: of the model, with its text tokenizer, which is loaded when it is first needed.
        encode: pictures (B, H, W, 3) uint8 → codes (B, h, w).
    """

    def __init__(self, folder: str | Path, config: Config, encode: Callable[[np.ndarray], np.ndarray]):
        self.folder, self.config, self.encode_pictures = Path(folder), config, encode

    @property
    def size(self) -> Size:
        """Width and height in pixels of all pictures."""
        return self.size_of(self.config.grid)

    def grid_of(self, size: Size) -> Grid:
        """Height and width in codes of a picture of width and height in pixels.

        Raises:
            ImageError: it is not the one size that the model draws.
        """
        if tuple(size) != self.size:
            what = "the model draws and reads {}x{} pixels, not {}x{}".format(*self.size, *size)
            raise ImageError(what, "leave out the size")
        return self.config.grid

    def size_of(self, grid: Grid) -> Size:
        """Width and height in pixels."""
        return grid[1] * self.config.patch, grid[0] * self.config.patch

    def check_size(self, size: Size) -> str:
        """Nothing to warn of: there is one size. Raises ImageError for another."""
        self.grid_of(size)
        return ""

    def draw(
        self,
        prompt: str,
        grid: Grid,
        seed: int,
        params: SamplingParams,
        control: ControlLogitsProcessor | None = None,
    ) -> Request:
        """The request for one picture.

        Raises:
            PromptError: the prompt is empty, too long or no text.
            ModelError: the directory has no text tokenizer that transformers can read.
            LantuError: transformers is not installed; or a parameter belongs to diffusion decoders alone.
        """
        for name in UNUSED:
            if getattr(params, name) != getattr(PARAMS, name):
                what = f"{name} belongs to diffusion decoders, Janus has a VQ decoder"
                raise LantuError(what, "leave it out")
        prefix = self.encode(check_prompt(prompt))
        if len(prefix) + grid[0] * grid[1] > self.config.longest:
            raise PromptError(
                f"that takes more than the {self.config.longest} ids that the model can read", "shorten the prompt"
            )
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

    def count_tokens(self, text: str) -> int:
        """Ids that a text takes, without BOS."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def unknown_words(self, prompt: str) -> tuple[UnknownWord, ...]:
        """None: the model's words are not listed."""
        return ()

    def warnings(self, prompt: str, draws: bool = True) -> list[str]:
        """None: the model's words are not listed."""
        return []

    def example_ids(self, examples: Sequence[Any], language: str = "") -> list[int]:
        """Raises LantuError: Janus is shown no examples."""
        raise LantuError("Janus can't follow examples", "leave them out")

    def tokenize(self, image: "Image", *, fit: bool = False) -> np.ndarray:
        """The codes of a picture, (h, w) int64.

        Args:
            fit: scale and crop a picture of another size.

        Raises:
            ImageError: it is not of the model's size.
        """
        image = images.to_rgb(image)
        if fit:
            image = images.fit(image, *self.size)
        elif image.size != self.size:
            what = "the picture has {}x{} pixels, the model reads {}x{}".format(*image.size, *self.size)
            raise ImageError(what, "scale it, or have it scaled and cropped with --fit")
        return self.encode_pictures(np.asarray(image)[None])[0]

    def with_codes(self, picture: "Picture | Image") -> "tuple[Image, np.ndarray]":
        """A picture and its codes, (h, w) int64. Raises ImageError, DataError."""
        if isinstance(picture, Picture):
            return picture.image, check_codes(picture.codes, self.config.codebook_size)
        image = images.to_rgb(picture)
        return image, self.tokenize(image)

    def words(self, ids: Sequence[int]) -> str:
        """The text of drafted ids."""
        return self.tokenizer.decode([id_ for id_ in ids if id_ != self.config.eos], skip_special_tokens=True).strip()

    def read(self, prompt: Embeddings, seed: int = 0, temperature: float = 0.0) -> Request:
        """What the engine is asked for to answer a prompt in words.

        Args:
            prompt: text and features of a picture, see ``vision.Reader``.
        """
        text, eos = (range(self.config.text_size),), self.config.eos
        limit = max(1, min(MAX_ANSWER, self.config.longest - len(prompt)))
        return Request(prompt, text, limit=limit, stop=eos, seed=seed, temperature=temperature)

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
        try:
            picture = self.tokenizer.convert_ids_to_tokens(self.config.image_token)
            text = "".join(part.get("text", picture) for part in content)
            if self.template:
                text = self.tokenizer.apply_chat_template(
                    [{"role": "user", "content": content}],
                    chat_template=self.template,
                    tokenize=False,
                    add_generation_prompt=True,
                )
            ids = list(self.tokenizer(text + suffix)["input_ids"])
            if suffix and ids[-1:] != [self.boi_id]:  # the tokenizer does not take it for a token
                ids = [*self.tokenizer(text)["input_ids"], self.boi_id]
        except LantuError:
            raise
        except Exception as problem:  # of any kind: a template is a program, and a tokenizer may be damaged
            what = f"the tokenizer in {self.folder} can't encode a prompt ({first_line(problem)})"
            raise ModelError(what, "fetch it again") from problem
        if not all(isinstance(id_, int) for id_ in ids):
            raise ModelError(f"the tokenizer in {self.folder} does not know {BOI}", "fetch it again")
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
            what = f"no text tokenizer can be read in {self.folder} ({first_line(problem)})"
            raise ModelError(what, "fetch it again") from problem


def first_line(problem: Exception) -> str:
    """What is wrong, for a message of one line."""
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]
