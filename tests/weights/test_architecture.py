"""Published configs: tensors have the names and shapes that transformers builds, and hostile numbers are refused.

The configs are those of the named models, as their directories on the hub spell them. Models are built on the meta
device, which holds no weights.
"""

import json
from typing import Any

import numpy as np
import pytest

from lantu.errors import ModelError
from lantu.weights import expected
from lantu.weights.architecture import Sizes

QWEN2_5 = {  # Qwen2.5-0.5B
    **{"model_type": "qwen2", "hidden_act": "silu", "hidden_size": 896, "intermediate_size": 4864},
    **{"num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-6},
    **{"rope_theta": 1000000.0, "max_position_embeddings": 32768, "vocab_size": 151936, "tie_word_embeddings": True},
    **{"max_window_layers": 24, "sliding_window": 32768, "use_sliding_window": False, "torch_dtype": "bfloat16"},
}
SMOLLM2 = {  # SmolLM2-135M
    **{"model_type": "llama", "hidden_act": "silu", "hidden_size": 576, "intermediate_size": 1536},
    **{"num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3, "rms_norm_eps": 1e-5},
    **{"rope_theta": 100000, "rope_scaling": None, "max_position_embeddings": 8192, "vocab_size": 49152},
    **{"tie_word_embeddings": True, "attention_bias": False, "is_llama_config": True, "rope_interleaved": False},
}
LLAMA_3_2 = {  # Llama-3.2-1B
    **{"model_type": "llama", "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 8192, "head_dim": 64},
    **{"num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8, "rms_norm_eps": 1e-5},
    **{"rope_theta": 500000.0, "max_position_embeddings": 131072, "vocab_size": 128256, "tie_word_embeddings": True},
    **{"attention_bias": False, "mlp_bias": False, "pretraining_tp": 1},
    "rope_scaling": {
        **{"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0},
        **{"original_max_position_embeddings": 8192, "rope_type": "llama3"},
    },
}
MISTRAL = {  # Mistral-7B-v0.3
    **{"model_type": "mistral", "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336},
    **{"num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-5},
    **{"rope_theta": 1000000.0, "max_position_embeddings": 32768, "vocab_size": 32768, "sliding_window": None},
    "tie_word_embeddings": False,
}
GEMMA = {  # gemma-2b, which names neither the tied head nor the exact activation
    **{"model_type": "gemma", "hidden_act": "gelu", "hidden_activation": None, "hidden_size": 2048},
    **{"intermediate_size": 16384, "num_attention_heads": 8, "num_hidden_layers": 18, "num_key_value_heads": 1},
    **{"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": None, "max_position_embeddings": 8192},
    **{"vocab_size": 256000, "head_dim": 256, "attention_bias": False},
}
QWEN3_YARN = {  # Qwen3-0.6B, with the scaling that its card suggests for long texts
    **{"model_type": "qwen3", "hidden_act": "silu", "hidden_size": 1024, "intermediate_size": 3072, "head_dim": 128},
    **{"num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8, "rms_norm_eps": 1e-6},
    **{"rope_theta": 1000000, "max_position_embeddings": 40960, "vocab_size": 151936, "tie_word_embeddings": True},
    **{"attention_bias": False, "max_window_layers": 28, "sliding_window": None, "use_sliding_window": False},
    "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
}
PUBLISHED: dict[str, dict[str, Any]] = {
    **{"qwen2.5": QWEN2_5, "smollm2": SMOLLM2, "llama 3.2": LLAMA_3_2},
    **{"mistral": MISTRAL, "gemma": GEMMA, "qwen3 yarn": QWEN3_YARN},
}
GLM = {  # transformers' defaults of GlmImageTextConfig; sections of half a head of 128
    **{"model_type": "glm_image_text", "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 13696},
    **{"num_attention_heads": 32, "num_hidden_layers": 40, "num_key_value_heads": 2, "rms_norm_eps": 1e-5},
    **{"max_position_embeddings": 131072, "vocab_size": 168064, "vision_vocab_size": 16512},
    "rope_parameters": {
        **{"rope_type": "default", "rope_theta": 10000.0},
        **{"mrope_section": [8, 12, 12], "partial_rotary_factor": 0.5},
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configs_are_those_of_transformers(name):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = PUBLISHED[name]
    theirs = AutoConfig.for_model(**json.loads(json.dumps(config)))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(theirs)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    wanted = {key: shape for key, (shape, _) in expected.language(config).items()}
    optional = {key: shape for key, (shape, _) in expected.head(config).items()}
    assert wanted | optional == shapes
    # again on the CPU, for numbers: one layer of the same head
    small = {**config, "num_hidden_layers": 1, "vocab_size": 10, "intermediate_size": 16}
    rotary = AutoModelForCausalLM.from_config(AutoConfig.for_model(**json.loads(json.dumps(small)))).model.rotary_emb
    cosine, sine = rotary(torch.zeros(1), torch.arange(200)[None])
    table = Sizes.of(config).rotary.table(200)
    half = table.shape[-1]
    np.testing.assert_allclose(table[0], cosine[0, :, :half].numpy(), atol=1e-4)
    np.testing.assert_allclose(table[1], sine[0, :, :half].numpy(), atol=1e-4)


def test_glm_images_text_model_is_that_of_transformers():
    import torch
    from transformers import GlmImageConfig, GlmImageForConditionalGeneration

    with torch.device("meta"):
        model = GlmImageForConditionalGeneration(GlmImageConfig(text_config=json.loads(json.dumps(GLM))))
    shapes = {
        name.replace("model.language_model.", "model."): tuple(value.shape)
        for name, value in model.state_dict().items()
        if name.startswith(("model.language_model.", "lm_head."))
    }
    assert {name: shape for name, (shape, _) in expected.language(GLM).items()} == shapes
    assert Sizes.of(GLM).rotary.width == 64


ODD = [None, -1, 0, 1, 7, 1.5, 1e300, -1e300, 1 << 70, "", "x", [], [1], {}, {"a": 1}, True, False]
ROPES = [
    {"rope_type": "linear", "factor": 2.0},
    LLAMA_3_2["rope_scaling"],
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 8, "beta_slow": 2},
    {"rope_type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 0.5, "attention_factor": 1.0},
]


@pytest.mark.parametrize("config", [*PUBLISHED.values(), GLM])
def test_odd_values_are_refused_or_computed(config):
    """No value of any field raises anything but a ModelError, or makes angles that are no numbers."""
    configs = [{**config, name: value} for name in config for value in ODD]
    for rope in ROPES:
        configs += [{**config, "rope_scaling": {**rope, name: value}} for name in [*rope, "truncate"] for value in ODD]
        configs += [{**config, "rope_scaling": rope, "rope_theta": value} for value in ODD]
    for name in ("partial_rotary_factor", "mrope_section", "original_max_position_embeddings", "hidden_activation"):
        configs += [{**config, name: value} for value in ODD]
    sound = 0
    for each in configs:
        try:
            expected.language({**each, "num_hidden_layers": min(3, Sizes.of(each).layers)})
            table = Sizes.of(each).rotary.table(3)
        except ModelError:
            continue
        sound += 1
        assert np.isfinite(table).all(), each
    assert sound > 20
