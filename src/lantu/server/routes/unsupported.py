"""Refuses valid fields that this server does not support, or warns where ignoring them changes nothing important."""

from collections.abc import Sequence
from typing import Any

from lantu.models.validation import Size
from lantu.pipeline import Model
from lantu.server.http.errors import ApiError
from lantu.server.routes import schemas

# Chat parameters of OpenAI's that are not supported, with the values that are accepted because they have no effect.
NO_EFFECT: dict[str, Sequence[Any]] = {
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
# Chat parameters that are accepted and ignored, because the answer is the same without them.
IGNORED = (
    "metadata",
    "parallel_tool_calls",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
)
# Values of image parameters that OpenAI supports and this server does not.
UNSUPPORTED_VALUES = {
    "output_format": ("gif", "svg"),
    "background": ("transparent",),
}
# Image parameters that have no effect and cause a warning, except with these values.
WITHOUT_EFFECT = {
    "quality": ("auto", "standard"),
    "style": (),
    "complexity": (),
    "input_fidelity": (),
}
# Sampling parameters that captions don't have, with the values that have no effect.
CAPTION_NO_EFFECT = {"guidance": 1, "top_k": 0, "top_p": 1, "contrast": 0, "num_draft_tokens": 0, "min_accepted": 1}
CAPTION_NO_EFFECT |= {"passes": 0, "shots": 0, "num_codes": 0}


def unsupported(name: str, why: str = "is not supported here: leave it out") -> ApiError:
    """The error for a field that is not supported.

    Args:
        why: completes the message after the field's name.
    """
    return ApiError(400, f"{name} {why}", "unsupported_value", name)


def check_images(body: schemas.Images) -> list[str]:
    """Check the fields of an image route; returns warnings about those that have no effect.

    Raises:
        ApiError: one is not supported.
    """
    for name, values in UNSUPPORTED_VALUES.items():
        if (value := getattr(body, name)) in values:
            raise unsupported(name, f"{value!r} is not supported here: leave it out")
    for name in ("frame_count", "frame_duration_ms", "svg"):
        if getattr(body, name) is not None:
            raise unsupported(name, "is for formats that this server does not support: leave it out")
    if body.output_compression not in (None, 100) and body.output_format in (None, "png"):
        raise unsupported(
            "output_compression", "applies only to jpeg and webp: choose one as output_format, or leave it out"
        )
    if body.stream and body.response_format == "url":
        raise unsupported(
            "response_format", "can't be url in a stream, whose events contain the pictures: leave one out"
        )
    if body.partial_images and not body.stream:
        raise unsupported("partial_images", "requires a stream: set stream, or leave it out")
    values = {name: getattr(body, name, None) for name in WITHOUT_EFFECT}
    return [
        f"{name} {value!r} has no effect: this model draws only one way"
        for name, value in values.items()
        if value is not None and value not in WITHOUT_EFFECT[name]
    ]


def check_chat(body: schemas.Chat) -> None:
    """Check the fields of a chat.

    Raises:
        ApiError: one is not supported.
    """
    for name, accepted in NO_EFFECT.items():
        value = getattr(body, name)
        if value is not None and value not in accepted and not (name == "tools" and body.tool_choice == "none"):
            raise unsupported(name)
    if not set(body.modalities or ()) <= {"text", "image"}:
        raise unsupported("modalities", "can only contain text and image")
    if body.stream_options is not None and not body.stream:
        raise unsupported("stream_options", "requires a stream: set stream, or leave it out")


def check_modalities(body: schemas.Chat, kinds: set[str]) -> None:
    """Check that a chat accepts every kind of answer that it may receive.

    Args:
        kinds: the possible ones, "text" and "image".

    Raises:
        ApiError: its ``modalities`` exclude one.
    """
    if body.modalities and not kinds <= set(body.modalities):
        raise unsupported("modalities", f"must contain {' and '.join(sorted(kinds))}, which the answer may be")


def check_caption(body: schemas.Chat) -> None:
    """Check that a chat answered with a caption sets nothing that applies only to drawings.

    Raises:
        ApiError: it does.
    """
    for name, value in body.sampling_fields().items():
        if name != "temperature" and value != CAPTION_NO_EFFECT.get(name):
            raise unsupported(name, "applies only to drawings, and the answer is a caption: leave it out")
    if body.size not in (None, "auto"):
        raise unsupported("size", "applies only to drawings, and the answer is a caption: leave it out")


def check_max_tokens(body: schemas.Chat, max_tokens: int | None, size: Size, model: Model) -> None:
    """Check that a drawing fits into the answer's ``max_tokens``.

    Raises:
        ApiError: it does not.
    """
    height, width = model.parts.layout.grid_of(size)
    count = body.num_codes or height * width
    if max_tokens is not None and max_tokens < count:
        name = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
        raise unsupported(name, f"must be {count} or more, because a picture takes that many tokens")
