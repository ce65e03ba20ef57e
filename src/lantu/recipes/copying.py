"""Copies the folders of trained parts into a model directory: files that such a directory may have, and no others."""

import logging
import shutil
from pathlib import Path

from lantu.files import HALF_WRITTEN, FolderKind
from lantu.files.untrusted import check_regular

log = logging.getLogger(__name__)


def copy_part(source: Path, target: Path, kind: FolderKind, part: str = "") -> None:
    """Copy a folder; a warning names the files that are left out, such as pickles beside the weights.

    Args:
        target: the new folder.
        kind: of the model directory.
        part: the folder's name in it; "" for the directory itself.

    Raises:
        ModelError: a file can't be read, is a pipe or a device, or a link that leaves its folder.
        OSError: ``target`` can't be written.
    """
    names = [path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_symlink() or not path.is_dir()]
    names = [name for name in names if not HALF_WRITTEN.fullmatch(name.name)]
    kept = [name for name in names if kind.has(Path(part) / name)]
    check_regular(source / name for name in kept)
    target.mkdir(parents=True)
    for name in kept:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    if left_out := [str(name) for name in names if name not in kept]:
        log.warning(f"not copied from {source}, since {kind.name} has no such files: {', '.join(left_out)}")
