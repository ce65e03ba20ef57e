"""What the processes of a comparison need, imported once for all of them; nothing is computed.

Beside what our modules import themselves, this is what libraries put off until they are first used: plugins of PIL, the
log's writer, transformers' table of renamed weights (a thousand regular expressions). Of a training of seconds that
would be half.
"""

import contextlib
import importlib

import diffusers
import safetensors.numpy
import transformers
import vector_quantize_pytorch
from PIL import Image

from lantu.models import registry
from lantu.recipes import modules
from lantu.recipes.compare import measuring, training
from lantu.tasks import caption, chat, draw, edit

OF_LIBRARIES = [
    *(getattr(transformers, name) for name in ("Qwen3ForCausalLM", "CLIPTextModel", "PreTrainedTokenizerFast")),
    *(getattr(diffusers, name) for name in ("AutoencoderKL", "UNet2DConditionModel", "DDIMScheduler")),
    *(safetensors.numpy, vector_quantize_pytorch),
]
RECIPES = [module for part in ("tokenizer", "language", "decoder", "rival") for module in modules(part)]
OURS = [measuring, training, registry, caption, chat, draw, edit]

Image.init()
with contextlib.suppress(ImportError):  # of no other use, and not in all versions
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    get_checkpoint_conversion_mapping("qwen3")
with contextlib.suppress(ImportError):
    importlib.import_module("torch.utils.tensorboard")
