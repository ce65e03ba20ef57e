"""Which parts of a document the model learns to produce; the other parts are excluded from the loss."""

import itertools

from lantu.types import ContextText, Document, Role


def trained_parts(document: Document) -> list[int]:
    """Indices of the parts that the model produces.

    - In a conversation: its own turns with their plans, without the parts that are given.
    - A caption and a picture: the second of them; pictures always, for they are also drawn without a prompt.
    - Examples: everything from the plan on, or every second part, which answers the one before.
    """
    parts = document.parts
    if any(isinstance(part, Role) for part in parts):
        roles = [part.name if isinstance(part, Role) else "" for part in parts]
        if "user" not in roles:
            return list(range(roles.index("plan"), len(parts)))
        turns = itertools.accumulate(roles, lambda last, now: now if now in ("user", "assistant") else last)
        return [n for n, who in enumerate(turns) if who == "assistant" and not isinstance(parts[n], ContextText)]
    if len(parts) < 3:
        return [number for number, part in enumerate(parts) if not isinstance(part, str) or number == len(parts) - 1]
    return list(range(1, len(parts), 2))
