"""Seeds: a random one when none is given, and n of them from one, so that each picture can be drawn again alone."""

import hashlib
import secrets

from lantu.errors import LantuError


def choose_seed(seed: int | None) -> int:
    """The seed, or a random one that is short enough to type.

    Raises:
        LantuError: it is out of range.
    """
    if seed is None:
        return secrets.randbelow(2**32)
    if not 0 <= seed < 2**63:
        raise LantuError(f"no seed {seed}", f"choose one from 0 to {2**63 - 1}")
    return int(seed)


def derive_seed(seed: int, index: int) -> int:
    """The seed of picture ``index`` of a request: the first has the request's own, the others 48 bits of a hash.

    48 bits stay exact in any JSON reader.
    """
    if index == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest()[:6], "big")


def derive_seeds(seed: int | None, count: int) -> list[int]:
    """The seeds of a request's pictures; of a random one if none is given.

    Raises:
        LantuError: the seed is out of range.
    """
    first = choose_seed(seed)
    return [derive_seed(first, index) for index in range(count)]
