"""API keys: who may come, told by a file or the environment."""

import hashlib
import hmac
import os
from collections.abc import Sequence
from pathlib import Path

from lantu.errors import LantuError

VARIABLE = "LANTU_API_KEYS"


def read_keys(file: Path | None) -> tuple[str, ...]:
    """The keys of a file, one a line (# begins a remark), and those of ``$LANTU_API_KEYS``, separated by commas.

    Raises:
        LantuError: the file can't be read, or holds none.
    """
    keys = [key.strip() for key in os.environ.get(VARIABLE, "").split(",")]
    if file:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as problem:
            raise LantuError(f"can't read the keys in {file}", "give a text file with one key a line") from problem
        told = [line.strip() for line in lines if not line.lstrip().startswith("#")]
        if not any(told):
            raise LantuError(f"there are no keys in {file}", "write one a line, or leave --keys out")
        keys += told
    return tuple(key for key in keys if key)


class Keys:
    """Compares in constant time.

    Args:
        keys: that are valid; none: everybody may come.
    """

    def __init__(self, keys: Sequence[str]):
        self.digests = [digest(key) for key in keys]

    def whose(self, authorization: str) -> str | None:
        """A name for the holder of a key, which does not tell the key; None when it is not valid.

        Args:
            authorization: the header, "Bearer KEY".
        """
        scheme, _, key = authorization.partition(" ")
        given, found = digest(key.strip()), False
        for known in self.digests:  # all of them: how long it takes tells nothing
            found |= hmac.compare_digest(known, given)
        return given.hex()[:12] if found and scheme.lower() == "bearer" else None


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
