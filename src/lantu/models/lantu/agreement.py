"""Whether the parts of a model directory fit together; each check raises ModelError where they do not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lantu.data.memory_bank import check_tokenizer
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import LantuError, ModelError
from lantu.files.untrusted import Fields, shown
from lantu.images.shapes import is_shape
from lantu.models.lantu.counting import HINT
from lantu.weights.names import PRETRAINED, PRETRAINED_CONTROL


def check_control(control: Mapping[str, Any], decoder: Mapping[str, Any]) -> None:
    """Refuse a control of another decoder. Raises ModelError."""
    hint = "train a control of this decoder: lantu train control"
    if decoder.get("queries"):
        raise ModelError("a control steers codes of places, and this decoder's are a sequence", "leave out the control")
    if decoder.get("depth", 1) > 1:
        raise ModelError("a control steers one code a cell, this decoder's cells have more", "leave out the control")
    if (control.get("_class_name") == PRETRAINED_CONTROL) != (decoder.get("_class_name") == PRETRAINED):
        raise ModelError("the control belongs to a decoder of another class", hint)
    for name in ("patch", "width"):
        if name in control and control[name] != decoder.get(name):
            raise ModelError(f"the control has {name} {control[name]}, its decoder {decoder.get(name)}", hint)


def check_upscaler(upscaler: Mapping[str, Any], decoder: Mapping[str, Any]) -> None:
    """Refuse an upscaler whose places don't fit the decoder's pictures. Raises ModelError."""
    if decoder["patch"] % upscaler["cell"]:
        what = f"the upscaler sees {upscaler['cell']} pixels a side at once, the decoder paints {decoder['patch']}"
        raise ModelError(what, "train one for this decoder: lantu train upscaler")


def check_refiner(folder: Any, params: SamplingParams) -> None:
    """Refuse a second pass where a model directory has no refiner. Raises LantuError."""
    if params.refine and not folder.refined:
        raise LantuError(f"{folder.name} has no refiner", "leave refine at 0, or attach one: lantu assemble --refiner")


def check_memory(bank: Mapping[str, Any], codebook_size: int, learnt: str, model: Path) -> None:
    """Refuse a memory bank of other codes. Raises ModelError.

    Args:
        learnt: digest of the tokenizer whose codes the language model learnt; "" if it is not known.
    """
    if bank["codebook_size"] != codebook_size:
        facts = f"{bank['codebook_size']} codes, the model {codebook_size}"
        hint = "make one of this tokenizer: lantu assemble --memory DATA"
        raise ModelError(f"the memory bank in {model} has {facts}", hint)
    check_tokenizer(str(bank.get("tokenizer", "")), learnt, str(model))


def check_second(refiner: Mapping[str, Any], decoder: Mapping[str, Any], model: Path) -> None:
    """Refuse a refiner of other codes, or of another size. Raises ModelError."""
    if refiner.get("_class_name") != PRETRAINED:
        raise ModelError(f"the refiner in {model} is no pretrained decoder", "adopt one: lantu adopt decoder")
    for name in ("patch", "codebook_size"):
        if refiner[name] != decoder[name]:
            what = f"the refiner has {name} {refiner[name]}, the decoder {decoder[name]}"
            raise ModelError(what, "adopt the refiner for this tokenizer and this size")


def check_budget(budget: Any, index: Path) -> None:
    """Refuse an invalid training cost. Raises ModelError."""
    if not isinstance(budget, dict) or not all(isinstance(cost, dict) for cost in budget.values()):
        raise ModelError(f'"budget" in {index} does not hold the cost of each part', HINT)
    for part, cost in budget.items():
        fields = Fields(cost, f'"budget" of {shown(part)} in {index}')
        for name in cost:
            fields.real(name, 0, 1e15)


def check_grid(grid: tuple[int, int], tokenizer: Mapping[str, Any], model: Path) -> None:
    """Refuse a language model whose grid is not the tokenizer's.

    The training pictures may have been larger or smaller, and of other shapes; recipes scale them.

    Args:
        grid: height and width in codes, by the language model's config: of about the tokenizer's area.
        tokenizer: its config.

    Raises:
        ModelError: the grids differ.
    """
    side, depth = tokenizer["size"] // tokenizer["patch"], tokenizer.get("depth") or 1
    if grid[1] % depth or not is_shape((grid[0], grid[1] // depth), side):
        facts = f"draws {grid[1]}x{grid[0]} codes, its tokenizer makes {side * depth}x{side}"
        what = f"the language model in {model} {facts}"
        raise ModelError(what, "restore grid in language/config.json, or join parts of the same tokenizer")
