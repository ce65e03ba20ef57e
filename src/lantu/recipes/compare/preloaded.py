"""What the processes of a comparison need, imported once for all of them; nothing is computed."""

import diffusers
import transformers

from lantu.recipes import modules
from lantu.recipes.compare import measuring, training

OF_LIBRARIES = [
    *(getattr(transformers, name) for name in ("Qwen3ForCausalLM", "CLIPTextModel", "PreTrainedTokenizerFast")),
    *(getattr(diffusers, name) for name in ("AutoencoderKL", "UNet2DConditionModel", "DDIMScheduler")),
]
RECIPES = [module for part in ("tokenizer", "language", "decoder", "rival") for module in modules(part)]
OURS = [measuring, training]
