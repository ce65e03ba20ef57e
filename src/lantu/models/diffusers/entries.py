"""Holds a config.json against the constructor of its class: diffusers builds from a number where a text stands."""

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lantu.files.untrusted import Fields
from lantu.models.diffusers.kinds import numbers_in

MOST = 1e9  # of a number that is no width or count
NAMES = {"bool": "true or false", "number": "a number", "text": "a text"}


def check_entries(config: Mapping[str, Any], build: Callable[..., Any], where: str) -> None:
    """Refuse an entry of another type than the argument that it becomes. Entries that no argument takes are not used.

    Null stands for false, and for nothing where the argument says so. A list may stand for one value: which of the two
    fits depends on other entries, and shows as the module is made.

    Args:
        build: the constructor; where it has no types, those of its defaults count.
        where: the file, for messages.

    Raises:
        ModelError: names file, entry, value and what it should be.
    """
    fields = Fields(config, where)
    for name, argument in inspect.signature(build).parameters.items():
        wanted = {*kinds_of(argument.annotation), *kinds_of_value(argument.default)}
        if name not in config or wanted <= {"null"}:
            continue
        known = {"null", *wanted} if "bool" in wanted else wanted
        if not set(kinds_of_value(config[name])) <= known:
            fields.refuse(name, " or ".join(NAMES[kind] for kind in sorted(wanted) if kind in NAMES))
        for each in numbers_in(config[name]):
            if type(each) is float and abs(each) > MOST:
                fields.refuse(name, f"a number up to {MOST:g}")


def kinds_of(annotation: Any) -> Iterator[str]:
    """The kinds of the single values that a type has, in the lists of it too."""
    inner = typing.get_args(annotation)
    if inner:
        for each in inner:
            yield from kinds_of(each)
    elif annotation is None or annotation is type(None):
        yield "null"
    elif annotation in (bool, int, float, str):
        yield {bool: "bool", int: "number", float: "number", str: "text"}[annotation]


def kinds_of_value(value: Any) -> Iterator[str]:
    """The kinds of the single values in a value, "other" for those of no argument here."""
    for each in numbers_in(value):
        if each is inspect.Parameter.empty:
            continue
        if each is None:
            yield "null"
        elif isinstance(each, bool):
            yield "bool"
        elif isinstance(each, int | float):
            yield "number"
        else:
            yield "text" if isinstance(each, str) else "other"
