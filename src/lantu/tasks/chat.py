"""Answers in text, pictures or both, as the model decides."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lantu.engine.sampling_params import SamplingParams
from lantu.models.spec import Parts
from lantu.models.validation import check_count, require
from lantu.tasks.edit import changed
from lantu.tasks.effects import Task, drafted, rendered
from lantu.types import MASK_CODE, CodeGrid, Picture

if TYPE_CHECKING:
    from lantu.models.lantu.layout import Said


@dataclass(frozen=True, eq=False)
class Answer:
    """A model's answer.

    Attributes:
        parts: text and pictures, in order.
        plan: the plan that it wrote first; "" if none.
        cut: it was truncated: it reached the limit of ids, or the limit left no room for its picture.
    """

    parts: tuple[str | Picture, ...]
    plan: str = ""
    cut: bool = False


def chat(
    parts: Parts, turns: "Sequence[Said]", seed: int, params: SamplingParams, most: int | None = None
) -> Task[Answer]:
    """Answer a conversation.

    Args:
        turns: alternating, the user's first and last.
        most: maximum number of ids in the answer; a picture that would exceed it is not drawn.

    Raises:
        LantuError: the model lacks the ability.
    """
    require(parts.folder, "talking")
    check_count(params.num_codes, parts.folder)
    layout: Any = parts.layout
    request = layout.answer(turns, seed, params)
    request = replace(request, limit=min(most or request.limit, request.limit))
    height, width = parts.folder.grid
    ids = yield from drafted(request, cells=height * width)
    reply = layout.read_reply(ids)
    prompt = " ".join(part for part in turns[-1] if isinstance(part, str))
    if reply.draws and (most is None or len(ids) + height * width <= most):
        picture = yield from changed(parts, turns, prompt, seed, params, layout.goal(ids))
        return Answer((picture,), reply.plan.strip())
    answer: list[str | Picture] = []
    for part in reply.parts:
        if isinstance(part, str):
            answer += [part.strip()] if part.strip() else []
        elif isinstance(part, CodeGrid):
            codes = part.codes.copy()
            codes.reshape(-1)[params.num_codes or codes.size :] = MASK_CODE
            answer.append((yield from rendered(codes, seed, params, prompt)))
    return Answer(tuple(answer), reply.plan.strip(), cut=reply.draws or not layout.is_whole(ids))
