"""Describes schema errors in one plain line, without the validator's own terms."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError

from lantu.engine.sampling_params import FORMER

MESSAGES = {
    "missing": "it is required",
    "extra_forbidden": "there is no such parameter",
    "literal_error": "it must be {expected}",
    "enum": "it must be {expected}",
    "greater_than": "it must be more than {gt}",
    "greater_than_equal": "it must be {ge} or more",
    "less_than": "it must be less than {lt}",
    "less_than_equal": "it must be {le} or less",
    "finite_number": "it must be a finite number",
    "string_unicode": "it is not valid Unicode text",
    "string_too_short": "it must have {min_length} characters or more",
    "string_too_long": "it must have {max_length:,} characters or fewer",
    "too_short": "it must have {min_length} or more",
    "too_long": "it must have {max_length:,} or fewer",
    "value_error": "it {error}",
    "union_tag_invalid": "its type must be {expected_tags}",
    "union_tag_not_found": "its type is required",
    "int_parsing_size": "it has too many digits",
}
# For other error types, by the first prefix that matches.
MESSAGES_BY_PREFIX = {
    "string": "it must be text",
    "int": "it must be a whole number",
    "float": "it must be a number",
    "bool": "it must be true or false",
    "list": "it must be a list",
    "tuple": "it must be a list",
    "dict": "it must be an object",
    "model": "it must be an object",
}
BODY_MESSAGES = {
    "form": "the body must be multipart/form-data, with a boundary in its content-type",
    "json": "the body must be a JSON object, with content-type: application/json",
}


def describe(problem: RequestValidationError, multipart: bool, content_type: str) -> tuple[str, str | None, str]:
    """The message, parameter and code for a request that does not match its schema.

    Args:
        multipart: whether the route takes multipart bodies rather than JSON.
        content_type: of the body received.
    """
    errors = [(path_of(error, problem.body), error) for error in problem.errors()]
    path, first = errors[0]
    for other, error in errors[1:]:
        # A value that may have several forms gives an error for each; the form that it matches furthest is meant.
        if other[:1] == path[:1] and len(other) > len(path):
            path, first = other, error
    param = ".".join(map(str, path)) or None
    is_multipart = content_type.lower().startswith("multipart/form-data")
    right_kind = is_multipart if multipart else isinstance(problem.body, Mapping)
    if first["loc"][0] == "body" and (param is None or not right_kind):
        return BODY_MESSAGES["form" if multipart else "json"], None, "invalid_parameter"
    code = "unknown_parameter" if first["type"] == "extra_forbidden" else "invalid_parameter"
    return f"{param or 'the body'}: {message_of(first)}", param, code


def message_of(error: Mapping[str, Any]) -> str:
    """The message for one of the validator's errors."""
    kind = error["type"]
    if (pattern := MESSAGES.get(kind)) is None:
        matches = (text for prefix, text in MESSAGES_BY_PREFIX.items() if kind.startswith(prefix))
        return next(matches, "it is not valid")
    try:
        return pattern.format(**error.get("ctx", {}))
    except (KeyError, IndexError, ValueError):
        return "it is not valid"


def path_of(error: Mapping[str, Any], body: Any) -> list[int | str]:
    """The path to a wrong value in the body, without the validator's names for unions and functions."""
    location: Sequence[int | str] = error["loc"]
    in_body, path = location[0] == "body", list[int | str]()
    for number, part in enumerate(location[1:] if location[0] in ("body", "path", "query", "header") else location):
        if isinstance(body, Mapping) and part not in body:  # sent under its name of lantu 0.1
            part = next((old for old, new in FORMER.items() if new == part and old in body), part)
        exists = isinstance(body, Mapping) and part in body
        if exists or (isinstance(body, list) and isinstance(part, int) and part < len(body)):
            body = body[part]
            path.append(part)
        elif not in_body or (number == len(location) - 2 and error["type"] == "missing"):
            path.append(part)
    return path
