"""Recipes for a pretrained language model that learns to draw, once ``lantu adopt language`` gave it codes.

    lantu train language --recipe adopted --start ADOPTED --tokenizer TOKENIZER --data DATA --set text=TEXTS

``trained`` says what learns: only the rows of the new ids ("rows"), LoRA beside them ("lora") or everything ("all"). A
share of plain text keeps its language. RUN/model is a stock directory with the adapters merged, RUN/adapter has them
alone, and RUN/samples/validation.jsonl the losses of held-out text, captions and codes, from before the first step on.
"""

import os
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lantu.errors import RecipeError
from lantu.models.lantu.language.model import export
from lantu.recipes.adopted_validation import Validation
from lantu.recipes.documents import Captioned
from lantu.recipes.drafts import Drafts
from lantu.recipes.language_lora import Trained, adapt, freeze_in, merged, recompute, save_adapter
from lantu.recipes.language_settings import LanguageRecipe
from lantu.recipes.language_start import start_language
from lantu.recipes.language_task import SAMPLING, LanguageSetup, LanguageTask, Objective
from lantu.recipes.next_token import NextToken, captioned
from lantu.recipes.plain_text import PlainText, parted, pieces
from lantu.recipes.sources import part_folder
from lantu.tokens.pretrained import PretrainedCodec
from lantu.training.config import LoopConfig
from lantu.training.task import Metrics
from lantu.weights.language_config import guidance_scales_of, origin_of

OF_NEW_MODELS = ("width", "layers", "heads", "inner", "text_size", "added", "origin")  # settings of other starts


class AdoptedLanguageRecipe(LanguageRecipe):
    """How a pretrained language model learns to draw.

    Attributes:
        trained: "rows", the embeddings of the new ids; "lora", adapters of all linear layers too; "all".
        rows_first: updates at the beginning in which only the rows learn, so that random rows do not disturb the rest.
        rank, alpha: of LoRA.
        text: a file or a folder of plain text; a twentieth of it is held out. "" for none.
        text_share: share of a batch that is plain text, and of the loss.
        text_length: ids of a piece of plain text.
        measured: pictures, and pieces of text, that the losses in validation.jsonl are taken of.
        checkpointing: compute activations again in the backward pass, which saves memory and costs time.
        frozen: dtype of the weights that do not learn: "fp32", or "file" for that of the published file, which takes
            half the memory, and needs ``loop.precision=bf16``.
    """

    trained: Trained = "lora"
    rows_first: int = Field(0, ge=0)
    rank: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    text: str = ""
    text_share: float = Field(0.2, ge=0, lt=1)
    text_length: int = Field(256, ge=2)
    measured: int = Field(64, ge=1)
    checkpointing: bool = False
    frozen: Literal["fp32", "file"] = "fp32"


class Task(LanguageTask):
    """Next-token prediction on captioned pictures and on plain text."""

    reads_frozen = True  # they may be many gigabytes

    def __init__(self, recipe: AdoptedLanguageRecipe, data: Path):
        if not recipe.start:
            raise RecipeError(
                "no language model to start from", "adopt one: lantu adopt language, and name it: --start"
            )
        check_settings(recipe)
        setup = LanguageSetup(recipe, data)
        if not isinstance(setup.codec, PretrainedCodec):
            raise RecipeError(f"{recipe.start} is no adopted language model", "train it with another recipe")
        self.rows_first = recipe.rows_first
        self.rows = {id(row) for row in prepare(setup.model, setup.vocabulary.text_size, recipe)}
        if recipe.checkpointing:
            recompute(setup.model)
        documents = Captioned(setup.corpus, recipe.captioning, recipe.dropped)
        drawing = NextToken(setup.model, setup.corpus, documents, recipe.row)
        train, held_out = self._text(setup, recipe)
        share = recipe.text_share if train else 0.0
        objectives: list[tuple[float, Objective]] = [(1 - share, drawing)]
        if share:
            how = (recipe.text_length, setup.vocabulary.special("pad"), share / (1 - share), recipe.loop.seed)
            objectives.append((share, PlainText(setup.model, train, *how)))
        super().__init__(setup, objectives, captioned(setup))
        self.held = Validation(setup, held_out, recipe.measured, recipe.text_length)
        learns = sum(parameter.numel() for parameter in self._trained())
        self.flops_per_sample *= 2 / 3 + learns / 3 / sum(parameter.numel() for parameter in self.model.parameters())
        if not train:
            self.notes = [*self.notes, "no plain text (text=FILE|DIR): the model may forget its language"]

    def _text(self, setup: LanguageSetup, recipe: AdoptedLanguageRecipe) -> tuple[list[Any], list[Any]]:
        """The pieces of plain text to train on, and those that are held out."""
        if not recipe.text:
            return [], []
        ends = setup.model.config.eos_token_id
        end = ends[0] if isinstance(ends, list) else ends
        return parted(pieces(recipe.text, setup.codec, end, recipe.text_length))  # pyrefly: ignore

    def _trained(self) -> list[Tensor]:
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def loss(self, module: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        if step == 0:
            self.held.before(self.model)
        if self.rows_first:
            self._free_others(step >= self.rows_first)
        return super().loss(module, batch, step, generator)

    def _free_others(self, free: bool) -> None:
        """Let all that is trained learn, or only the new rows."""
        if not hasattr(self, "others"):
            self.others = [parameter for parameter in self._trained() if id(parameter) not in self.rows]
        for parameter in self.others:
            parameter.requires_grad_(free)

    def lr_share(self, name: str) -> float:
        return 1.0 if name.endswith(".new") else self.recipe.settled

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """The losses of validation, and what ``LanguageTask`` draws."""
        self.held.write(self.model, step, folder, self._start_weights)
        super().sample(step, folder)
        self.model.train()

    def _start_weights(self) -> dict[str, Tensor]:
        """What training began with, of all that is trained: by name, on the CPU."""
        recipe: Any = self.recipe
        setup = self.setup
        model = start_language(recipe, setup.pictures.texts(), setup.pictures.grid, setup.tokenizer).model
        prepare(model, setup.vocabulary.text_size, recipe)
        return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}

    def _drafts(self) -> Drafts:
        """The model as it is now, whatever its architecture, as a generator of pictures."""
        from lantu.engine.backends.huggingface import Language

        setup, scales = self.setup, guidance_scales_of(self.model.config.to_dict())
        language: Any = Language(self.model)
        return Drafts(language, setup.codec, setup.vocabulary, setup.tokenizer, setup.pictures.grid, SAMPLING, scales)

    def export(self, folder: Path) -> None:
        """Write the stock model with what it learnt, and beside it the adapters alone."""
        recipe: Any = self.recipe
        if recipe.trained != "all":
            first, beside = self.setup.vocabulary.text_size, folder.parent / "adapter"
            base = os.path.abspath(part_folder(recipe.start, "language"))
            save_adapter(self.model, first, base, beside, recipe.rank, recipe.alpha)
        export(self.model, folder, self.setup.codec, state=merged(self.model))


def prepare(model: Any, text_size: int, recipe: AdoptedLanguageRecipe) -> list[nn.Parameter]:
    """Let what the recipe trains learn, and nothing else; returns the new rows."""
    rows = adapt(model, text_size, recipe.trained, recipe.rank, recipe.alpha, recipe.loop.seed)
    if recipe.frozen == "file":
        freeze_in(model, getattr(torch, origin_of(model.config.to_dict())["dtype"]))
    return rows


def check_settings(recipe: AdoptedLanguageRecipe) -> None:
    """Refuse settings that contradict one another, or that would do nothing. Raises RecipeError."""
    usual = AdoptedLanguageRecipe.model_fields
    for name in OF_NEW_MODELS:
        if getattr(recipe, name) != usual[name].default:
            raise RecipeError(
                f"{name} is of another kind of start; a pretrained model has its own sizes", "leave it out"
            )
    if recipe.trained == "all" and recipe.frozen == "file":
        raise RecipeError("frozen=file is for weights that don't learn, and with trained=all all do", "leave one out")


def adopted() -> AdoptedLanguageRecipe:
    """LoRA of rank 16 and the new rows, with a fifth of plain text if some is given."""
    return AdoptedLanguageRecipe(
        loop=LoopConfig(steps=3000, batch_size=32, lr=1e-3, warmup_steps=100, decay_fraction=0.3, weight_decay=0.0)
    )


def debug() -> AdoptedLanguageRecipe:
    """In seconds, for a tiny model."""
    loop = LoopConfig(steps=40, batch_size=8, lr=3e-3, warmup_steps=5, precision="fp32", weight_decay=0.0)
    return AdoptedLanguageRecipe(rank=4, alpha=8, text_length=64, measured=8, loop=loop)


RECIPES = {"adopted": adopted, "adopted-debug": debug}
