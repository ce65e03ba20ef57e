"""Pictures from prompts, and pictures from codes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.engine.sampling_params import SamplingParams
from lantu.models.control import Control
from lantu.models.spec import Grid, Parts
from lantu.models.validation import check_codes, check_count, require_memory
from lantu.tasks.effects import Task, drafted, rendered
from lantu.types import Picture


def draw(
    parts: Parts,
    prompt: str,
    seed: int,
    grid: Grid,
    params: SamplingParams,
    *,
    control: Control | None = None,
    processor: ControlLogitsProcessor | None = None,
    examples: Sequence[int] = (),
) -> Task[Picture]:
    """Draft a picture's codes and render them.

    Args:
        params: with ``num_codes``, the picture is made of the first codes alone.
        processor: adds the control's bias to the logits (``Parts.control_processor``); drawings may share it.
        examples: ids of examples (``LantuLayout.example_ids``). A model that plans first writes what they mean. Without
            any, ``params.shots`` says how many are found.
    """
    check_count(params.num_codes, parts.folder)
    layout: Any = parts.layout
    cells = params.num_codes or grid[0] * grid[1]
    context: dict[str, Any] = {}
    if params.shots and not examples:
        require_memory(parts.folder)
        # What is found is no exercise: the model draws at once.
        context = {"examples": layout.found(prompt, params.shots)}
    elif examples:
        context = {"examples": examples}
        if layout.plans:
            ids = yield from drafted(layout.plan_drawing(prompt, examples), cells=cells)
            context["plan"] = layout.plan_ids(ids)
    request = layout.draw(prompt, grid, seed, params, processor, **context)
    sketch = (lambda ids: layout.sketch(ids, grid)) if parts.folder.sketches else None
    ids = yield from drafted(request, lambda ids: layout.codes(ids, grid), cells, sketch)
    control = control if control and control.scale else None
    return (yield from rendered(layout.codes(ids, grid), seed, params, prompt, control))


def render(parts: Parts, codes: np.ndarray, seed: int, params: SamplingParams, prompt: str = "") -> Task[Picture]:
    """Render a grid of codes.

    Raises:
        DataError: it is not a grid, or has codes outside the codebook.
    """
    codes = check_codes(codes, parts.folder)
    return (yield from rendered(codes, seed, params, prompt))
