"""API keys, from a file or the environment."""

import hashlib
import hmac
import os
from collections.abc import Sequence
from pathlib import Path

from lantu.errors import LantuError

VARIABLE = "LANTU_API_KEYS"


def read_keys(file: Path | None) -> tuple[str, ...]:
    """The keys in a file, one per line (lines with # are comments), and in ``$LANTU_API_KEYS``, separated by commas.

    Raises:
        LantuError: the file can't be read, or contains no keys.
    """
    keys = [key.strip() for key in os.environ.get(VARIABLE, "").split(",")]
    if file:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as problem:
            raise LantuError(f"can't read the keys in {file}", "give a text file with one key per line") from problem
        in_file = [line.strip() for line in lines if not line.lstrip().startswith("#")]
        if not any(in_file):
            raise LantuError(f"there are no keys in {file}", "write one per line, or leave --keys out")
        keys += in_file
    return tuple(key for key in keys if key)


class Keys:
    """Checks API keys in constant time.

    Args:
        keys: the valid ones; if there are none, no key is required.
    """

    def __init__(self, keys: Sequence[str]):
        self.digests = [digest(key) for key in keys]

    def holder(self, authorization: str) -> str | None:
        """An identifier of the key's holder, which does not reveal the key; None when the key is not valid.

        Args:
            authorization: the header, "Bearer KEY".
        """
        scheme, _, key = authorization.partition(" ")
        given, valid = digest(key.strip()), False
        for known in self.digests:  # compare with all of them, so that the time taken reveals nothing
            valid |= hmac.compare_digest(known, given)
        return given.hex()[:12] if valid and scheme.lower() == "bearer" else None


def digest(key: str) -> bytes:
    """The SHA-256 hash of a key."""
    return hashlib.sha256(key.encode()).digest()
