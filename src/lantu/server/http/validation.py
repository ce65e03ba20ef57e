"""What does not fit a schema, said in one plain line: no validator's inside shows."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError

SAID = {
    "missing": "it is required",
    "extra_forbidden": "there is no such parameter",
    "literal_error": "it must be {expected}",
    "enum": "it must be {expected}",
    "greater_than": "it must be more than {gt}",
    "greater_than_equal": "it must be {ge} or more",
    "less_than": "it must be less than {lt}",
    "less_than_equal": "it must be {le} or less",
    "finite_number": "it must be a finite number",
    "string_unicode": "it is not whole Unicode text",
    "string_too_short": "it must have {min_length} characters or more",
    "string_too_long": "it must have {max_length:,} characters or fewer",
    "too_short": "it must have {min_length} or more",
    "too_long": "it must have {max_length:,} or fewer",
    "value_error": "it {error}",
    "union_tag_invalid": "its type must be {expected_tags}",
    "union_tag_not_found": "its type is required",
    "int_parsing_size": "it has too many digits",
}
# Kinds of problems that begin so, in this order.
KINDS = {
    "string": "it must be text",
    "int": "it must be a whole number",
    "float": "it must be a number",
    "bool": "it must be true or false",
    "list": "it must be a list",
    "tuple": "it must be a list",
    "dict": "it must be an object",
    "model": "it must be an object",
}
BODY = {
    "form": "the body must be multipart/form-data, with a boundary in its content-type",
    "json": "the body must be a JSON object, with content-type: application/json",
}


def told(problem: RequestValidationError, form: bool, kind: str) -> tuple[str, str | None, str]:
    """Message, parameter and code of what doesn't fit.

    Args:
        form: the route reads multipart bodies.
        kind: of the body that came, its content-type.
    """
    found = [(path_of(error, problem.body), error) for error in problem.errors()]
    place, first = found[0]
    for other, error in found[1:]:
        # Of several forms that a value may have, the one into which it fits furthest is meant.
        if other[:1] == place[:1] and len(other) > len(place):
            place, first = other, error
    param = ".".join(map(str, place)) or None
    fits = kind.lower().startswith("multipart/form-data") if form else isinstance(problem.body, Mapping)
    if first["loc"][0] == "body" and (param is None or not fits):
        return BODY["form" if form else "json"], None, "invalid_parameter"
    code = "unknown_parameter" if first["type"] == "extra_forbidden" else "invalid_parameter"
    return f"{param or 'the body'}: {said(first)}", param, code


def said(error: Mapping[str, Any]) -> str:
    """What is wrong with a value."""
    kind = error["type"]
    if (pattern := SAID.get(kind)) is None:
        return next((text for begin, text in KINDS.items() if kind.startswith(begin)), "it does not fit")
    try:
        return pattern.format(**error.get("ctx", {}))
    except (KeyError, IndexError, ValueError):
        return "it does not fit"


def path_of(error: Mapping[str, Any], body: Any) -> list[int | str]:
    """The part of a validator's path that is in the body: not its names for unions and functions."""
    place: Sequence[int | str] = error["loc"]
    inside, path = place[0] == "body", list[int | str]()
    for number, part in enumerate(place[1:] if place[0] in ("body", "path", "query", "header") else place):
        here = isinstance(body, Mapping) and part in body
        if here or (isinstance(body, list) and isinstance(part, int) and part < len(body)):
            body = body[part]
            path.append(part)
        elif not inside or (number == len(place) - 2 and error["type"] == "missing"):
            path.append(part)
    return path
