"""Who sets the latency? Processor time of a picture by the number of its codes and of the decoder's steps.

    python benchmarks/latency.py [--model NAME] [--sides 2 4 8 16 32] [--steps 1 2 4 8 16] [--json]

A grid of S by S codes is drafted by the engine, one sequence, no draft tokens, and rendered at 16 S pixels a side by
the model's own decoder. Only the time is looked at: the shipped model has learnt grids of 8 by 8.
"""

import numpy as np
from measured import options, processor_seconds, show

from lantu.diffusion.sample import sample
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.engine.request import Request
from lantu.pipeline import Model
from lantu.tokens import document, grammar

PROMPT = "a cat on the left and a dog on the right"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[2, 4, 8, 16, 32])
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    arguments = parser.parse_args()
    model = Model.load(arguments.model, "cpu")
    parts, table = model.parts, []
    text = parts.text.encode(PROMPT)
    for side in arguments.sides:
        prefix, allowed = document.draw_prefix(text, side, side, parts.vocabulary), grammar.codes(parts.vocabulary)
        request = Request(prefix, allowed, limit=side * side, seed=0, temperature=1.0, top_k=100)
        rounds = 3 if side < 32 else 1
        drafting = processor_seconds(lambda ask=request: draft(Engine(parts.language), [ask]), rounds)
        codes_1hw = np.random.default_rng(0).integers(0, model.folder.codebook_size, (1, side, side))
        rendering = {
            steps: processor_seconds(
                lambda grid=codes_1hw, count=steps: sample(parts.decoder, grid, [0], count, sampler_name="consistency"),
                rounds,
            )
            for steps in arguments.steps
        }
        line = {"codes": side * side, "drafting, ms": f"{1000 * drafting:.0f}"}
        table.append(line | {f"{steps} steps, ms": f"{1000 * each:.0f}" for steps, each in rendering.items()})
    show({"processor time of one core": table}, arguments.json)


if __name__ == "__main__":
    main()
