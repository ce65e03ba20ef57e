"""Writes tiny stock language models of random weights that draw with ids of their own vocabulary, and their decoders.

All weights are written by transformers and diffusers themselves.
"""

import json

import torch

CODES = 64
SPECIAL = [
    "<pad>",
    "<bos>",
    "<eos>",
    "<unk>",
    "<boi>",
    "<unconditional>",
    "<eol>",
    "<|t2i|>",
    "<|soi|>",
    "<im_start>",
    "<S0>",
]
WORDS = [
    "a",
    "cat",
    "dog",
    "red",
    "blue",
    "on",
    "the",
    "left",
    "Generate",
    "an",
    "image",
    "based",
    "this",
    "description",
    ".",
]
WORDS += ["highly", "realistic", "of", "system", "user", "*", *map(str, range(1, 10))]
TEXT = len(SPECIAL) + len(WORDS)
TEMPLATE = "{% for turn in messages %}{{ turn['role'] }} {{ turn['content'] }} . {% endfor %}"
LAYOUT = {
    "licence": "none",
    "prompt": "{prompt} <boi> {height}*{width}",
    "unconditional": "<unconditional><boi>",
    "codes": {"first": "tokenizer", "size": CODES},
    "grid": {"default": [4, 4], "others": [[2, 6]], "sides": [2, 5]},
    "patch": 4,
    "sampling": {"guidance": 3.0, "top_k": 16},
    "decoder": {"kind": "vqgan", "folder": "decoder"},
}
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def tokenizer(extra: tuple[str, ...] = ()):
    """A text tokenizer of transformers that begins each text with BOS.

    Args:
        extra: tokens behind the others.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = {name: number for number, name in enumerate([*SPECIAL, *WORDS, *extra])}
    words = Tokenizer(models.WordLevel(names, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    options = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
    made = PreTrainedTokenizerFast(tokenizer_object=words, **options, extra_special_tokens=[*SPECIAL[4:], *extra])
    made.chat_template = TEMPLATE
    return made


def language(
    folder, architecture: str, ids: int, *, class_name: str = "", dtype=torch.float32, words=None, **sizes
) -> None:
    """Write a causal language model as transformers saves it.

    Args:
        architecture: "llama", "qwen2" or "gemma".
        class_name: in config.json in place of transformers' own.
    """
    from transformers import GemmaConfig, GemmaForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    kinds = {
        "llama": (LlamaConfig, LlamaForCausalLM, {}),
        "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
        "gemma": (GemmaConfig, GemmaForCausalLM, {"head_dim": 16}),
    }
    config, model, more = kinds[architecture]
    made = model(config(vocab_size=ids, **{**SIZES, **more, **sizes}))
    torch.manual_seed(0)
    for name, parameter in made.named_parameters():
        parameter.data.normal_(std=1.0 if "embed" in name and architecture != "gemma" else 0.2)
    made.to(dtype).save_pretrained(folder)
    (words or tokenizer()).save_pretrained(folder)
    if class_name:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "architectures": [class_name]}))


def vqgan(folder, codes: int = CODES) -> None:
    """Write a VQ-GAN as transformers saves Janus's: 4 pixels a side of a code."""
    from transformers import JanusVQVAEConfig
    from transformers.models.janus.modeling_janus import JanusVQVAE

    sizes = {"base_channels": 32, "channel_multiplier": [1, 1, 2], "num_res_blocks": 1, "num_patches": 4}
    made = JanusVQVAE(JanusVQVAEConfig(embed_dim=8, num_embeddings=codes, latent_channels=32, **sizes))
    torch.manual_seed(0)
    for name, parameter in made.named_parameters():
        parameter.data.normal_(std=1.0 if "embedding" in name else 0.1)
    made.save_pretrained(folder)


def make(folder, architecture: str = "llama", **changes) -> None:
    """Write a model: a language model, a VQ-GAN and a layout file.

    Args:
        changes: fields of the layout file.
    """
    language(folder, architecture, TEXT + CODES + 5)
    vqgan(folder / "decoder")
    (folder / "lantu_layout.json").write_text(json.dumps(LAYOUT | changes))
