"""Parts of the published OpenAPI schema that several routes share."""

from collections.abc import Mapping
from typing import Any

from lantu.server.routes.schemas import Error

DESCRIPTIONS = {
    400: "The request is unreadable, invalid or unsupported",
    401: "No valid API key",
    403: "A page of another origin, or another host name",
    404: "No such model, picture or route",
    408: "The body did not arrive in time",
    413: "The body is too large",
    429: "The queue is full",
    500: "Internal error",
    503: "The server is starting, shutting down, or took too long",
}
ERRORS: Mapping[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": description} for status, description in DESCRIPTIONS.items()
}


def images_schema(event: str) -> dict[int | str, dict[str, Any]]:
    """The answers of an OpenAI image route.

    Args:
        event: the prefix of its events' types.
    """
    events = {"type": "string", "description": f"{event}.partial_image, {event}.completed, [DONE]"}
    body = {"type": "object", "required": ["created", "data", "usage"]}
    return {200: {"content": {"application/json": {"schema": body}, "text/event-stream": {"schema": events}}}}


def chat_schema() -> dict[int | str, dict[str, Any]]:
    """The answers of OpenAI's chat route."""
    body = {"type": "object", "required": ["id", "object", "created", "model", "choices", "usage"]}
    events = {"type": "string", "description": "chat.completion.chunk objects, [DONE]"}
    return {200: {"content": {"application/json": {"schema": body}, "text/event-stream": {"schema": events}}}}
