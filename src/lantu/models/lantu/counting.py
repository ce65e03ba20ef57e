"""How much a part's files hold."""

import math
from pathlib import Path

from lantu.errors import ModelError

HINT = "fetch or assemble the model again"


def part_bytes(folder: Path) -> int:
    """The size of a part's weights in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def count(path: Path) -> int:
    """The number of parameters in a safetensors file, from its header."""
    from lantu.weights.arrays import read_header

    try:
        return sum(math.prod(entry.shape) for entry in read_header(path)[1].values())
    except (OSError, ValueError) as problem:
        raise ModelError(f"{path} is damaged ({problem})", HINT) from problem
