"""A pretrained causal language model in its published directory, checked as a whole before anything is made of it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lantu import files
from lantu.errors import TRAINING, LantuError, ModelError
from lantu.files.untrusted import read_bytes, shown
from lantu.tokens.pretrained import read_companions
from lantu.weights import arrays, expected, manifest

if TYPE_CHECKING:
    from transformers import PretrainedConfig

HINT = "give a causal language model of transformers as it was published"
DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
CARD = "README.md"
MIN_IDS = 256  # of text


@dataclass(frozen=True)
class Source:
    """A language model of others.

    Attributes:
        name: as the user gave it, without the folders above.
        config: its config.json.
        ids: rows of its embedding table.
        dtype: of its embedding table, as torch spells it.
        tables: names of the tensors with a row per id, in its files.
        tied: name → name of the tensor that it shares its numbers with.
        companions: its small files, the tokenizer among them.
        declared: the licence by the one who adopts it; "" for that of its card.
    """

    folder: Path
    name: str
    config: dict[str, Any]
    ids: int
    dtype: str
    tables: tuple[str, ...]
    tied: Mapping[str, str]
    companions: Mapping[str, bytes]
    declared: str = ""

    @property
    def licence(self) -> str:
        """The licence that was declared, or that of its card; "" if there is none."""
        if self.declared:
            return self.declared
        head, _, _ = (
            self.companions.get("SOURCE.md", b"").decode("utf-8", "replace").removeprefix("---").partition("\n---")
        )
        fields = dict(line.split(":", 1) for line in head.splitlines() if ":" in line and not line[0].isspace())
        name = (fields.get("license_name") or fields.get("license") or "").strip().strip("'\"")
        return name[:100] if name.isprintable() else ""

    def origin(self) -> dict[str, str]:
        """What is recorded of it in what is made of it."""
        weights = files.sha256(*arrays.shard_paths(self.folder))
        return {"source": self.name, "sha256": weights, "licence": self.licence, "dtype": self.dtype}


def open_source(folder: Path, name: str, added: int) -> Source:
    """A published directory, of which only headers and small files are read.

    Args:
        added: the number of ids that it is to get.

    Raises:
        ModelError: it is no causal language model of transformers, is quantised, draws already, or has a missing,
            unknown or odd-shaped tensor.
        LantuError: transformers is not installed.
    """
    config = arrays.read_config(folder)
    architecture = check_kind(config)
    manifest.read_language(folder)
    wanted, tied = tensors_of(config, 0)
    grown, _ = tensors_of(config, added)
    entries = arrays.entries(folder)
    may = {name: wanted.pop(name) for name in tied if name in wanted}
    manifest.compare("language model", config, wanted, may, entries)
    ids = config["vocab_size"]
    tables = tuple(name for name, (shape, _) in (wanted | may).items() if name in entries and shape != grown[name][0])
    for table in tables:
        if grown[table][0] != (entries[table].shape[0] + added, *entries[table].shape[1:]):
            raise ModelError(f"{table} of {architecture} is not a table of one row per id", HINT)
    if not tables:
        raise ModelError(f"{architecture} has no table of its {ids} ids", HINT)
    companions = read_companions(folder)
    if (folder / CARD).is_file():
        companions["SOURCE.md"] = read_bytes(folder / CARD)
    return Source(folder, name, config, ids, DTYPES[entries[tables[0]].dtype], tables, tied, companions)


def check_kind(config: Mapping[str, Any]) -> str:
    """The class of a causal language model. Raises ModelError for anything else."""
    try:
        from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    except ImportError as problem:
        raise LantuError("adopting a language model needs transformers, which is not installed", TRAINING) from problem
    kind, names = config.get("model_type"), config.get("architectures")
    if not isinstance(kind, str) or kind not in CAUSAL:
        raise ModelError(f"transformers has no causal language model of type {shown(kind)}", HINT)
    causal = CAUSAL[kind] if isinstance(CAUSAL[kind], tuple) else (CAUSAL[kind],)
    if not isinstance(names, list) or len(names) != 1 or names[0] not in causal:
        raise ModelError(f"{shown(names)} is not the causal language model of {kind}, {causal[0]}", HINT)
    if config.get("quantization_config") is not None:
        raise ModelError("the language model is quantised", "give it in bfloat16, float16 or float32")
    if "lantu" in config:
        raise ModelError("the language model draws already", "train it: lantu train language --start DIR")
    if type(config.get("vocab_size")) is not int:
        raise ModelError(f"{names[0]} keeps its text model inside another config", "give the text model alone")
    if config["vocab_size"] < MIN_IDS:
        raise ModelError(f"the language model has only {config['vocab_size']} ids", HINT)
    return names[0]


def tensors_of(config: Mapping[str, Any], added: int) -> tuple[expected.Wanted, dict[str, str]]:
    """The tensors that transformers wants for a config with more ids, and which may be missing, being tied to others.

    The model is built where it takes no memory.

    Raises:
        ModelError: transformers refuses the config, or stores this architecture's tensors in another form than it
            computes with, such as mixtures of experts.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    kind = config["model_type"]
    if get_checkpoint_conversion_mapping(kind):
        raise ModelError(f"the files of {kind} are converted when they are read", "give a dense language model")
    try:
        theirs = config_of(config)
        theirs.vocab_size += added
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(theirs)
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    except Exception as problem:  # of any kind: transformers does not check what a config says
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise ModelError(f"transformers can't build {kind} from config.json ({reason})", HINT) from problem
    shared = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    tied = dict(model._tied_weights_keys or {}) if shared else {}
    return {name: (shape, tuple(DTYPES)) for name, shape in shapes.items()}, tied


def config_of(config: Mapping[str, Any]) -> "PretrainedConfig":
    """transformers' config object of a config.json."""
    from transformers import AutoConfig

    fields = {name: value for name, value in copy.deepcopy(dict(config)).items() if name != "model_type"}
    return AutoConfig.for_model(config["model_type"], **fields)
