"""Writes a tiny Janus of random weights as transformers saves it, with a text tokenizer and a processor."""

import torch

SPECIAL = ["<pad>", "<bos>", "<eos>", "<image_placeholder>", "<begin_of_image>", "<end_of_image>"]
WORDS = ["a", "cat", "dog", "red", "blue", "on", "the", "left", "right", "and", "of", "describe", "this", "picture"]
WORDS += [".", ":", "User", "Assistant"]
TEMPLATE = (
    "{% for message in messages %}User: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image_placeholder>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} Assistant:{% endif %}"
)


def make(folder, template: str | None = TEMPLATE, dtype=torch.float32, tied: bool = True, **text) -> None:
    """Write the directory."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        JanusConfig,
        JanusForConditionalGeneration,
        JanusImageProcessorPil,
        JanusProcessor,
        PreTrainedTokenizerFast,
    )

    names = {name: number for number, name in enumerate([*SPECIAL, "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(names, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    words = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens={
            "image_token": "<image_placeholder>",
            "boi_token": "<begin_of_image>",
            "eoi_token": "<end_of_image>",
        },
    )
    sizes = {"height": 64, "width": 64}
    pictures = JanusImageProcessorPil(size=sizes, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    processor = JanusProcessor(pictures, words, chat_template=template, num_image_tokens=16)
    config = JanusConfig(
        text_config={
            "model_type": "llama",
            "vocab_size": 99,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "max_position_embeddings": 256,
            **text,
        },
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
            "projection_dim": 64,
            "num_image_tokens": 16,
            "depth": 2,
        },
        vq_config={
            "embed_dim": 8,
            "num_embeddings": 64,
            "latent_channels": 32,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1, 2],
            "num_res_blocks": 1,
            "projection_dim": 64,
            "image_token_embed_dim": 64,
        },
        image_token_id=3,
        tie_word_embeddings=tied,
    )
    model = JanusForConditionalGeneration(config)
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        spread = 1.0 if "generation_embeddings" in name or "generation_aligner" in name else 0.2
        parameter.data.normal_(std=spread)  # else greedy decoding stays at one code
    generation = model.generation_config
    generation.generation_kwargs, generation.bos_token_id, generation.pad_token_id = {"boi_token_id": 4}, 1, 0
    generation._from_model_config = False  # else transformers forgets the BOI when it loads
    model.to(dtype).save_pretrained(folder, max_shard_size="1MB")
    processor.save_pretrained(folder)
