"""Which stacks take the language model of a model directory as it is.

    python benchmarks/stacks/matrix.py MODEL [MODEL ...]

Each cell is the answer of the code that would hand the model over: transformers' list of causal language models (vLLM
serves them, the Trainer trains them under DeepSpeed), lantu's writer of GGUF (a file is written, and thrown away), the
mapping to Megatron's GPTModel (every weight must find its place). Nothing is trained or served here: tests/stacks and
docs/stacks.md say what was.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import megatron_mapping

from lantu.errors import LantuError
from lantu.models.hub import locate

VECTORS = "vectors"  # the folder of a head that stands beside the language model
STACKS = ("vLLM", "llama.cpp", "DeepSpeed (Trainer)", "Megatron")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="names or folders of models")
    print(f"| model | {' | '.join(STACKS)} |\n|{'---|' * (len(STACKS) + 1)}")
    for name in parser.parse_args().models:
        try:
            folder = locate(name)
        except LantuError as problem:
            sys.exit(f"matrix.py: {problem}")
        print(f"| {name} | {' | '.join(answers(folder))} |")


def answers(folder: Path) -> list[str]:
    """A cell for each stack."""
    language = folder / "language" if (folder / "language").is_dir() else folder
    path = next(path for path in (language / "config.json", folder / "model_index.json") if path.is_file())
    config = json.loads(path.read_text(encoding="utf-8"))
    if not is_causal(config):
        kind = config.get("model_type") or config.get("_class_name")
        return [f"no: {kind} is no causal language model of transformers"] * len(STACKS)
    if (folder / VECTORS).is_dir():
        return [f"no: it drafts vectors, of {VECTORS}/, not ids"] * len(STACKS)
    checks: tuple[Callable[[], None], ...] = (
        lambda: None,
        lambda: to_gguf(language),
        lambda: None,
        lambda: to_megatron(language, config),
    )
    return [answer(check) for check in checks]


def is_causal(config: dict) -> bool:
    """Whether transformers itself, without code from the directory, opens it as a causal language model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    names = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.get("model_type", ""), ())
    names = (names,) if isinstance(names, str) else names
    return any(name in names for name in config.get("architectures") or ())


def answer(check: Callable[[], None]) -> str:
    """ "as it is", or why not."""
    try:
        check()
    except (LantuError, ValueError, KeyError) as problem:
        return f"no: {problem}"
    return "as it is"


def to_gguf(language: Path) -> None:
    """Raises LantuError where no file can be written."""
    from lantu.models.lantu.language.gguf import export

    with tempfile.TemporaryDirectory() as folder:
        export(language, Path(folder) / "model.gguf")


def to_megatron(language: Path, config: dict) -> None:
    """Raises ValueError or KeyError where a weight has no place, or is missing."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(language)
    sizes = model.config.to_dict()
    megatron_mapping.check(sizes)
    megatron_mapping.to_megatron(model.state_dict(), sizes)


if __name__ == "__main__":
    main()
