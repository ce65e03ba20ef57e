"""What would pixel autoregression cost at the sizes that lantu draws? Operations by formula, seconds by measured steps.

    python benchmarks/pixel_ar_cost.py [--model RUN/model] [--places 64,256,1024,2048] [--sides 32,64,128,256] [--json]

Without a model, one of the recipe's size with random weights is measured: the time of a step does not depend on them.
At each place the engine drafts some pixels after a prefix of that length; a line through these times is added up.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from lantu.engine.backends import stock
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.engine.request import Request
from lantu.models.lantu.language.model import export, make
from lantu.recipes.rivals.pixel_ar import pixel_ar
from lantu.rivals.pixel_ar.cost import cost, fitted
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights.arrays import read_config
from lantu.weights.language_config import vocabulary_of

DRAFTED = 24  # ids at each place; the first, which takes the prefix, does not count


def random_language(folder: Path) -> Path:
    """The language model of the recipe, with random weights."""
    recipe = pixel_ar()
    codec = bpe.train(["a cat", "a dog"], 256)
    sizes = recipe.width, recipe.layers, recipe.heads, recipe.inner
    grid = recipe.side, recipe.side
    export(make(Vocabulary(codec.size, recipe.colours), *sizes, grid=grid, max_length=8192), folder, codec)
    return folder


def step_seconds(folder: Path, place: int) -> float:
    """The median seconds of a step after ``place`` ids."""
    vocabulary = vocabulary_of(read_config(folder))
    codes = range(vocabulary.first_code, vocabulary.size)
    prefix = np.random.default_rng(place).integers(codes.start, codes.stop, place).tolist()
    ticks = []
    request = Request(prefix, (codes,), limit=DRAFTED, seed=0)
    draft(Engine(stock.load(folder)), [request], lambda _, ids: ticks.append(time.perf_counter()))
    return statistics.median(np.diff(ticks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a pixel-ar model directory")
    parser.add_argument("--places", default="64,256,1024,2048")
    parser.add_argument("--sides", default="32,64,128,256")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    places, sides = ([int(each) for each in text.split(",")] for text in (options.places, options.sides))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.model / "language" if options.model else random_language(Path(temporary) / "language")
        config = read_config(folder)
        measured = [step_seconds(folder, place) for place in places]
    codes = config["lantu"]["codebook_size"]
    line = fitted(places, measured)
    costs = [cost(config, codes, side, line) for side in sides]
    if options.json:
        steps = dict(zip(map(str, places), measured, strict=True))
        print(json.dumps({"step_s": steps, "costs": [each.as_dict() for each in costs]}))
        return
    print(
        "step after "
        + ", ".join(f"{place} ids {1000 * each:.2f} ms" for place, each in zip(places, measured, strict=True))
    )
    print("| pixels | ids | TFLOP | KV cache, MB | seconds |\n|---|---|---|---|---|")
    for each in costs:
        row = f"{each.ids:,} | {each.flops / 1e12:.3g} | {each.cache_bytes / 1e6:,.0f} | {each.seconds:,.1f}"
        print(f"| {each.side}x{each.side} | {row} |")


if __name__ == "__main__":
    main()
