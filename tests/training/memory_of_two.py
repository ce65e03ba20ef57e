"""What one of two processes takes of the memory: measured (under torchrun), or told by one process.

python memory_of_two.py OUT key=value …
"""

import json
import os
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from lantu.training.config import LoopConfig, override
from lantu.training.machine import prepare
from lantu.training.measure import measure
from lantu.training.resident import forget_most, most_resident_bytes, resident_bytes, settle
from lantu.training.simulated import simulate
from lantu.training.task import Task

CONFIG = LoopConfig(batch_size=4, precision="fp32", device="cpu", workers=0)


class Words(Task):
    """A language model of random ids.

    Args:
        width: of its four layers, in numbers; 384 makes 13 million parameters.
    """

    def __init__(self, width: int = 384):
        from transformers import Qwen3Config, Qwen3ForCausalLM

        sizes = {"hidden_size": width, "head_dim": 32, "intermediate_size": 4 * width, "num_hidden_layers": 4}
        heads = {"num_attention_heads": width // 32, "num_key_value_heads": width // 64}
        self.networks = {"model": Qwen3ForCausalLM(Qwen3Config(vocab_size=4000, **sizes, **heads))}

    def batch(self, step, size):
        return torch.randint(4000, (size, 128), generator=torch.Generator().manual_seed(step))

    def loss(self, module, batch, step, generator):
        logits = self.networks["model"](input_ids=batch, use_cache=False).logits
        return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), batch[:, 1:].flatten()), {}

    def export(self, folder):
        raise NotImplementedError


def weights_bytes(task: Task) -> int:
    """Of its networks."""
    return sum(value.nbytes for network in task.networks.values() for value in network.parameters())


def main() -> None:
    prepare()
    out, *settings = sys.argv[1:]
    config = override(CONFIG, settings)
    simulate(Words(64), CONFIG, 2)  # imports what training imports
    task = Words()
    if "RANK" not in os.environ:
        measure(task, config)
        said = simulate(task, config, 2)
        facts = {"grown": said.memory_bytes, "base": said.base_bytes, "tensors": said.tensor_bytes}
    else:
        settle()
        assert forget_most()
        base = resident_bytes() - weights_bytes(task)
        measure(task, config)
        facts = {"grown": most_resident_bytes() - base, "base": base}
    if os.environ.get("RANK", "0") == "0":
        Path(out).write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
