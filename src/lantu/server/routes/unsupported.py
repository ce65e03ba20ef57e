"""What is asked for and can't be had: refused or, where the answer is as good without it, named in its warnings."""

from collections.abc import Sequence
from typing import Any

from lantu.models.validation import Size
from lantu.pipeline import Model
from lantu.server.http.errors import ApiError
from lantu.server.routes import schemas

# Of OpenAI's parameters: values that change nothing. What is in neither table is kept.
PLAIN: dict[str, Sequence[Any]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "presence_penalty": (0,),
    "reasoning_effort": ("medium",),
    "response_format": ({"type": "text"},),
    "stop": ([],),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
# Hints, and who asks: the answer is the same without them.
HARMLESS = (
    "metadata",
    "parallel_tool_calls",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
)
# Of an image route: what OpenAI knows and this server can't do.
MASK_CODE = {
    "output_format": ("gif", "svg"),
    "background": ("transparent",),
}
# Of an image route: what the model doesn't know, and values that mean nothing.
HINTS = {
    "quality": ("auto", "standard"),
    "style": (),
    "complexity": (),
    "input_fidelity": (),
}
# Of a caption: dials that change nothing.
OFF = {"guidance": 1, "top_k": 0, "top_p": 1, "contrast": 0, "num_draft_tokens": 0, "min_accepted": 1}


def refuse(name: str, why: str = "can't be had here: leave it out") -> ApiError:
    return ApiError(400, f"{name} {why}", "unsupported_value", name)


def check_images(body: schemas.Images) -> list[str]:
    """Refuse what an image route can't do rather than do something else; gives warnings.

    Raises:
        ApiError: something is asked for that can't be had.
    """
    for name, values in MASK_CODE.items():
        if (value := getattr(body, name)) in values:
            raise refuse(name, f"can't be {value} here: leave it out")
    for name in ("frame_count", "frame_duration_ms", "svg"):
        if getattr(body, name) is not None:
            raise refuse(name, "is for formats that this server doesn't have: leave it out")
    if body.output_compression not in (None, 100) and body.output_format in (None, "png"):
        raise refuse("output_compression", "is for jpeg and webp: choose one as output_format, or leave it out")
    if body.stream and body.response_format == "url":
        raise refuse("response_format", "can't be url in a stream, which has its pictures in itself: leave one out")
    if body.partial_images and not body.stream:
        raise refuse("partial_images", "come in a stream alone: set stream, or leave it out")
    asked = {name: getattr(body, name, None) for name in HINTS}
    return [
        f"{name} {value!r} changes nothing: this model has one way to draw"
        for name, value in asked.items()
        if value is not None and value not in HINTS[name]
    ]


def check_chat(body: schemas.Chat) -> None:
    """Refuse what would be answered otherwise than asked.

    Raises:
        ApiError: there is such a wish.
    """
    for name, plain in PLAIN.items():
        value = getattr(body, name)
        if value is not None and value not in plain and not (name == "tools" and body.tool_choice == "none"):
            raise refuse(name)
    if not set(body.modalities or ()) <= {"text", "image"}:
        raise refuse("modalities", "can be text and image here")
    if body.stream_options is not None and not body.stream:
        raise refuse("stream_options", "is for streams: set stream, or leave it out")


def check_answers(body: schemas.Chat, kinds: set[str]) -> None:
    """Refuse a conversation whose answer may be of a kind that was not asked for.

    Args:
        kinds: that it may be of, "text" and "image".
    """
    if body.modalities and not kinds <= set(body.modalities):
        raise refuse("modalities", f"must hold {' and '.join(sorted(kinds))}: that is how this is answered")


def check_caption(body: schemas.Chat) -> None:
    """Refuse dials that captions don't have."""
    for name, value in body.dials().items():
        if name != "temperature" and value != OFF.get(name):
            raise refuse(name, "is for drawings, and this is answered in words: leave it out")
    if body.size not in (None, "auto"):
        raise refuse("size", "is for drawings, and this is answered in words: leave it out")


def check_room(body: schemas.Chat, most: int | None, size: Size, model: Model) -> None:
    """Refuse a drawing for which there is no room."""
    height, width = model.parts.layout.grid_of(size)
    if most is not None and most < height * width:
        name = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
        raise refuse(name, f"must be {height * width} or more: a picture takes as many")
