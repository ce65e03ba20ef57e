"""What does the KV cache save? A picture drafted code by code, with the cache and without it.

    python benchmarks/kv_cache.py [--model NAME] [--codes 64 256 1024] [--json]

Without it every step computes the whole sequence again. Seconds are processor time of one core (lengths beyond 256
codes are measured at every 32nd step and added up); operations are counted by formula. Codes are chosen at random:
neither depends on them, nor on whether the model has learnt sequences of that length.
"""

import time

import numpy as np
from measured import options, show

from lantu.pipeline import Model
from lantu.rivals.pixel_ar.cost import weights_of
from lantu.tokens import document, grammar
from lantu.weights.arrays import read_config

PROMPT = "a cat on the left and a dog on the right"
WHOLE, EVERY = 256, 32


def measured(parts, prefix: list[int], codes: list[int], cached: bool) -> float:
    """Processor seconds of a draft of ``codes`` after ``prefix``, the head's included."""
    language, ranges = parts.language, grammar.codes(parts.vocabulary)
    ids, stride = prefix + codes, 1 if cached or len(codes) <= WHOLE else EVERY
    row, seconds = language.open(len(ids)), 0.0
    for step in range(0, len(codes), stride):
        known = len(prefix) + step
        started = time.process_time()
        if not cached:
            row = language.open(len(ids))
            language.read([row], [ids[:known]])
        else:
            language.read([row], [ids[:known] if step == 0 else ids[known - 1 : known]])
        language.logits([row], ranges)
        seconds += stride * (time.process_time() - started)
    return seconds


def operations(folder, prefix: int, codes: int, cached: bool) -> float:
    """By formula: 2 a weight and token, 4 a layer, width and pair of tokens of attention."""
    config = read_config(folder)
    codebook = config["lantu"]["codebook_size"]
    width = config["num_attention_heads"] * config["head_dim"]
    head = 2.0 * config["hidden_size"] * codebook
    body = 2.0 * weights_of(config, codebook) - head

    def read(first: int, last: int) -> float:
        """Of reading the ids from ``first`` to ``last``."""
        pairs = (last * (last + 1) - first * (first + 1)) / 2
        return body * (last - first) + 4.0 * config["num_hidden_layers"] * width * pairs

    lengths = [prefix + step for step in range(codes)]
    return sum(read(known - 1 if cached and known > prefix else 0, known) + head for known in lengths)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--codes", type=int, nargs="+", default=[64, 256, 1024])
    arguments = parser.parse_args()
    model = Model.load(arguments.model, "cpu")
    parts, table = model.parts, []
    prefix = document.draw_prefix(parts.text.encode(PROMPT), *model.folder.grid, parts.vocabulary)
    random = np.random.default_rng(0)
    for count in arguments.codes:
        codes = (parts.vocabulary.first_code + random.integers(0, model.folder.codebook_size, count)).tolist()
        measured(parts, prefix, codes[:16], True)
        seconds = [min(measured(parts, prefix, codes, cached) for _ in range(2)) for cached in (True, False)]
        done = [operations(model.folder.path / "language", len(prefix), count, cached) for cached in (True, False)]
        table.append(
            {
                "codes": count,
                "cached, s": f"{seconds[0]:.3f}",
                "uncached, s": f"{seconds[1]:.3f}",
                "times as long": f"{seconds[1] / seconds[0]:.1f}",
                "cached, GFLOP": f"{done[0] / 1e9:.2f}",
                "uncached, GFLOP": f"{done[1] / 1e9:.2f}",
                "times as many": f"{done[1] / done[0]:.1f}",
            }
        )
    show({"KV cache": table}, arguments.json)


if __name__ == "__main__":
    main()
