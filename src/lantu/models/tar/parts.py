"""The parts of a Tar model: the language model by lantu's engine, features by TA-Tok, pixels by SANA."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lantu.engine.backends import stock
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ImageError, ModelError
from lantu.models.plain.layout import PlainLayout
from lantu.models.plain.parts import PlainParts
from lantu.models.spec import Grid, Size
from lantu.models.tar.folder import NEGATIVE, SANA, TA_TOK, TEXT, TarFolder
from lantu.weights import arrays
from lantu.weights.architecture import Sizes, is_plain


class TarLayout(PlainLayout):
    """Prompts and codes as ids; all pictures have SANA's size, whatever the number of their codes."""

    folder: TarFolder  # pyrefly: ignore[bad-override-mutable-attribute]

    def size_of(self, grid: Grid) -> Size:
        """Width and height in pixels."""
        return self.folder.pixels, self.folder.pixels

    def grid_of(self, size: Size) -> Grid:
        """Height and width in codes: the finest grid. Raises ImageError for another size than SANA's."""
        if tuple(size) != self.size:
            what = "the model draws {}x{} pixels, not {}x{}".format(*self.size, *size)
            raise ImageError(what, "leave out the size")
        return self.folder.grid

    def encode(self, prompt: str, grid: Grid) -> list[int]:
        """The ids of a prompt, the token of its grid's scale last."""
        grids = self.description.grids
        scale = self.text.token(f"<S{(grids.default, *grids.others).index(grid)}>")
        return [*super().encode(prompt, grid)[:-1], scale]


@dataclass(frozen=True)
class TarParts(PlainParts):
    """Each part is loaded when it is first needed; see ``lantu.models.spec.Parts``."""

    folder: TarFolder

    @cached_property
    def layout(self) -> TarLayout:
        return TarLayout(self.folder)

    @cached_property
    def language(self) -> Any:
        """A Qwen2: on the native kernels on a CPU, on torch on a GPU."""
        path, config = self.folder.path, self.folder.config
        if self.backend == "transformers" or not is_plain(config):
            return super().language

        def take(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
            return config, {name: value for name, value in state.items() if name.startswith(TEXT)}

        return stock.load_part(path, Sizes.of(config), TEXT, take, self.device)

    @cached_property
    def renderer(self) -> "Detokenizer":
        """What renders."""
        return Detokenizer(self.folder, self.device)


class Detokenizer:
    """Codes → features → pixels: see ``lantu.models.plain.decoders.Renderer``.

    Raises:
        ModelError: a part is missing or damaged, or its tensors are not those that its config asks for.
    """

    partial = False

    def __init__(self, folder: TarFolder, device: str = "cpu"):
        from lantu.models.diffusers.prompted import PromptedPipeline
        from lantu.models.tar.features import Features

        self.patch, self.codebook_size = folder.patch, folder.codebook_size
        self.features = Features(folder.path / TA_TOK, folder.tokenizer, folder.quantizer, device)
        self.sana = PromptedPipeline(folder.path / SANA, device)
        self.negative_MD = read_negative(folder)

    def paint(self, codes_Bhw: np.ndarray, seeds: Sequence[int], params: SamplingParams) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8."""
        negative_ND = pooled(self.negative_MD, codes_Bhw[0].size)
        return self.sana.paint(self.features(codes_Bhw), negative_ND, self.sana.size, seeds, params)


def pooled(features_MD: Any, count: int) -> Any:
    """As many features of a square grid, for a coarser one, by the averages that TA-Tok makes of its own features."""
    import torch.nn.functional as F

    before, after = math.isqrt(len(features_MD)), math.isqrt(count)
    step = before // after
    if len(features_MD) == count:
        return features_MD
    if before**2 != len(features_MD) or after**2 != count or not step or before // step != after:
        what = f"{NEGATIVE} has {len(features_MD)} features, which no grid of {count} codes can be compared with"
        raise ModelError(what, "give SANA as it was published for Tar")
    grid_1Dhw = features_MD.unflatten(0, (before, before)).permute(2, 0, 1)[None]
    return F.avg_pool2d(grid_1Dhw.float(), step).flatten(2)[0].T.to(features_MD)


def read_negative(folder: TarFolder) -> Any:
    """The stored features (M, D) that SANA's guidance compares with. Raises ModelError."""
    from safetensors.torch import load_file

    path = folder.path / SANA / NEGATIVE
    try:
        arrays.read_header(path)
        found = load_file(path)
    except (OSError, ValueError) as problem:
        raise ModelError(f"can't read {path} ({problem})", "save it again: docs/families.md") from problem
    if len(found) != 1 or (negative := next(iter(found.values()))).ndim != 2:
        raise ModelError(f"{path} holds not one matrix", "save it again: docs/families.md")
    return negative
