"""Writes a tiny Tar of random weights: language model and SANA as transformers and diffusers save them, and TA-Tok.

TA-Tok's tensors have their published names.
"""

import json

import torch
from safetensors.torch import save_file

from tiny_plain import CODES, TEXT, language, tokenizer

INNER, CODE, WIDTH = 8, 6, 24  # widths of the codebook, of a patch, of a feature
SCALES = ("<S1>", "<S2>")


def make(folder) -> None:
    """Write the directory."""
    words = tokenizer((*SCALES, *(f"<I{code}>" for code in range(CODES))))
    ids = TEXT + len(SCALES) + CODES + 3
    language(folder, "qwen2", ids, words=words, max_position_embeddings=1024)
    make_ta_tok(folder / "ta_tok")
    make_sana(folder / "sana")


def make_ta_tok(folder) -> None:
    """TA-Tok, its encoder's tensors among them, and its checkpoint's settings."""
    from transformers import Siglip2VisionConfig, Siglip2VisionModel

    sizes = {"patch_size": 1, "num_hidden_layers": 2, "num_channels": CODE, "hidden_size": WIDTH}
    torch.manual_seed(0)
    parts = {
        "bottleneck.regularizer.embedding": torch.nn.Embedding(CODES, INNER),
        "bottleneck.regularizer.embedding_proj": torch.nn.Linear(INNER, INNER),
        "bottleneck.in_linear": torch.nn.Linear(WIDTH, INNER),
        "bottleneck.out_linear": torch.nn.Linear(INNER, CODE),
        "decoder.vision_model": Siglip2VisionModel(Siglip2VisionConfig(**sizes)),
        "decode_task_layer.0": torch.nn.Linear(WIDTH, WIDTH),
        "decode_task_layer.2": torch.nn.Linear(WIDTH, WIDTH),
    }
    state = {
        f"{name}.{tensor}": torch.randn_like(value) * 0.3
        for name, part in parts.items()
        for tensor, value in part.state_dict().items()
    }
    folder.mkdir(parents=True)
    save_file(state, folder / "model.safetensors")
    codebook = {"name": "simvq", "args": {"codebook_size": CODES, "l2_normalized": True}}
    bottleneck = {"name": "bottleneck", "args": {"bottleneck_dim": INNER, "regularizer": codebook}}
    (folder / "config.json").write_text(json.dumps({"bottleneck": bottleneck, "decoder_depth": 2, "input_size": 384}))


def make_sana(folder) -> None:
    """SANA of 32x32 pixels."""
    from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, SanaPipeline, SanaTransformer2DModel

    torch.manual_seed(0)
    blocks = {"block_types": ("ResBlock", "EfficientViTBlock"), "block_out_channels": (8, 8)}
    blocks |= {"qkv_multiscales": ((), (5,)), "layers_per_block": (1, 1)}
    vae = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        scaling_factor=0.41407,
        **{f"{half}_{name}": value for half in ("encoder", "decoder") for name, value in blocks.items()},
    )
    transformer = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=WIDTH,
        sample_size=16,
        patch_size=1,
    )
    for part in (vae, transformer):
        for parameter in part.parameters():
            parameter.data.normal_(std=0.2)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    SanaPipeline(None, None, vae, transformer, scheduler).save_pretrained(folder)
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"tokenizer": ["transformers", "GemmaTokenizer"], "text_encoder": ["transformers", "Gemma2Model"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    save_file({"negative": torch.randn(729, WIDTH)}, folder / "negative_prompt_embeds.safetensors")
