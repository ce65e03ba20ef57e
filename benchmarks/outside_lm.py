"""How fast does an outside language model draft on the native kernels, beside transformers' ``generate``?

    python benchmarks/outside_lm.py [--size 100m|1b] [--ids 32] [--rounds 3] [--peers "lantu,transformers generate"]

The model is a Llama with random weights, as transformers saves it in bfloat16; 4,096 of its ids are allowed. All take
turns. "of roofline" is the share of the bandwidth at which a step's weights and caches can be read, measured here for
as many bytes.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from lantu.bench import drafting, machine
from lantu.bench.roofline import Peaks, Work, roofline
from lantu.bench.rounds import measure
from lantu.bench.task import CODES, PROMPT, Drafting

# width, layers, heads, heads of keys and values, inner width
SIZES = {"tiny": (64, 2, 2, 1, 96), "100m": (768, 12, 12, 12, 2048), "1b": (2048, 22, 32, 4, 5632)}
IDS = 32_000
PEERS = "lantu,lantu (guidance learnt),transformers generate"


def save(folder: Path, size: str) -> None:
    """Write a random Llama with transformers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    width, layers, heads, key_value_heads, inner = SIZES[size]
    config = LlamaConfig(
        vocab_size=IDS,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        dtype="bfloat16",
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    model: Any = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="100m")
    parser.add_argument("--ids", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=PEERS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        save(Path(place), options.size)
        prefix = tuple(range(3, PROMPT + 3))
        task = Drafting(Path(place), prefix, prefix[::-1], IDS - CODES, CODES, options.ids)
        work = Work.of(task)
        floor = roofline(work, Peaks.measure(work), (1,))
        names = [name.strip() for name in options.peers.split(",")]
        drafts = {name: drafting.PEERS[name].load(task) for name in names}
        took = measure(
            {name: lambda draft=draft: draft(1, options.ids) for name, draft in drafts.items()}, options.rounds
        )
    print(json.dumps(machine.describe() | {"roofline": floor}))
    print(f"\n| {options.ids} ids, {floor['weights_mb']} MB a step, {floor['bandwidth_gb_s']} GB/s | s | of roofline |")
    print("|---|---|---|")
    for name, seconds in took.items():
        share = 100 * floor["reading_s"]["1"] / seconds.median
        print(f"| {name} | {seconds.median:.3f} ({seconds.least:.3f} to {seconds.most:.3f}) | {share:.0f} % |")


if __name__ == "__main__":
    main()
