"""A tiny language model to train on several ranks, as a script that torchrun can start.

python language_toy_task.py FOLDER [tied] key=value …
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from lantu.training.task import Task
from lantu.weights import tensors

VOCABULARY = 33  # not even


class LanguageToyTask(Task):
    """Learn sequences that count upwards."""

    def __init__(self, tied: bool = False):
        from transformers import Qwen3Config, Qwen3ForCausalLM

        torch.manual_seed(0)
        sizes = {"hidden_size": 16, "head_dim": 8, "intermediate_size": 32, "num_hidden_layers": 2}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
        config = Qwen3Config(vocab_size=VOCABULARY, **sizes, **heads, tie_word_embeddings=tied)
        self.networks = {"model": Qwen3ForCausalLM(config)}

    def batch(self, step, size):
        starts = torch.randint(VOCABULARY, (size, 1), generator=torch.Generator().manual_seed(step))
        return (starts + torch.arange(12)) % VOCABULARY

    def loss(self, module, batch, step, generator):
        logits = self.networks["model"](input_ids=batch, use_cache=False).logits
        return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), batch[:, 1:].flatten()), {}

    def export(self, folder):
        tensors.save(self.networks["model"].state_dict(), folder, dtype=None)


def main() -> None:
    from lantu.errors import LantuError
    from lantu.training.config import LoopConfig, override
    from lantu.training.loop import train

    folder, *settings = sys.argv[1:]
    config = override(LoopConfig(), [setting for setting in settings if setting != "tied"])
    try:
        train(LanguageToyTask("tied" in settings), config, Path(folder), resume=True)
    except LantuError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
