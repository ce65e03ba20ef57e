"""Writes a tiny Emu3 of random weights as transformers saves it, with a text tokenizer and a processor."""

import torch

CODES = 64
SPECIAL = ["<pad>", "<bos>", "<eos>", "<image>", "<|extra_200|>", "<|extra_201|>"]
SPECIAL += ["<|image end|>", "<|image start|>", "<|image token|>"]
WORDS = [
    "a",
    "cat",
    "dog",
    "red",
    "blue",
    "on",
    "the",
    "left",
    "masterpiece",
    "best",
    "quality",
    "lowres",
    "bad",
    "text",
]
WORDS += [".", ",", "*", *map(str, range(1, 10))]


def make(folder, dtype=torch.float32, **text) -> None:
    """Write the directory. A code is 8 pixels a side, as in the published model."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        Emu3Config,
        Emu3ForConditionalGeneration,
        Emu3ImageProcessor,
        Emu3Processor,
        PreTrainedTokenizerFast,
    )

    names = {name: number for number, name in enumerate([*SPECIAL, "<unk>", *WORDS])}
    visual = {f"<|visual token {code:06d}|>": len(names) + code for code in range(CODES)}
    tokenizer = Tokenizer(models.WordLevel(names | visual, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    words = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens={
            "image_token": "<image>",
            "boi_token": "<|image start|>",
            "eoi_token": "<|image end|>",
            "image_wrapper_token": "<|image token|>",
            "eof_token": "<|extra_201|>",
        },
    )
    config = Emu3Config(
        vocabulary_map=names | visual,
        image_area=1024,
        text_config={
            "vocab_size": len(names) + CODES + 3,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            **text,
        },
        vq_config={
            "codebook_size": CODES,
            "embed_dim": 4,
            "latent_channels": 4,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "attn_resolutions": [3],
            "hidden_size": 32,
            "temporal_downsample_factor": 2,
        },
    )
    model = Emu3ForConditionalGeneration(config)
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        parameter.data.normal_(std=1.0 if "embed" in name else 0.2)  # else greedy decoding stays at one code
    model.to(dtype).save_pretrained(folder, max_shard_size="1MB")
    Emu3Processor(Emu3ImageProcessor(min_pixels=32 * 32, max_pixels=64 * 64), words).save_pretrained(folder)
