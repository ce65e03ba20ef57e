"""Settings of a training run, and how the command line overrides them."""

import difflib
import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, ValidationError

from lantu.errors import RecipeError

Settings = TypeVar("Settings", bound=BaseModel)
Beta = Annotated[float, Field(ge=0, lt=1)]  # share of a running mean that is kept


class LoopConfig(BaseModel):
    """Settings of the training loop, the same for every recipe.

    Attributes:
        steps: updates in all.
        batch_size: samples in one batch, on one rank.
        accumulate: batches in one update.
        lr: peak learning rate; each module's is multiplied by its entry of ``lr_scale``, if it has one.
        warmup_steps: linear, from zero.
        decay_fraction: the last part of the run, over which the rate falls linearly to zero.
        optimizer: "adamw", or "muon" for the hidden matrices and AdamW for the rest, at the same rate.
        weight_decay: decoupled; on tensors of two dimensions and more.
        clip_norm: the largest norm of one module's gradient; 0 for no limit.
        ema_decay: of the EMA weights, per step (0 for none); they are updated every ``ema_every`` steps.
        precision: "bf16" (autocast; weights, moments and EMA stay float32), "fp32", or "auto": bf16 where the device
            multiplies it faster. A processor without bf16 instructions is many times slower with it.
        compile: with torch.compile: the first step takes minutes, later ones less. "auto": where a long run gains by
            it, see ``lantu.training.compiling``.
        recompute: keep only the inputs of each block for the backward pass, and compute it again there (activation
            checkpointing, arXiv:1604.06174): a third more arithmetic for much less memory.
        tensor_parallel: ranks of torchrun among which each layer of a language model is split; they compute the same
            samples. The others share the weights (FSDP2) and take batches of their own.
        minutes: stop after so many, with a checkpoint; resume to go on.
        in_time: finish within ``minutes``: where updates are slower than ``steps`` took for granted, the decay begins
            when its share of the time is left, and fewer are made.
        checkpoint_every_s, log_every, sample_every: seconds, steps and steps; 0 samples only at the end.
        validate_every: steps between validations, whose metrics are logged as "val_…"; 0 for none. The best checkpoint
            is kept as checkpoints/best, and exported where the last one is worse.
        validated: samples of a validation.
        patience: stop after so many validations without a better one; 0 never stops early.
        kept: the number of newest checkpoints that are kept; all of them make a learning curve.
        workers: processes that make batches; 0 for a thread of the training's own. By default, on a GPU one for each
            core but one, and 0 on a CPU.
        device: "auto", "cpu", "cuda" or "cuda:N".
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    steps: int = Field(10_000, ge=1)
    batch_size: int = Field(32, ge=1)
    accumulate: int = Field(1, ge=1)
    lr: float = Field(1e-3, ge=0)
    lr_scale: dict[str, NonNegativeFloat] = {}
    warmup_steps: int = Field(200, ge=0)
    decay_fraction: float = Field(0.2, ge=0, le=1)
    optimizer: Literal["adamw", "muon"] = "adamw"
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    weight_decay: float = Field(0.05, ge=0)
    clip_norm: float = Field(1.0, ge=0)
    ema_decay: float = Field(0.999, ge=0, lt=1)
    ema_every: int = Field(8, ge=1)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    compile: bool | Literal["auto"] = "auto"
    recompute: bool = False
    tensor_parallel: int = Field(1, ge=1)
    seed: int = Field(0, ge=0)
    minutes: float | None = Field(None, ge=0)
    in_time: bool = False
    checkpoint_every_s: float = Field(300.0, ge=0)
    validate_every: int = Field(200, ge=0)
    validated: int = Field(64, ge=1)
    patience: int = Field(0, ge=0)
    kept: int = Field(2, ge=1)
    log_every: int = Field(20, ge=1)
    sample_every: int = Field(500, ge=0)
    workers: int | None = Field(None, ge=0, le=256)
    device: str = "auto"


class RecipeConfig(BaseModel):
    """Settings of a recipe. Unknown ones are refused.

    Attributes:
        loop: of the training loop.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    loop: LoopConfig = LoopConfig()

    def resumed(self) -> Self:
        """The settings with which a run continues from a checkpoint: without the initialisation it would overwrite."""
        return self


def override(config: Settings, settings: Iterable[str]) -> Settings:
    """A copy of ``config`` with some settings changed, checked again as a whole.

    Args:
        settings: ``key=value``; dots go inwards (``loop.steps=10``). Values are JSON, or else plain text.

    Raises:
        RecipeError: a setting is unknown, or a value is of the wrong kind or out of range.
    """
    tree = config.model_dump()
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator:
            raise RecipeError(f"the setting {setting!r} has no value", "write it as key=value")
        place(tree, key.strip(), parse(value.strip()), config)
    try:
        return config.__class__(**tree)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the recipe"
        # Pydantic begins what a validator of ours says with these words.
        reason = first["msg"].removeprefix("Value error, ")
        raise RecipeError(f"{where} can't be {first['input']!r}", reason[:1].lower() + reason[1:]) from problem


def place(tree: dict[str, Any], key: str, value: Any, config: Any) -> None:
    """Set a value in a tree of settings by its dotted name; only tables, such as lr_scale, accept new names."""
    *path, last = key.split(".")
    for part in path:
        check(part, key, tree, config)
        tree = tree.get(part, {})
        config = config.get(part) if isinstance(config, dict) else getattr(config, part)
    check(last, key, tree, config)
    tree[last] = value


def check(name: str, key: str, tree: Any, config: Any) -> None:
    """Refuse a setting that doesn't exist.

    Raises:
        RecipeError: it doesn't exist.
    """
    if isinstance(config, dict) or (isinstance(tree, dict) and name in tree):
        return
    if not isinstance(tree, dict):
        hint = "it has no parts"
    else:
        close = difflib.get_close_matches(name, tree, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"choose among {', '.join(tree)}"
    raise RecipeError(f"there is no setting {key!r}", hint)


def parse(text: str) -> Any:
    """A value: JSON, Python's True, False or None, or plain text."""
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None, "none": None}.get(text, text)
