"""npm packages as data sources: pinned versions, verified contents, kept in the user's cache."""

import base64
import hashlib
import json
import subprocess
import tarfile
import tempfile
from functools import cache
from importlib import resources
from pathlib import Path

from lantu.errors import DataError
from lantu.files import FolderKind, cache_dir, locked, replacing_folder, writing

TIMEOUT_S = 600
PACKAGE = FolderKind("a package", ("package/package.json",), ())  # an existing one is never replaced


@cache
def pins() -> dict[str, dict[str, str]]:
    """Package name → its pinned ``version`` and ``integrity`` (Subresource Integrity of the tarball)."""
    return json.loads(resources.files("lantu.data").joinpath("packages.json").read_text(encoding="utf-8"))


def fetch(name: str, cache: Path | None = None) -> Path:
    """The folder of an npm package's files, fetched with the ordinary npm client the first time.

    Args:
        name: a package of ``packages.json``.
        cache: where packages are kept; the user's cache when None.

    Raises:
        DataError: npm is missing, the registry can't be reached, or the tarball is not the pinned one.
        DiskError: the cache can't be written.
    """
    pin = pins()[name]
    folder = (cache or cache_dir()) / "npm" / f"{name.replace('/', '+')}-{pin['version']}"
    if folder.is_dir():
        return folder / "package"
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent.parent / ".npm.lock"):
        if folder.is_dir():  # another process has fetched it meanwhile
            return folder / "package"
        with replacing_folder(folder, PACKAGE) as unpacked, tempfile.TemporaryDirectory() as scratch:
            tarball = _pack(f"{name}@{pin['version']}", Path(scratch))
            if integrity(tarball) != pin["integrity"]:
                raise DataError(
                    f"{name}@{pin['version']} is not the package lantu knows", "check the npm registry in use"
                )
            with tarfile.open(tarball) as archive:
                archive.extractall(unpacked, filter="data")
    return folder / "package"


def integrity(path: Path) -> str:
    """The file's Subresource Integrity as npm writes it, ``sha512-<base64>``."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return "sha512-" + base64.b64encode(digest).decode()


def _pack(package: str, folder: Path) -> Path:
    command = ["npm", "pack", package, "--silent", "--ignore-scripts", "--pack-destination", str(folder)]
    try:
        # In its own folder, npm can't mistake the user's directory for a package.
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S)
    except FileNotFoundError as problem:
        raise DataError("npm is not installed", "install Node.js, which brings npm") from problem
    except subprocess.TimeoutExpired as problem:
        raise DataError(f"npm took too long to fetch {package}", "check the network and try again") from problem
    tarballs = list(folder.glob("*.tgz"))
    if done.returncode or len(tarballs) != 1:
        reason = (done.stderr.strip().splitlines() or ["no tarball came"])[-1]
        raise DataError(f"npm can't fetch {package} ({reason})", "check the network and try again")
    return tarballs[0]
