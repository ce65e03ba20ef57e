"""Writes a tiny GLM-Image of random weights as diffusers saves it: ``GlmImagePipeline`` with all its parts."""

from typing import Any

import torch

CODES = 128  # image codes; begin and end of a picture follow them
WORDS = ["a", "cat", "dog", "red", "blue", "on", "the", "left", "right", "sign", "that", "says", "OPEN", '"', "'"]
FIRST_WORD = 130
PROMPTS = ["a red cat", 'the sign says "OPEN"', "dog"]
GRID = (2, 3)  # of the pictures that tests draw most
SPECIAL = {"<|image|>": 601, "<sop>": 610, "<eop>": 611, "<|user|>": 612, "<|pad|>": 600, "[gMASK]": 613}
TEMPLATE = (
    "[gMASK]{% for message in messages %}<|user|>{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|image|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)
TEXT: dict[str, Any] = {
    "vocab_size": 700,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vision_vocab_size": CODES + 16,
    "max_position_embeddings": 4096,
    "pad_token_id": 600,
    "eos_token_id": CODES + 1,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
}

SCHEDULE: dict[str, Any] = {
    "use_dynamic_shifting": True,
    "base_image_seq_len": 256,
    "base_shift": 0.25,
    "max_shift": 0.75,
    "time_shift_type": "linear",
}


def processor():
    """A processor whose words are those of ``WORDS``; digits are words of their own, as in the published tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GlmImageImageProcessorPil, GlmImageProcessor, PreTrainedTokenizerFast

    names = {f"<|dit_token_{number}|>": number for number in range(CODES + 2)}
    ordinary = ["<unk>", *WORDS, *"0123456789", "一", "只", "猫", "“", "”"]
    names |= {word: number for number, word in enumerate(ordinary, FIRST_WORD)} | SPECIAL
    tokenizer = Tokenizer(models.WordLevel(names, "<unk>"))
    parts = [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    tokenizer.add_special_tokens(["[gMASK]", "<|user|>"])
    words = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        padding_side="left",
        pad_token="<|pad|>",
        bos_token=f"<|dit_token_{CODES}|>",
        eos_token=f"<|dit_token_{CODES + 1}|>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<|image|>", "grid_bos_token": "<sop>", "grid_eos_token": "<eop>"},
    )
    pictures = GlmImageImageProcessorPil(patch_size=16, merge_size=1)
    return GlmImageProcessor(pictures, words, chat_template=TEMPLATE)


def language(**text: Any):
    """The model that drafts, with a vision tower and image tokenizer that only editing needs."""
    from transformers import GlmImageConfig, GlmImageForConditionalGeneration

    config = GlmImageConfig(
        text_config=TEXT | text,
        vision_config={
            "depth": 1,
            "hidden_size": 32,
            "num_heads": 2,
            "intermediate_size": 64,
            "image_size": 64,
            "patch_size": 16,
        },
        vq_config={"embed_dim": 16, "num_embeddings": CODES, "latent_channels": 32},
        image_token_id=SPECIAL["<|image|>"],
        image_start_token_id=CODES,
        image_end_token_id=CODES + 1,
    )
    return GlmImageForConditionalGeneration(config)


def pipeline(**text: Any):
    """The pipeline, its weights drawn from a fixed seed."""
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, GlmImagePipeline, GlmImageTransformer2DModel
    from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

    glyphs = T5Config(
        vocab_size=384, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8,) * 4,
        latent_channels=4,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=128,
        latents_mean=[0.1, -0.1, 0.0, 0.2],
        latents_std=[1.0, 1.2, 0.9, 1.1],
    )
    transformer = GlmImageTransformer2DModel(
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        text_embed_dim=32,
        time_embed_dim=16,
        condition_dim=8,
        prior_vq_quantizer_codebook_size=CODES,
    )
    made = GlmImagePipeline(
        tokenizer=ByT5Tokenizer(),
        processor=processor(),
        text_encoder=T5EncoderModel(glyphs),
        vision_language_encoder=language(**text),
        vae=vae,
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULE),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for part in (made.text_encoder, made.vision_language_encoder, made.vae, made.transformer):
            for name, parameter in part.named_parameters():
                spread = 1.0 if "embed_tokens" in name or "norm" in name else 0.2
                parameter.data.normal_(std=spread)  # else greedy decoding stays at few codes
            part.eval()
    return made


def make(folder, dtype: torch.dtype = torch.float32, max_shard_size: str = "100KB", **text: Any) -> None:
    """Write the directory, in shards."""
    pipeline(**text).to(dtype).save_pretrained(folder, max_shard_size=max_shard_size)
