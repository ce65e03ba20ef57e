"""Opens a published folder of diffusers (config.json, safetensors in one file or in shards) as a module.

Before a number of it is read, every tensor's name, shape and type is held against the class that its config.json names,
made where it takes no memory. No code and no pickle of the folder is run.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lantu.errors import TRAINING, LantuError, ModelError
from lantu.files.untrusted import shown
from lantu.models.diffusers.entries import check_entries
from lantu.models.diffusers.folder import STEM
from lantu.models.published.modules import HINT, compare
from lantu.models.published.text import first_line
from lantu.weights import arrays

if TYPE_CHECKING:
    import torch

HALVES, FLOATS = ("F16", "BF16"), ("F16", "BF16", "F32")


def require() -> None:
    """Refuse where a package is missing that pretrained decoders need. Raises LantuError."""
    import importlib.util

    missing = [name for name in ("torch", "diffusers") if importlib.util.find_spec(name) is None]
    if missing:
        raise LantuError(f"a pretrained decoder needs {' and '.join(missing)}, not installed here", TRAINING)


def read_config(folder: Path, names: Collection[str], what: str) -> dict[str, Any]:
    """The config.json of a folder, once it names one of these classes.

    Args:
        what: the folder holds, for messages.

    Raises:
        ModelError: it can't be read, or names another class.
    """
    config = arrays.read_config(folder)
    if config.get("_class_name") not in names:
        found = shown(config.get("_class_name"))
        raise ModelError(f"the {what} in {folder} is of the class {found}", f"known are {', '.join(names)}")
    if config.get("quantization_config"):
        raise ModelError(f"the {what} in {folder} is quantised", "give one in float16, bfloat16 or float32")
    return config


def check(folder: Path, config: dict[str, Any], stem: str = STEM) -> str:
    """Hold the headers of a folder's weights against its config.json.

    Args:
        stem: of the weights' file names.

    Returns:
        the type in which most of its numbers are stored, one of ``FLOATS``.

    Raises:
        ModelError: an entry of the config is of another type, diffusers refuses the config, or a tensor is missing,
            unknown, of another shape or type.
    """
    import torch

    entries = arrays.entries(folder, stem)
    for name, entry in entries.items():
        if entry.dtype not in FLOATS:
            raise ModelError(f"{name} in {folder} is {entry.dtype}, not {' or '.join(FLOATS)}", HINT)

    def made() -> Any:
        with torch.device("meta"):
            return kind.from_config(config)

    kind = class_of(config)
    check_entries(config, kind.__init__, str(folder / "config.json"))
    module = guarded(made, folder)
    found: dict[str, Any] = dict(entries)
    guarded(lambda: module._fix_state_dict_keys_on_load(found), folder)  # names of attention layers of diffusers 0.6
    compare(f"{folder}: ", module.state_dict(), found)
    sizes = dict.fromkeys(FLOATS, 0)
    for entry in entries.values():
        sizes[entry.dtype] += entry.last - entry.first
    return max(sizes, key=lambda dtype: sizes[dtype])


def load(folder: Path, config: dict[str, Any], dtype: "torch.dtype", device: "str | torch.device") -> Any:
    """A checked folder as a module, ready for inference. Shards are read one by one, each tensor once.

    Raises:
        ModelError: diffusers can't read it.
    """

    def made() -> Any:
        return class_of(config).from_pretrained(
            str(folder), torch_dtype=dtype, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=True
        )

    return guarded(made, folder).to(device).eval().requires_grad_(False)


def class_of(config: dict[str, Any]) -> Any:
    """The class of diffusers that a config names."""
    import diffusers
    from diffusers.utils import logging

    logging.set_verbosity_error()  # what it warns about is refused here
    logging.disable_progress_bar()
    return getattr(diffusers, config["_class_name"])


def guarded(made: Callable[[], Any], folder: Path) -> Any:
    """The result of a call, its exceptions as one line. Raises ModelError."""
    try:
        return made()
    except Exception as problem:  # of any kind: diffusers does not check what a config says
        raise ModelError(f"diffusers can't read {folder} ({first_line(problem)})", HINT) from problem
