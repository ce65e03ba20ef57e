"""Pictures that are partly redrawn, or changed by an instruction.

Shapes: h w grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu.engine.sampling_params import SamplingParams
from lantu.models.spec import Parts
from lantu.models.validation import check_count, check_prompt, require
from lantu.tasks import masks
from lantu.tasks.effects import Task, drafted, rendered
from lantu.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

    from lantu.models.lantu.layout import Change, Said


@dataclass(frozen=True, eq=False)
class Changed:
    """A picture that an instruction changed.

    Attributes:
        plan: the plan that the model wrote first: what is there; what is to be there. "" if none.
    """

    picture: Picture
    plan: str = ""


def fill(
    parts: Parts,
    codes_hw: np.ndarray,
    holes_hw: np.ndarray,
    prompt: str,
    seed: int,
    params: SamplingParams,
    before: "Image | None" = None,
) -> Task[Picture]:
    """Redraw some cells of a picture; all other codes stay.

    Args:
        holes_hw: bool, the cells to redraw.
        before: the picture as it is; its pixels stay, except near the redrawn cells.

    Raises:
        LantuError: the model lacks the ability.
    """
    require(parts.folder, "filling")
    layout: Any = parts.layout
    request = layout.fill(prompt, codes_hw, holes_hw, seed, params)
    ids = yield from drafted(request, lambda ids: layout.fill_codes(codes_hw, holes_hw, ids), holes_hw.size)
    picture = yield from rendered(layout.fill_codes(codes_hw, holes_hw, ids), seed, params, prompt)
    if before is None:
        return picture
    return replace(picture, image=masks.blend(before, picture.image, holes_hw))


def fill_place(
    parts: Parts,
    picture: "Picture | Image",
    prompt: str,
    seed: int,
    params: SamplingParams,
    box: masks.Box | None = None,
    mask: "Image | None" = None,
) -> Task[Picture]:
    """Redraw the cells that a box or a mask touches; see ``masks.cells`` and ``fill``.

    Where the picture is enlarged first (``as_drawn``), box and mask are those of the picture as it was given.

    Raises:
        LantuError: the model lacks the ability.
        ImageError: box or mask don't fit the picture, or mark nothing.
    """
    require(parts.folder, "filling")
    layout: Any = parts.layout
    before, codes_hw = layout.with_codes(picture)
    given = picture.image if isinstance(picture, Picture) else picture
    holes_hw = masks.cells(given.size, parts.folder.patch * given.width // before.width, box, mask)
    return (yield from fill(parts, codes_hw, holes_hw, prompt, seed, params, before))


def instruct(
    parts: Parts,
    pictures: "Sequence[Picture | Image]",
    instruction: str,
    seed: int,
    params: SamplingParams,
    examples: "Sequence[Change]" = (),
) -> Task[Changed]:
    """Change a picture by an instruction, by examples of the change, or by both; all of it is redrawn.

    Args:
        pictures: the picture to change comes last, after others that the instruction may mention.

    Raises:
        LantuError: the model lacks the ability.
    """
    require(parts.folder, "talking")
    layout: Any = parts.layout
    turns = [[*pictures] if examples and not instruction else [check_prompt(instruction), *pictures]]
    goal, plan = "", ""
    planning = layout.plan_change_by(examples, pictures[-1]) if examples else layout.plan_change(turns)
    if planning:
        ids = yield from drafted(planning)
        goal, plan = layout.goal(ids), layout.plan_text(ids)
    picture = yield from changed(parts, turns, instruction, seed, params, goal)
    return Changed(picture, plan)


def changed(
    parts: Parts, turns: "Sequence[Said]", prompt: str, seed: int, params: SamplingParams, goal: str = ""
) -> Task[Picture]:
    """The picture that answers a conversation.

    Args:
        goal: the end of the plan, in words: what is to be there.
    """
    check_count(params.num_codes, parts.folder)
    layout: Any = parts.layout
    request, grid = layout.change(turns, seed, params, goal), layout.grid_after(turns)
    sketch = (lambda ids: layout.sketch(ids, grid)) if parts.folder.sketches else None
    ids = yield from drafted(
        request, lambda ids: layout.codes(ids, grid), params.num_codes or grid[0] * grid[1], sketch
    )
    return (yield from rendered(layout.codes(ids, grid), seed, params, prompt))
