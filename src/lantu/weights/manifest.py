"""Comparing the tensors of a model's part with its config.json, before anything is computed.

``check`` takes a config and tensors, ``read`` a folder, of whose weights it reads only the headers. Numbers in a config
are checked for type and range first, so that a wrong one can't cause a huge allocation. The error names the tensor that
is missing, unknown, or of a wrong shape or type, and says what is expected (``lantu.weights.expected``).
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lantu.errors import ModelError
from lantu.files.untrusted import Fields, read_json, shown
from lantu.weights import arrays, checksums
from lantu.weights.architecture import MAX_IDS, MAX_LAYERS, MAX_WIDTH, WHERE, is_plain
from lantu.weights.expected import OPTIONAL, WANTED, Wanted, pretrained, pretrained_control
from lantu.weights.language_config import drawing_config, is_adopted
from lantu.weights.names import MASKED, MASKED_VECTORS, PRETRAINED, PRETRAINED_CONTROL, VQ_DIFFUSION

NAMES = {
    "language": "language model",
    "masked": "masked language model",
    "vq_diffusion": "discrete diffusion",
    "masked_vectors": "masked model of vectors",
    "tokenizer": "image tokenizer",
    "decoder": "diffusion decoder",
    "vector_decoder": "diffusion decoder",
    "vectors": "head of the vectors",
    "vision": "vision encoder",
    "adapter": "adapter of the diffusion decoder",
    "control": "control",
    "upscaler": "upscaler",
    "memory_bank": "memory bank",
}
# model_type of lantu's own networks → part
OWN_LANGUAGES = {MASKED: "masked", VQ_DIFFUSION: "vq_diffusion", MASKED_VECTORS: "masked_vectors"}
HALVES = {"float16": "F16", "bfloat16": "BF16"}
KINDS = {"uint16": "BF16", "bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64", "bool": "BOOL"}
KINDS |= {"int32": "I32", "int64": "I64", "uint8": "U8"}
HINT = "restore config.json, or fetch the model again"
MISSING = "give a complete model directory"


class Tensor(Protocol):
    """An array, a tensor of torch, or an entry of a header."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        ...

    @property
    def dtype(self) -> Any:
        """Of NumPy or torch, or safetensors' name of it."""
        ...


def read(part: str, folder: str | Path) -> dict[str, Any]:
    """The config of a part's folder, once its tensors match it.

    Args:
        part: "language", "tokenizer", "decoder", "adapter", "control" or "upscaler".

    Raises:
        ModelError: a number is out of range, a tensor is not as expected, a file is damaged or was changed.
    """
    require(part, folder)
    config = arrays.read_config(folder)
    check(part, config, arrays.entries(folder))
    verify(part, Path(folder), config)
    return config


def read_arrays(part: str, folder: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """``read`` with the memory-mapped arrays, so that no header is parsed twice."""
    require(part, folder)
    config, state = arrays.read_config(folder), arrays.read(folder)
    check(part, config, state)
    verify(part, Path(folder), config)
    return config, state


def read_decoder(folder: str | Path) -> dict[str, Any]:
    """The config of a decoder of either class.

    Of a pretrained one, its own config and its adapter are checked here. Its network and autoencoder, whose tensors
    only diffusers knows, are checked as they are loaded.

    Raises:
        ModelError: as ``read`` does.
    """
    require("decoder", folder)
    config = arrays.read_config(folder)
    if config.get("_class_name") != PRETRAINED:
        return read("decoder", folder)
    pretrained(config)
    adapter = read("adapter", Path(folder) / "adapter")
    if adapter["codebook_size"] != config["codebook_size"]:
        what = f"the decoder renders {config['codebook_size']} codes, its adapter reads {adapter['codebook_size']}"
        raise ModelError(what, HINT)
    checksums.verify(folder)
    return config


def read_control(folder: str | Path) -> dict[str, Any]:
    """The config of a control of either class; the tensors of a ControlNet are checked as it is loaded.

    Raises:
        ModelError: as ``read`` does.
    """
    require("control", folder)
    config = arrays.read_config(folder)
    if config.get("_class_name") != PRETRAINED_CONTROL:
        return read("control", folder)
    pretrained_control(config)
    checksums.verify(folder)
    return config


def require(part: str, folder: str | Path) -> None:
    """Refuse a folder without a config.json."""
    if not (Path(folder) / "config.json").exists():
        raise ModelError(f"no {NAMES[part]} in {folder}: it has no config.json", MISSING)


def verify(part: str, folder: Path, config: Mapping[str, Any]) -> None:
    """Check generation_config.json and the model's checksums."""
    if part == "language":
        check_generation(folder, config)
    checksums.verify(folder)


def read_language(folder: str | Path) -> dict[str, Any]:
    """The config of a language model of any architecture; of foreign ones as much is checked as can be."""
    config = arrays.read_config(folder)
    if part := OWN_LANGUAGES.get(str(config.get("model_type"))):
        return read(part, folder)
    return read("language", folder) if is_plain(config) else read_foreign(folder)


def read_foreign(folder: str | Path) -> dict[str, Any]:
    """The config of a language model of a foreign architecture, which transformers or vLLM run.

    Its files must be intact and its numbers in range; only transformers knows which tensors it needs.

    Raises:
        ModelError: a file is damaged or was changed, or a number is out of range.
    """
    config = arrays.read_config(folder)
    fields = Fields(config, WHERE)
    most = {"layers": MAX_LAYERS, "layer": MAX_LAYERS, "size": MAX_IDS, "embd": MAX_IDS, "dim": MAX_IDS}
    most |= {"heads": MAX_WIDTH, "head": MAX_WIDTH, "positions": MAX_IDS, "embeddings": MAX_IDS}
    for name, value in config.items():
        if type(value) in (int, float) and (ending := name.rsplit("_", 1)[-1]) in most:
            fields.whole(name, 0, most[ending])
    arrays.entries(folder)
    if "lantu" in config:
        drawing_config(config)
    checksums.verify(folder)
    return config


def check(part: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Compare the shapes and types of tensors with their config.

    Raises:
        ModelError: a number is out of range, or a tensor is missing, unknown, or of a wrong shape or type.
    """
    compare(NAMES[part], config, WANTED[part](config), OPTIONAL.get(part, lambda _: {})(config), tensors)


def compare(
    name_of_part: str, config: Mapping[str, Any], wanted: Wanted, may: Wanted, tensors: Mapping[str, Tensor]
) -> None:
    """Compare tensors with those that are expected and those that are optional.

    Raises:
        ModelError: a tensor is missing, unknown, or of another shape or type.
    """
    for name, (shape, kinds) in (wanted | may).items():
        if name not in tensors:
            if name in may:
                continue
            raise ModelError(f"the {name_of_part} lacks {name}, in config.json {list(shape)}", MISSING)
        found, kind = tuple(tensors[name].shape), kind_of(tensors[name])
        if found != shape:
            what = f"{name} of the {name_of_part} is {list(found)}, in config.json {list(shape)}"
            raise ModelError(what, HINT)
        if kind not in kinds:
            raise ModelError(f"{name} of the {name_of_part} is {kind}, not {' or '.join(kinds)}", "fetch it again")
    if unknown := [name for name in tensors if name not in wanted and name not in may and not is_derived(name)]:
        what = f"the {name_of_part} has a tensor {shown(unknown[0])} that its config.json does not ask for"
        raise ModelError(what, HINT)
    check_halves(name_of_part, config, {name: kind_of(tensors[name]) for name in wanted})


def kind_of(tensor: Tensor) -> str:
    """The dtype of a tensor, as safetensors spells it."""
    return kind_of_dtype(tensor.dtype)


@cache  # NumPy spells a dtype slowly, and a model has hundreds of tensors
def kind_of_dtype(dtype: Any) -> str:
    """A dtype of NumPy, torch or safetensors, as safetensors spells it."""
    text = str(dtype).removeprefix("torch.")
    return KINDS.get(text, text)


def is_derived(name: str) -> bool:
    """Whether a tensor, found in older transformers directories, is computed from the config."""
    return name.endswith("rotary_emb.inv_freq")


def check_finite(part: str, values: np.ndarray) -> None:
    """Refuse the output of damaged weights.

    Raises:
        ModelError: a value is infinite or NaN.
    """
    if not (np.isfinite(values.max()) and np.isfinite(values.min())):
        raise ModelError(f"the {NAMES[part]} computes numbers that are not finite", "fetch it again, it is damaged")


def check_halves(name_of_part: str, config: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
    """Refuse a mix of float16 and bfloat16, or one that contradicts the config.

    A header with the wrong one of the two has the right sizes but wrong values.
    """
    dtype = config.get("dtype", config.get("torch_dtype"))
    wanted = HALVES.get(dtype.removeprefix("torch.")) if isinstance(dtype, str) else None
    for name, kind in kinds.items():
        if kind in HALVES.values():
            wanted = wanted or kind
            if kind != wanted:
                what = f"{name} of the {name_of_part} is {kind}, where the other tensors or config.json are {wanted}"
                raise ModelError(what, "fetch it again")


def check_generation(folder: Path, config: Mapping[str, Any]) -> None:
    """Check generation_config.json, if there is one: numbers in range, and the same special tokens as config.json."""
    path = folder / "generation_config.json"
    if not path.exists():
        return
    try:
        fields = Fields(read_json(path), str(path))
    except (OSError, ValueError) as problem:
        raise ModelError(f"{path} can't be read as JSON ({problem})", MISSING) from problem
    for name, least, most in (("temperature", 0, 100), ("top_p", 0, 1)):
        if fields.given(name):
            fields.real(name, least, most)
    if fields.given("top_k"):
        fields.whole("top_k", 0, MAX_IDS)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if "lantu" in config and not is_adopted(config) and fields.given(name) and config.get(name) is not None:
            fields.one_of(name, (config[name],))
