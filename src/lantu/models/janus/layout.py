"""How Janus writes a drawing: the prompt, ``<begin_of_image>``, then one id for each code of a fixed grid.

Guidance compares with the same prompt, in which every id but BOS and BOI has become PAD; those pads are read, not
masked, as in transformers' ``JanusForConditionalGeneration.generate``.
"""

from collections.abc import Callable, Sequence

import numpy as np

from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.engine.request import Embeddings, Request
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ModelError
from lantu.models.janus.folder import JanusFolder
from lantu.models.published.layout import PublishedLayout
from lantu.models.published.text import AGAIN, Text
from lantu.models.spec import Grid
from lantu.models.validation import check_prompt

MAX_ANSWER = 512  # ids of a caption
BOI = "<begin_of_image>"
QUESTION = {"en": "Describe this image in one sentence.", "zh": "用一句话描述这张图片。"}


class JanusLayout(PublishedLayout):
    """Prompts and codes as ids; see ``lantu.models.spec.Layout``.

    Args:
        folder: of the model, with its text tokenizer.
        encode: pictures (B, H, W, 3) uint8 → codes (B, h, w).
    """

    def __init__(self, folder: JanusFolder, encode: Callable[[np.ndarray], np.ndarray]):
        config = folder.config
        super().__init__(folder, Text(folder.path, config.text_size), encode)
        self.config, self.longest, self.first_code = config, config.longest, config.text_size

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
        self.check_params(params)
        prefix = self.encode(check_prompt(prompt))
        self.check_length(prefix, grid[0] * grid[1])
        codes = range(self.config.text_size, self.config.text_size + self.config.codebook_size)
        return self.request(prefix, codes, grid[0] * grid[1], seed, params, self.unconditional(prefix))

    def words(self, ids: Sequence[int]) -> str:
        """The text of drafted ids."""
        return self.text.decode([id_ for id_ in ids if id_ != self.config.eos])

    def read(self, prompt: Embeddings, seed: int = 0, temperature: float = 0.0) -> Request:
        """What the engine is asked for to answer a prompt in words.

        Args:
            prompt: text and features of a picture, see ``vision.Reader``.
        """
        text, eos = (range(self.config.text_size),), self.config.eos
        limit = max(1, min(MAX_ANSWER, self.config.longest - len(prompt)))
        return Request(prompt, text, limit=limit, stop=eos, seed=seed, temperature=temperature)

    def encode(self, prompt: str) -> list[int]:
        """The ids of a prompt as transformers' processor writes it: in the chat template, if there is one, BOI last."""
        return self.ids_of([{"type": "text", "text": prompt}], self.boi)

    def ids_of(self, content: list[dict[str, str]], suffix: str = "") -> list[int]:
        """The ids of what a user says.

        Args:
            content: parts of the message, as chat templates of transformers take them.
            suffix: text behind the template.
        """
        words = self.text
        picture = words.tokenizer.convert_ids_to_tokens(self.config.image_token)
        text = "".join(part.get("text", picture) for part in content)
        if words.template:
            text = words.chat(content)
        ids = words.encode(text + suffix)
        if suffix and ids[-1:] != [self.boi_id]:  # the tokenizer does not take it for a token
            ids = [*words.encode(text), self.boi_id]
        if not all(isinstance(id_, int) for id_ in ids):
            raise ModelError(f"the tokenizer in {words.folder} does not know {BOI}", AGAIN)
        return words.checked(ids)

    def unconditional(self, prefix: Sequence[int]) -> list[int]:
        """A prompt without its words, as long as it."""
        return [id_ if id_ in (self.config.bos, self.boi_id) else self.config.pad for id_ in prefix]

    @property
    def boi(self) -> str:
        """The text of the token that begins a picture."""
        if self.config.boi is not None:
            return self.text.tokenizer.convert_ids_to_tokens(self.config.boi)
        return getattr(self.text.tokenizer, "boi_token", None) or BOI

    @property
    def boi_id(self) -> int:
        """Its id."""
        if self.config.boi is not None:
            return self.config.boi
        return self.text.tokenizer.convert_tokens_to_ids(self.boi)
