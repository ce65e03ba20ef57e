"""Loading a stock transformers directory with transformers, checked before and after."""

from pathlib import Path
from typing import TYPE_CHECKING

from lantu.errors import ModelError
from lantu.weights import manifest

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

HINT = "give a complete transformers directory"


def load(folder: str | Path, dtype: "torch.dtype | str") -> "PreTrainedModel":
    """Read a causal language model from safetensors, without running code or pickles of the directory.

    transformers initialises missing weights at random with a warning; here missing weights are an error.

    Args:
        dtype: of the weights; "auto" keeps the file's.

    Raises:
        ModelError: it can't be read, or its tensors don't match its config.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    manifest.read_language(folder)
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except Exception as problem:  # of any kind: transformers does not validate configs
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise ModelError(f"transformers can't read the language model in {folder} ({reason})", HINT) from problem
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if names := sorted(map(str, report.get(what) or ())):
            kind = what.removesuffix("_keys")
            raise ModelError(f"the language model in {folder} has {kind} tensors: {names[0]}", HINT)
    return model
