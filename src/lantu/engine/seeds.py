"""Seeds: a random one by default, and one for each of n pictures, so that each can be repeated alone."""

import hashlib
import secrets

from lantu.errors import LantuError


def choose_seed(seed: int | None) -> int:
    """The given seed, or a random one that is short enough to type.

    Raises:
        LantuError: the seed is out of range.
    """
    if seed is None:
        return secrets.randbelow(2**32)
    if not 0 <= seed < 2**63:
        raise LantuError(f"the seed {seed} is out of range", f"choose one from 0 to {2**63 - 1}")
    return int(seed)


def derive_seed(seed: int, index: int) -> int:
    """The seed of picture ``index`` of a request: the request's own for the first, 48 bits of a hash for the others.

    Every JSON reader keeps 48 bits exactly.
    """
    if index == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest()[:6], "big")


def derive_seeds(seed: int | None, count: int) -> list[int]:
    """The seeds of a request's pictures, derived from its own or a random one.

    Raises:
        LantuError: the seed is out of range.
    """
    first = choose_seed(seed)
    return [derive_seed(first, index) for index in range(count)]
