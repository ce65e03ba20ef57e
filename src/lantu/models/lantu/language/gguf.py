"""Export of a language model as one GGUF file, for llama.cpp and programs that build on it.

All ids keep their tokens; codes are text that llama.cpp prints (``<|code_12|>``). llama.cpp doesn't know lantu's
pre-tokenizer. The nearest that it has, GPT-2's, gives the same ids for nearly every caption; the directory's
tokenizer.json always gives the right ones.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu import files
from lantu.errors import LantuError, ModelError
from lantu.kernels import to_float
from lantu.weights import arrays, manifest
from lantu.weights.architecture import Sizes
from lantu.weights.language_config import is_adopted, vocabulary_of

if TYPE_CHECKING:
    from gguf import GGUFWriter

# transformers' name of a layer's weight → llama.cpp's
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
PLAIN = "use llama.cpp's own convert_hf_to_gguf.py on language/: it is a stock directory"
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # kinds of token


def export(folder: str | Path, path: str | Path) -> Path:
    """Write a language model as a GGUF file, atomically.

    Args:
        folder: an unmodified transformers directory, Qwen3 or Llama.
        path: of the file.

    Raises:
        ModelError: it can't be read, or has another architecture.
        LantuError: the package gguf is missing.
        DiskError: it can't be written.
    """
    try:
        from gguf import GGUFWriter
    except ImportError as problem:
        raise LantuError("the package gguf is not installed", "pip install gguf") from problem
    folder, path = Path(folder), Path(path)
    config, state = manifest.read("language", folder), arrays.read(folder)
    sizes, kind = Sizes.of(config), config["model_type"]
    if kind not in ("qwen3", "llama") or sizes.rotary.scaling != "default":
        scaled = "" if sizes.rotary.scaling == "default" else f" with {sizes.rotary.scaling} rope"
        raise ModelError(f"the export as GGUF writes plain Qwen3 and Llama, not a {kind}{scaled}", PLAIN)
    with files.replacing(path) as temporary:
        writer = GGUFWriter(str(temporary), kind)
        describe(writer, config, sizes)
        spell(writer, folder, config["vocab_size"])
        for name, weight in state.items():
            own = renamed(name)
            if kind == "llama" and own.split(".")[-2] in ("attn_q", "attn_k"):
                heads = sizes.heads if "attn_q." in own else sizes.key_value_heads
                weight = interleaved(weight, heads)
            place(writer, own, weight)
        for stage in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
            with files.writing(path):
                stage()
        writer.close()
    return path


def describe(writer: "GGUFWriter", config: dict[str, Any], sizes: Sizes) -> None:
    """Write the sizes under llama.cpp's names."""
    writer.add_name("lantu")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(sizes.width)
    writer.add_block_count(sizes.layers)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(sizes.heads)
    writer.add_head_count_kv(sizes.key_value_heads)
    writer.add_key_length(sizes.head_width)
    writer.add_value_length(sizes.head_width)
    writer.add_rope_dimension_count(sizes.head_width)
    writer.add_rope_freq_base(sizes.rotary.base)
    writer.add_layer_norm_rms_eps(sizes.eps)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(32)  # mostly bfloat16


def spell(writer: "GGUFWriter", folder: Path, size: int) -> None:
    """Write every id's token, and the merges of the BPE."""
    config = arrays.read_config(folder)
    vocabulary = vocabulary_of(config)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = {id_: text for text, id_ in tokenizer["model"]["vocab"].items()}
    tokens |= {added["id"]: added["content"] for added in tokenizer["added_tokens"]}
    special = {added["id"] for added in tokenizer["added_tokens"] if added["special"]}
    ids = range(size)
    special |= set(range(vocabulary.text_size, vocabulary.first_code))
    kinds = [USER_DEFINED if id_ >= vocabulary.first_code else CONTROL if id_ in special else NORMAL for id_ in ids]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer_of(tokenizer, config))
    writer.add_token_list([tokens.get(id_, f"<|unused_{id_}|>") for id_ in ids])
    writer.add_token_types(kinds)
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(mark_of("bos", config))
    writer.add_eos_token_id(mark_of("eos", config))
    writer.add_pad_token_id(mark_of("pad", config))
    writer.add_add_bos_token(not is_adopted(config))


def mark_of(name: str, config: dict[str, Any]) -> int:
    """The id of a special token: lantu's, or that of an adopted model, which goes on writing text."""
    id_ = config.get(f"{name}_token_id") if is_adopted(config) else None
    id_ = id_[0] if isinstance(id_, list) and id_ else id_
    return id_ if isinstance(id_, int) else vocabulary_of(config).special(name)


def pre_tokenizer_of(tokenizer: dict[str, Any], config: dict[str, Any]) -> str:
    """llama.cpp's name of the pre-tokenizer that is nearest to a tokenizer's own.

    Raises:
        ModelError: it is no byte-level BPE.
    """
    if not is_adopted(config):
        return "gpt-2"
    before = json.dumps(tokenizer.get("pre_tokenizer"))
    if tokenizer["model"].get("type") != "BPE" or '"ByteLevel"' not in before:
        hint = "use llama.cpp's own convert_hf_to_gguf.py: the directory is a stock one"
        raise ModelError("only models with a byte-level BPE can be written as GGUF", hint)
    for mark, name in (("{N}{1,3}", "llama-bpe"), ('"Digits"', "smollm"), (r"\\p{N}|", "qwen2")):
        if mark in before:
            return name
    return "gpt-2"


def renamed(name: str) -> str:
    """transformers' name of a weight → llama.cpp's.

    Raises:
        ModelError: a Qwen3 or Llama has no such weight.
    """
    stem = name.removesuffix(".weight")
    if stem in WHOLE:
        return f"{WHOLE[stem]}.weight"
    _, _, rest = stem.partition("model.layers.")
    number, _, part = rest.partition(".")
    if part not in LAYER:
        raise ModelError(f"GGUF has no name for the weight {name}", PLAIN)
    return f"blk.{number}.{LAYER[part]}.weight"


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """A Llama's query or key projection with the halves of each head interleaved: llama.cpp rotates adjacent pairs."""
    width = weight.shape[0] // heads // 2
    return np.ascontiguousarray(weight.reshape(heads, 2, width, -1).swapaxes(1, 2)).reshape(weight.shape)


def place(writer: "GGUFWriter", name: str, weight: np.ndarray) -> None:
    """Write a weight: matrices keep bfloat16, vectors become float32."""
    from gguf import GGMLQuantizationType

    if weight.dtype == np.uint16 and weight.ndim > 1:
        bytes_ = np.ascontiguousarray(weight).view(np.uint8)
        writer.add_tensor(name, bytes_, raw_dtype=GGMLQuantizationType.BF16)
    else:
        writer.add_tensor(name, to_float(weight))
